package auth

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// earlyPause is how long a token is used after an early renewal failed before another is tried.
	earlyPause = 30 * time.Second
	// earlyWait is how long the caller who starts an early renewal waits for the new token. Then it uses the old one, as
	// all other callers do meanwhile.
	earlyWait = 5 * time.Second
	// graceTime is how much longer than its context a fetch may take to end. Then it is left to itself: a credential is the caller's code, and may ignore its context.
	graceTime = time.Second
)

// A renewal is early while the old token can still be used: it is tried once, and no caller depends on it.

// cell holds one token, fetched once for any number of callers and renewed before its end. A fetch is nobody's: it runs on while anyone waits for it, and is cancelled when the
// last one has left for good.
type cell struct {
	// fetch gets a new token. early says that the old one can still be used, so the requests are tried once.
	fetch func(ctx context.Context, early bool) (*token, error)
	limit time.Duration // of a fetch
	turns turns         // shared with other cells
	early time.Duration // of an early renewal, which is tried once. A caller who needs a token meanwhile waits for it first

	cur atomic.Pointer[token]

	mu      sync.Mutex
	pending *pending
	pause   time.Time // no early renewal before this time
}

// pending is a fetch on its way: any number of callers wait for it.
type pending struct {
	done     chan struct{}
	cancel   func()
	early    bool
	waiters  int  // under the cell's mutex
	finished bool // under the cell's mutex
	token    *token
	err      error
	panic    any // of the credential, which is the caller's code
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
		if t.fresh(now) || usable && (c.pending != nil || now.Before(c.pause)) {
			c.mu.Unlock()
			return t, nil
		}
		f := c.pending
		if f == nil {
			f = c.start(ctx, usable)
		}
		f.waiters++
		c.mu.Unlock()

		var enough <-chan time.Time // never, for those who have nothing else
		if usable {
			enough = time.After(earlyWait)
		}
		select {
		case <-f.done:
		case <-enough:
			c.leave(f, false)
			return t, nil
		case <-ctx.Done():
			c.leave(f, true)
			return nil, ctx.Err()
		}
		switch {
		case f.panic != nil:
			panic(f.panic) // where the caller can recover it, as if the credential had been called here
		case f.err == nil:
			return f.token, nil
		case usable:
			return t, nil // not renewed, but good for a while
		case !f.early:
			return nil, f.err
		}
		// An early renewal failed, and this caller needs a token: fetch one with all tries.
	}
}

// start begins a fetch. The mutex is held.
func (c *cell) start(ctx context.Context, early bool) *pending {
	ctx, cancel := context.WithCancelCause(detach(ctx))
	f := &pending{done: make(chan struct{}), cancel: func() { cancel(nil) }, early: early}
	c.pending = f
	go c.run(ctx, cancel, f)
	return f
}

// run carries out a fetch, whose time begins when it has a turn. Its limit is no deadline of its context: azidentity gives a command line tool ten seconds, but the whole time
// where there is one.
func (c *cell) run(ctx context.Context, cancel context.CancelCauseFunc, f *pending) {
	defer cancel(nil)
	var t *token
	err := error(errExited) // unless fetch returns
	pass, waiting := c.turns.take(ctx)
	if waiting != nil {
		c.finish(f, nil, waiting, nil) // nobody waits any more
		return
	}
	limit := c.limit
	if f.early {
		limit = min(limit, c.early)
	}
	late := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	abandon := time.AfterFunc(limit+graceTime, func() {
		pass()
		c.finish(f, nil, errUnresponsive(c.limit), nil)
	})
	defer func() {
		late.Stop()
		abandon.Stop()
		pass()
		c.finish(f, t, err, recover())
	}()
	t, err = c.fetch(ctx, f.early)
}

// turns bounds how many fetches are under way at a time; nil does not. A thousand token requests at once would wait for one another in the transport, where that counts as the
// silence of the registry.
type turns chan struct{}

// take waits for a turn and returns the function that passes it on, or the error of ctx.
func (t turns) take(ctx context.Context) (pass func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	select {
	case t <- struct{}{}:
		return sync.OnceFunc(func() { <-t }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// finish ends a fetch, once: whoever waits for it goes on.
func (c *cell) finish(f *pending, t *token, err error, panicked any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.finished {
		return
	}
	f.finished, f.token, f.err, f.panic = true, t, err, panicked
	if c.pending == f { // else everyone has left, and another may be under way
		c.pending = nil
		if err == nil && panicked == nil {
			c.cur.Store(t)
		} else if f.early {
			c.pause = time.Now().Add(earlyPause)
		}
	}
	close(f.done)
}

// errExited is why there is no token where the credential neither returned nor panicked, but ended its goroutine.
var errExited = &Error{Operation: opEntra, Message: "the credential ended its goroutine (runtime.Goexit) rather than return"}

// errUnresponsive is why there is no token where the credential takes no notice of its context's end.
func errUnresponsive(limit time.Duration) error {
	return &Error{Operation: opEntra, Message: silent(limit), Advice: advisePerson, Err: context.DeadlineExceeded}
}

// leave takes one waiter off a fetch. One who leaves for good ends it if no other waits; one who has lost patience lets it go on, to its limit at most, for those who come later.
func (c *cell) leave(f *pending, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; good && f.waiters == 0 && c.pending == f {
		c.pending = nil
		f.cancel()
	}
}

// drop forgets t, and says whether it was still the one held.
func (c *cell) drop(t *token) bool { return c.cur.CompareAndSwap(t, nil) }
