package wait

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/acrkit/acrkit/facade/internal/observe"
)

// Sleep waits for d, and counts the time in the ledger of ctx. If ctx ends first, it returns [Cause] of ctx at once; so it does if ctx has
// ended before the call, even for a d of zero or less.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return Cause(ctx)
	}
	t, began := time.NewTimer(d), time.Now()
	defer func() {
		t.Stop()
		observe.Waited(ctx, time.Since(began))
	}()
	select {
	case <-ctx.Done():
		return Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Cause returns why ctx ended, or nil if it has not. The result matches both ctx.Err and
// context.Cause with errors.Is: a caller who cancels with a cause of his own finds that cause, and
// code that looks for context.Canceled finds that.
func Cause(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	why := context.Cause(ctx)
	if errors.Is(why, err) {
		return why
	}
	return fmt.Errorf("%w: %w", err, why)
}

// WithCause adds the cause of ctx to an error that says only that ctx ended. It returns any other
// error, and nil, as it is.
func WithCause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return err
	}
	if why := context.Cause(ctx); !errors.Is(err, why) {
		return fmt.Errorf("%w: %w", err, why)
	}
	return err
}

// Backoff returns the delay before a repetition, counted from 1. The upper limit starts at first,
// doubles with each repetition and never exceeds most; the delay is random below that limit ("full
// jitter"), so that clients that failed together do not come back together. It returns zero if
// first or most is zero or less.
func Backoff(repetition int, first, most time.Duration) time.Duration {
	limit := first
	for ; repetition > 1 && limit < most; repetition-- {
		if limit > most/2 {
			limit = most // the next doubling would exceed it, or overflow
			break
		}
		limit *= 2
	}
	if limit = min(limit, most); limit <= 0 {
		return 0
	}
	return rand.N(limit) + 1
}
