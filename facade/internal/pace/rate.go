package pace

import (
	"context"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// pieceTime is the time for which one mover of bytes may use a Rate at once. It is short, so that many movers share the
// rate smoothly, and long enough that timers are exact beside it.
const pieceTime = 20 * time.Millisecond

// A timer is late by up to a millisecond or two, which is longer than a piece takes at a high rate. So no wait is shorter
// than leastPause, and up to lateness of what late timers and slow movers have lost is made up for.
const (
	leastPause = 2 * time.Millisecond
	lateness   = 20 * time.Millisecond
)

// Rate spaces bytes so that no more than so many pass in a second, whoever moves them. Movers take turns, so each gets the
// same share. A nil Rate lets all pass. It is safe for concurrent use.
type Rate struct {
	perSecond float64
	mu        sync.Mutex
	next      time.Time // when all bytes that were taken have passed
}

// NewRate returns a Rate, nil if bytesPerSecond is 0.
func NewRate(bytesPerSecond int64) *Rate {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &Rate{perSecond: float64(bytesPerSecond)}
}

// Take waits for a turn, and returns the part of p that may be moved then. Return has to be called with the number of bytes that
// were not moved after all. If ctx ends first, or has ended, Take fails with its cause, and nothing may be moved.
func (r *Rate) Take(ctx context.Context, p []byte) ([]byte, error) {
	if r == nil || len(p) == 0 {
		return p, nil
	}
	p = p[:min(len(p), max(1, int(min(r.perSecond*pieceTime.Seconds(), 1<<30))))]
	if err := wait.Sleep(ctx, r.reserve(len(p))); err != nil {
		r.Return(len(p))
		return nil, err
	}
	return p, nil
}

// reserve takes the time of n bytes and returns how long it is until it begins.
func (r *Rate) reserve(n int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.next.IsZero() {
		r.next = now
	}
	if late := now.Add(-lateness); r.next.Before(late) {
		r.next = late
	}
	pause := r.next.Sub(now)
	r.next = r.next.Add(r.time(n))
	if pause < leastPause {
		return 0
	}
	return pause
}

// Return gives back the time of n bytes that were taken and not moved. Those who wait for a turn keep it; the time is for those
// who come later.
func (r *Rate) Return(n int) {
	if r == nil || n <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = r.next.Add(-r.time(n))
}

// time is how long n bytes take.
func (r *Rate) time(n int) time.Duration {
	return time.Duration(float64(n) / r.perSecond * float64(time.Second))
}
