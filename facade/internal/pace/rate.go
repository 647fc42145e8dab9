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

// Rate spaces bytes so that no more than so many pass in a second, whoever moves them. A nil Rate lets all pass. It is safe
// for concurrent use.
type Rate struct {
	perSecond float64
	mu        sync.Mutex
	next      time.Time // when all bytes that were let pass have passed
}

// NewRate returns a Rate, nil if bytesPerSecond is 0.
func NewRate(bytesPerSecond int64) *Rate {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &Rate{perSecond: float64(bytesPerSecond)}
}

// Piece returns the part of p that may be moved before the next call of Wait.
func (r *Rate) Piece(p []byte) []byte {
	if r == nil || len(p) == 0 {
		return p
	}
	return p[:min(len(p), max(1, int(min(r.perSecond*pieceTime.Seconds(), 1<<30))))]
}

// Wait waits until n bytes that were moved have had their time. It returns early only if ctx ends.
func (r *Rate) Wait(ctx context.Context, n int) {
	if r == nil || n <= 0 {
		return
	}
	r.mu.Lock()
	now := time.Now()
	if r.next.Before(now) {
		r.next = now
	}
	r.next = r.next.Add(time.Duration(float64(n) / r.perSecond * float64(time.Second)))
	pause := r.next.Sub(now)
	r.mu.Unlock()
	_ = wait.Sleep(ctx, pause) // who moves the next bytes meets the end of the context
}
