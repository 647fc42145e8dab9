package acrtest

import (
	"sync"
	"time"
)

// tokenCache keeps the anonymous tokens by scope.
type tokenCache struct {
	mu     sync.Mutex
	tokens map[string]cachedToken
}

type cachedToken struct {
	token string
	made  time.Time
}

// maxCachedTokens bounds the cache; past it, it starts anew.
const maxCachedTokens = 1000

func (c *tokenCache) get(scope string, now time.Time) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.tokens[scope]
	age := now.Sub(entry.made)
	return entry.token, ok && age >= 0 && age < anonymousReuse
}

func (c *tokenCache) put(scope, token string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil || len(c.tokens) >= maxCachedTokens {
		c.tokens = make(map[string]cachedToken)
	}
	c.tokens[scope] = cachedToken{token: token, made: now}
}

func (c *tokenCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = nil
}

// idSet is a set of token ids.
type idSet struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (s *idSet) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

func (s *idSet) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = make(map[string]bool)
	}
	s.ids[id] = true
}
