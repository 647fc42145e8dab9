package transfer

import (
	"context"
	"math/rand/v2"
	"time"
)

// How often and how patiently a request is repeated. Progress sets the count of tries back.
const (
	maxTries  = 5 // without any progress
	firstWait = 250 * time.Millisecond
	maxWait   = 30 * time.Second
	maxAfter  = 60 * time.Second // a longer Retry-After is the caller's to decide
)

// backoff returns the wait before the given repetition, counted from 1: full jitter, so that many clients do not come back at once.
func backoff(try int) time.Duration {
	d := firstWait << min(max(try-1, 0), 10)
	return time.Duration(rand.Int64N(int64(min(d, maxWait)) + 1))
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return cause(ctx)
	case <-t.C:
		return nil
	}
}

// patience counts the failures since the last progress and waits between them.
type patience struct{ tries int }

// wait waits as the fault asks; it returns the fault's error when it is hopeless, and the end of ctx.
func (p *patience) wait(ctx context.Context, f *Fault) error {
	p.tries++
	switch {
	case f.Kind == Final, p.tries >= maxTries, f.After > maxAfter:
		return f.Err
	case f.After > 0:
		return sleep(ctx, f.After)
	case f.Kind == Doubt && p.tries == 1:
		return cause(ctx) // a lost connection: the question what became of it can be asked at once
	}
	return sleep(ctx, backoff(p.tries))
}

// progressed forgets the failures so far.
func (p *patience) progressed() { p.tries = 0 }
