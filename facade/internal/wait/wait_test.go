package wait_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errReason = errors.New("the caller's reason")

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := wait.Sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("slept %s, %v", time.Since(began), err)
		}
		if err := wait.Sleep(t.Context(), -1); err != nil {
			t.Errorf("nothing to wait for: %v", err)
		}
	})
}

// A wait ends at the moment its context does, and says why that ended.
func TestSleepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		began := time.Now()
		time.AfterFunc(time.Minute, func() { cancel(errReason) })
		err := wait.Sleep(ctx, time.Hour)
		if !errors.Is(err, errReason) || !errors.Is(err, context.Canceled) || time.Since(began) != time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		for _, d := range []time.Duration{0, time.Hour} {
			if err := wait.Sleep(ctx, d); !errors.Is(err, errReason) || time.Since(began) != time.Minute {
				t.Errorf("%s with a context that has ended: %v after %s", d, err, time.Since(began))
			}
		}
	})
}

func TestCause(t *testing.T) {
	t.Parallel()
	if err := wait.Cause(t.Context()); err != nil {
		t.Errorf("a context that goes on has the cause %v", err)
	}
	plain, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wait.Cause(plain); err != context.Canceled { //nolint:errorlint // the very same, with no text added
		t.Errorf("got %v", err)
	}
	wrapped := fmt.Errorf("shutting down: %w", context.Canceled)
	for _, why := range []error{errReason, wrapped} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if err := wait.Cause(ctx); !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want both %v and %v", err, why, context.Canceled)
		}
	}
}

func TestWithCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	request := fmt.Errorf("Get: %w", context.Canceled)
	if err := wait.WithCause(ctx, request); err != request { //nolint:errorlint // the very same
		t.Errorf("a context that goes on explains nothing, got %v", err)
	}
	cancel(errReason)
	if err := wait.WithCause(ctx, request); !errors.Is(err, errReason) || !errors.Is(err, request) {
		t.Errorf("got %v", err)
	}
	both := fmt.Errorf("Get: %w: %w", context.Canceled, errReason)
	for _, err := range []error{nil, net.ErrClosed, both} {
		if got := wait.WithCause(ctx, err); got != err { //nolint:errorlint // the very same
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	const first, most = 100 * time.Millisecond, time.Second
	for repetition, limit := range map[int]time.Duration{-1: first, 0: first, 1: first, 2: 2 * first, 4: 8 * first, 5: most, 6: most, math.MaxInt: most} {
		var longest time.Duration
		for range 1000 {
			d := wait.Backoff(repetition, first, most)
			if d <= 0 || d > limit {
				t.Fatalf("repetition %d: %s, the limit is %s", repetition, d, limit)
			}
			longest = max(longest, d)
		}
		if longest < limit*9/10 {
			t.Errorf("repetition %d: at most %s in 1000 tries, the limit is %s", repetition, longest, limit)
		}
	}
	for _, limits := range [][2]time.Duration{{0, most}, {first, 0}, {-1, -1}} {
		if d := wait.Backoff(3, limits[0], limits[1]); d != 0 {
			t.Errorf("limits %v: %s", limits, d)
		}
	}
	if d := wait.Backoff(100, time.Second, math.MaxInt64); d <= 0 {
		t.Errorf("doubling overflows: %s", d)
	}
}

func TestStalledIsATimeout(t *testing.T) {
	t.Parallel()
	var timeout net.Error
	if !errors.As(wait.ErrStalled, &timeout) || !timeout.Timeout() {
		t.Errorf("%v is no timeout", wait.ErrStalled)
	}
}
