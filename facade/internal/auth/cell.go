package auth

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// softPause is how long a token that could not be renewed ahead of its end is used before that is tried again.
const softPause = 30 * time.Second

// cell holds one token, fetched once for any number of callers and renewed before its end. A fetch is nobody's: it runs on while anyone waits for it, and is cancelled when the
// last one has left.
type cell struct {
	// fetch gets a new token. soft means that the old one still serves, so it is tried once.
	fetch func(ctx context.Context, soft bool) (*token, error)

	cur atomic.Pointer[token]

	mu     sync.Mutex
	flight *flight
	pause  time.Time // no soft renewal before
}

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	soft    bool
	waiters int // under the cell's mutex
	token   *token
	err     error
	panic   any // of the credential, which is the caller's code
}

// get returns a token with life left, or why there is none, or the error of ctx.
func (c *cell) get(ctx context.Context) (*token, error) {
	for {
		now := time.Now()
		if t := c.cur.Load(); t.fresh(now) {
			return t, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.mu.Lock()
		t := c.cur.Load()
		usable := t.usable(now)
		if t.fresh(now) || usable && (c.flight != nil || now.Before(c.pause)) {
			c.mu.Unlock()
			return t, nil
		}
		f := c.flight
		if f == nil {
			f = c.start(ctx, usable)
		}
		f.waiters++
		c.mu.Unlock()

		select {
		case <-f.done:
		case <-ctx.Done():
			c.leave(f)
			return nil, ctx.Err()
		}
		switch {
		case f.panic != nil:
			panic(f.panic) // where the caller can recover it, as if the credential had been called here
		case f.err == nil:
			return f.token, nil
		case usable:
			return t, nil // not renewed, but good for a while
		case !f.soft:
			return nil, f.err
		}
		// A soft renewal failed under one who needed it: now in earnest.
	}
}

// start begins a fetch. The mutex is held.
func (c *cell) start(ctx context.Context, soft bool) *flight {
	ctx, cancel := context.WithCancel(detach(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel, soft: soft}
	c.flight = f
	go func() {
		defer cancel()
		f.err = errExited // unless fetch returns
		defer func() {
			f.panic = recover()
			c.land(f)
		}()
		f.token, f.err = c.fetch(ctx, soft)
	}()
	return f
}

// land ends a fetch: whoever waits for it goes on.
func (c *cell) land(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight == f { // else everyone has left, and another may be under way
		c.flight = nil
		if f.err == nil && f.panic == nil {
			c.cur.Store(f.token)
		} else if f.soft {
			c.pause = time.Now().Add(softPause)
		}
	}
	close(f.done)
}

// errExited is why there is no token where the credential neither returned nor panicked, but ended its goroutine.
var errExited = &Error{Operation: opEntra, Message: "the credential ended its goroutine (runtime.Goexit) rather than return"}

// leave takes one waiter off a fetch and ends it with the last.
func (c *cell) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters == 0 && c.flight == f {
		c.flight = nil
		f.cancel()
	}
}

// drop forgets t, and says whether it was still the one held.
func (c *cell) drop(t *token) bool { return c.cur.CompareAndSwap(t, nil) }
