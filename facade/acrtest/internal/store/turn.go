package store

import (
	"context"
	"sync"
	"time"
)

// patience is how long a request waits for one that has the session and is silent before it has
// that one broken off. A caller whose network went away without a word asks again over a new
// connection; the old one would keep the session from it for ever.
const patience = 5 * time.Second

// turn lets one request at a time use a session.
type turn struct {
	free chan struct{} // holds one token while no request uses the session

	mu       sync.Mutex
	heard    time.Time // when the request that has the turn last got something
	reading  bool      // it is about its body, and nothing else
	breakOff func()    // ends its wait for its body; nil where that cannot be
}

func newTurn() *turn {
	t := &turn{free: make(chan struct{}, 1)}
	t.free <- struct{}{}
	return t
}

// take waits for the turn.
func (t *turn) take(ctx context.Context, breakOff func()) error {
	for {
		select {
		case <-t.free:
			t.mu.Lock()
			t.heard, t.breakOff = time.Now(), breakOff
			t.mu.Unlock()
			return nil
		default:
		}
		timer := time.NewTimer(t.silentIn())
		select {
		case token := <-t.free:
			t.free <- token // to be taken above
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
			t.interrupt()
		}
		timer.Stop()
	}
}

// tryTake takes the turn if it is free.
func (t *turn) tryTake() bool {
	select {
	case <-t.free:
		return true
	default:
		return false
	}
}

func (t *turn) give() {
	t.mu.Lock()
	t.breakOff, t.reading = nil, false
	t.mu.Unlock()
	t.free <- struct{}{}
}

// hear notes that the request that has the turn is alive, and whether it goes on to wait for its
// body.
func (t *turn) hear(reading bool) {
	t.mu.Lock()
	t.heard, t.reading = time.Now(), reading
	t.mu.Unlock()
}

// silentIn is how long the request that has the turn may still be silent.
func (t *turn) silentIn() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(patience-time.Since(t.heard), time.Millisecond)
}

// interrupt breaks off the request that has the turn, if it has been silent for too long.
func (t *turn) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.heard) < patience {
		return
	}
	t.heard = time.Now() // it gets as long again to leave
	if t.breakOff != nil && t.reading {
		t.breakOff()
	}
}
