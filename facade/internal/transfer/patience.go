package transfer

import (
	"context"
	"time"

	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/wait"
)

// How often a request is repeated, and how long the loop waits before that.
const (
	maxTries  = 5 // failures without any progress
	firstWait = 250 * time.Millisecond
	maxWait   = 30 * time.Second
	maxAfter  = 60 * time.Second // a longer Retry-After is for the caller to decide
)

// patience counts the failures since the last progress and waits between them.
type patience struct{ tries int }

// wait counts the failure f and waits before the next try. It returns f.Err if another try makes no
// sense, and the cause of ctx if ctx ends first.
func (p *patience) wait(ctx context.Context, f *Fault) error {
	p.tries++
	pause := f.After
	switch {
	case f.Kind == Final, p.tries >= maxTries, f.After > maxAfter:
		return f.Err
	case f.After > 0:
	case f.Kind == Doubt && p.tries == 1:
		pause = 0 // a lost connection: what became of the request can be asked at once
	default:
		pause = wait.Backoff(p.tries, firstWait, maxWait)
	}
	if ctx.Err() == nil {
		observe.Retrying(ctx, f.Err.Error(), pause)
	}
	err := wait.Sleep(ctx, pause)
	if err == nil {
		observe.Repeated(ctx)
	}
	return err
}

// progressed forgets the failures so far.
func (p *patience) progressed() { p.tries = 0 }
