package auth

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// softPause is how long a token that could not be renewed ahead of its end is used before that is tried again.
	softPause = 30 * time.Second
	// softWait is how long the caller who renews a token ahead of its end waits for the new one. Then it goes on with the old one, as all others do meanwhile.
	softWait = 5 * time.Second
	// refreshLimit and accessLimit end a fetch, whatever it waits for. That of an access token may include one of a refresh token, and leaves it the time to say what was amiss.
	refreshLimit = 3 * time.Minute
	accessLimit  = refreshLimit + 5*time.Second
	// softLimit is that of a fetch ahead of the end: who needs a token meanwhile waits for it first, and then for one in earnest.
	softLimit = time.Minute
	// deafness is how much longer than its context a fetch may take to end. Then it is left to itself: a credential is the caller's code, and may ignore its context.
	deafness = time.Second
)

// cell holds one token, fetched once for any number of callers and renewed before its end. A fetch is nobody's: it runs on while anyone waits for it, and is cancelled when the
// last one has left for good.
type cell struct {
	// fetch gets a new token. soft means that the old one still serves, so it is tried once.
	fetch func(ctx context.Context, soft bool) (*token, error)
	limit time.Duration // of a fetch

	cur atomic.Pointer[token]

	mu     sync.Mutex
	flight *flight
	pause  time.Time // no soft renewal before
}

type flight struct {
	done    chan struct{}
	cancel  func()
	soft    bool
	waiters int  // under the cell's mutex
	landed  bool // under the cell's mutex
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

		var enough <-chan time.Time // never, for those who have nothing else
		if usable {
			enough = time.After(softWait)
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
		case !f.soft:
			return nil, f.err
		}
		// A soft renewal failed under one who needed it: now in earnest.
	}
}

// start begins a fetch. The mutex is held. Its limit is no deadline of its context: azidentity gives a command line tool ten seconds, but the whole time where there is one.
func (c *cell) start(ctx context.Context, soft bool) *flight {
	ctx, cancel := context.WithCancelCause(detach(ctx))
	f := &flight{done: make(chan struct{}), cancel: func() { cancel(nil) }, soft: soft}
	c.flight = f
	limit := c.limit
	if soft {
		limit = min(limit, softLimit)
	}
	late := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	deaf := time.AfterFunc(limit+deafness, func() { c.land(f, nil, errDeaf, nil) })
	go func() {
		defer cancel(nil)
		var t *token
		err := error(errExited) // unless fetch returns
		defer func() {
			late.Stop()
			deaf.Stop()
			c.land(f, t, err, recover())
		}()
		t, err = c.fetch(ctx, soft)
	}()
	return f
}

// land ends a fetch, once: whoever waits for it goes on.
func (c *cell) land(f *flight, t *token, err error, panicked any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.landed {
		return
	}
	f.landed, f.token, f.err, f.panic = true, t, err, panicked
	if c.flight == f { // else everyone has left, and another may be under way
		c.flight = nil
		if err == nil && panicked == nil {
			c.cur.Store(t)
		} else if f.soft {
			c.pause = time.Now().Add(softPause)
		}
	}
	close(f.done)
}

// errExited is why there is no token where the credential neither returned nor panicked, but ended its goroutine.
var errExited = &Error{Operation: opEntra, Message: "the credential ended its goroutine (runtime.Goexit) rather than return"}

// errDeaf is why there is no token where the credential takes no notice of its context's end.
var errDeaf = &Error{Operation: opEntra, Message: silent(refreshLimit), Advice: advisePerson, Err: context.DeadlineExceeded}

// leave takes one waiter off a fetch. One who leaves for good ends it if no other waits; one who has lost patience lets it go on, to its limit at most, for those who come later.
func (c *cell) leave(f *flight, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; good && f.waiters == 0 && c.flight == f {
		c.flight = nil
		f.cancel()
	}
}

// drop forgets t, and says whether it was still the one held.
func (c *cell) drop(t *token) bool { return c.cur.CompareAndSwap(t, nil) }
