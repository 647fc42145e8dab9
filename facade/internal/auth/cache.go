package auth

import (
	"maps"
	"sync"
	"sync/atomic"
)

// maxSlots bounds the access tokens kept, and the sets of scopes that lead to them.
const maxSlots = 256

// slot is the access token of one set of scopes.
type slot struct {
	set *scopeSet
	cell
	used atomic.Uint64 // the cache's tick at last use
}

// cache finds access tokens by what a request needs. Reading takes no lock; a change copies the map, which is small and rarely changed.
type cache struct {
	slots atomic.Pointer[map[string]*slot] // by scopeSet.key; a smaller set may lead to a larger one's slot
	tick  atomic.Uint64
	mu    sync.Mutex // for changes
	build func(*scopeSet) *slot
}

func newCache(build func(*scopeSet) *slot) *cache {
	c := &cache{build: build}
	c.slots.Store(&map[string]*slot{})
	return c
}

// find returns the slot for the set: its own, else one whose token is at hand and allows all of it, else a new one.
func (c *cache) find(set *scopeSet) *slot {
	if s, ok := (*c.slots.Load())[set.key]; ok {
		c.touch(s)
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := (*c.slots.Load())[set.key]; ok {
		return s
	}
	s := c.superset(set)
	if s == nil {
		s = c.build(set)
	}
	c.put(set.key, s)
	return s
}

// exact returns the set's own slot, even where a larger one has served so far.
func (c *cache) exact(set *scopeSet) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := (*c.slots.Load())[set.key]; ok && s.set.key == set.key {
		return s
	}
	s := c.build(set)
	c.put(set.key, s)
	return s
}

// superset looks for a token that serves the set too. What was granted counts, not what was asked for: ACR issues tokens for scopes it does not grant.
func (c *cache) superset(set *scopeSet) *slot {
	if len(set.scopes) == 0 {
		return nil
	}
	for _, s := range *c.slots.Load() {
		t := s.cur.Load()
		if t == nil || !s.set.covers(set) {
			continue
		}
		if t.claims.granted != nil && !t.claims.granted.covers(set) {
			continue
		}
		return s
	}
	return nil
}

// asked returns the token at hand that was asked to allow all of the set, whether it does or not: that of its own slot, else any. Nil where there is none.
func (c *cache) asked(set *scopeSet) *token {
	slots := *c.slots.Load()
	if s, ok := slots[set.key]; ok {
		return s.cur.Load()
	}
	for _, s := range slots {
		if t := s.cur.Load(); t != nil && s.set.covers(set) {
			return t
		}
	}
	return nil
}

// put adds one entry and, where there are too many, takes out the one unused for longest. The mutex is held.
func (c *cache) put(key string, s *slot) {
	old := *c.slots.Load()
	slots := make(map[string]*slot, len(old)+1)
	maps.Copy(slots, old)
	if _, ok := slots[key]; !ok && len(slots) >= maxSlots {
		var oldest string
		least := ^uint64(0)
		for k, s := range slots {
			if u := s.used.Load(); u < least {
				oldest, least = k, u
			}
		}
		delete(slots, oldest)
	}
	slots[key] = s
	c.tick.Add(1)
	s.used.Store(c.tick.Load())
	c.slots.Store(&slots)
}

// touch marks a use. The tick moves only with changes, so that uses in between cost a load.
func (c *cache) touch(s *slot) {
	if now := c.tick.Load(); s.used.Load() != now {
		s.used.Store(now)
	}
}

// remove takes out the slot of the set, and what leads to it.
func (c *cache) remove(set *scopeSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slots := maps.Clone(*c.slots.Load())
	maps.DeleteFunc(slots, func(_ string, s *slot) bool { return s.set.key == set.key })
	c.slots.Store(&slots)
}
