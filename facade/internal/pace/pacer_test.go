package pace_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/pace"
)

// bubble runs the test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func pacer(limit int, share float64) *pace.Pacer {
	return pace.New(pace.Config{Limits: map[pace.Budget]int{"read": limit, "rare": limit / 10}, Share: share})
}

// send sends requests of one budget from a number of goroutines, and returns when each went.
func send(t *testing.T, p *pace.Pacer, n, goroutines int, budgets ...pace.Budget) []time.Time {
	t.Helper()
	var mu sync.Mutex
	var at []time.Time
	var wait sync.WaitGroup
	for g := range goroutines {
		wait.Go(func() {
			for range n/goroutines + min(1, n%goroutines/(g+1)) {
				if err := p.Wait(t.Context(), "host", budgets...); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				at = append(at, time.Now())
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return at
}

// most is the largest number of moments within any span.
func most(at []time.Time, span time.Duration) int {
	at = slices.SortedFunc(slices.Values(at), time.Time.Compare)
	best, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) >= span {
			first++
		}
		best = max(best, i-first+1)
	}
	return best
}

// Requests stay within the budget in any minute, and within what a server allows at once; and they use what there is.
func TestBudgetIsKeptAndUsed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		limit, requests int
	}{{250, 2_000}, {500, 5_000}, {2_000, 10_000}, {10_000, 40_000}} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				start := time.Now()
				at := send(t, pacer(row.limit, 0.95), row.requests, 16, "read")
				took := time.Since(start)
				if n := most(at, time.Minute); n > row.limit {
					t.Errorf("%d requests in a minute, the limit is %d", n, row.limit)
				}
				if n := most(at, time.Second); float64(n) > 1.45*float64(row.limit)/60+1 {
					t.Errorf("%d requests in a second, the limit is %d a minute", n, row.limit)
				}
				use := float64(len(at)) / took.Minutes() / float64(row.limit)
				if use < 0.94 {
					t.Errorf("%.3f of the budget was used", use)
				}
				if refused := serverBucket(at, row.limit, 500*time.Millisecond); refused > 0 {
					t.Errorf("a server that holds one second's worth would refuse %d of %d", refused, len(at))
				}
			})
		})
	}
}

// serverBucket counts what a server would refuse whose bucket holds one second's worth, of requests that take up to jitter
// longer on their way than others.
func serverBucket(at []time.Time, limit int, jitter time.Duration) (refused int) {
	random := rand.New(rand.NewPCG(1, 2))
	arrived := make([]time.Time, len(at))
	for i, t := range at {
		arrived[i] = t.Add(20*time.Millisecond + time.Duration(random.Float64()*float64(jitter)))
	}
	slices.SortFunc(arrived, time.Time.Compare)
	rate := float64(limit) / 60
	tokens, last := max(1, float64(int(rate))), arrived[0]
	full := tokens
	for _, t := range arrived {
		tokens, last = min(full, tokens+t.Sub(last).Seconds()*rate), t
		if tokens < 1 {
			refused++
		} else {
			tokens--
		}
	}
	return refused
}

// A request that counts against two budgets takes from neither before both can give.
func TestTwoBudgets(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pacer(6000, 0.5) // 3000 and 300 a minute
		var rare, read []time.Time
		var wait sync.WaitGroup
		wait.Go(func() { rare = send(t, p, 600, 20, "rare", "read") })
		wait.Go(func() { read = send(t, p, 3000, 20, "read") })
		wait.Wait()
		if n := most(append(slices.Clone(rare), read...), time.Minute); n > 3060 {
			t.Errorf("%d in a minute", n)
		}
		if n := most(rare, time.Minute); n > 310 {
			t.Errorf("%d rare ones in a minute", n)
		}
		if last := slices.MaxFunc(read, time.Time.Compare); last.Sub(slices.MinFunc(read, time.Time.Compare)) > 75*time.Second {
			t.Error("requests that wait for the rare budget kept the other one from being used")
		}
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pacer(60, 1)
		var order []int
		var mu sync.Mutex
		for i := range 10 {
			go func() {
				if p.Wait(t.Context(), "host", "read") == nil {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, i)
				}
			}()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if !slices.IsSorted(order) || len(order) != 10 {
			t.Errorf("order %v", order)
		}
	})
}

// One refusal makes all goroutines pause, those too that had their turn already; then the pace is lower, and rises again.
func TestRefusal(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pacer(600, 1)
		start := time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			for range 16 { // as many as were under way
				p.Refused("host", "read", 30*time.Second)
			}
		}()
		at := send(t, p, 2_000, 16, "read")
		for _, moment := range at {
			if d := moment.Sub(start); d > 10*time.Second && d < 40*time.Second {
				t.Fatalf("a request went %v after the start, within the pause", d)
			}
		}
		count := func(from, to time.Duration) (n int) {
			for _, moment := range at {
				if d := moment.Sub(start); d >= from && d < to {
					n++
				}
			}
			return n
		}
		if n := count(40*time.Second, 50*time.Second); n < 68 || n > 76 {
			t.Errorf("%d requests in the ten seconds after the pause, want about 70", n)
		}
		if n := count(100*time.Second, 110*time.Second); n < 98 || n > 102 {
			t.Errorf("%d requests in ten seconds a minute after the pause, want 100", n)
		}
		if u := p.Usage("host")["read"]; u.Throttled != 16 || u.Requests != 2_000 || u.Waited == 0 || u.PerMinute != 600 {
			t.Errorf("%+v", u)
		}
	})
}

func TestPaceHasAFloor(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pacer(600, 1)
		for range 100 {
			p.Refused("host", "read", time.Second)
			time.Sleep(2 * time.Second)
		}
		if u := p.Usage("host")["read"]; u.PerMinute < 30 {
			t.Errorf("%+v", u)
		}
	})
}

func TestOtherHostsAndBudgetsAreNotPaused(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pacer(600, 1)
		p.Refused("host", "read", time.Minute)
		start := time.Now()
		if err := errors.Join(p.Wait(t.Context(), "host", "rare"), p.Wait(t.Context(), "other", "read"), p.Wait(t.Context(), "host", "unknown")); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("they waited %v", d)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pacer(60, 1)
		send(t, p, 1, 1, "read")
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(300*time.Millisecond, func() { cancel(cause) })
		start := time.Now()
		if err := p.Wait(ctx, "host", "read"); !errors.Is(err, cause) || time.Since(start) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := p.Wait(ctx, "host", "read"); !errors.Is(err, cause) {
			t.Error(err)
		}
		// The turn that was given up is free again.
		if send(t, p, 1, 1, "read"); time.Since(start) > time.Second {
			t.Errorf("the next went after %v", time.Since(start))
		}
	})
}

func TestDeadlineIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pacer(60, 1)
		p.Refused("host", "read", time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		err := p.Wait(ctx, "host", "read")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"read"`) || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pace.New(pace.Config{Limits: map[pace.Budget]int{"read": 1000}, Share: 1, Concurrency: 3})
		var mu sync.Mutex
		now, peak := 0, 0
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				leave, err := p.Enter(t.Context(), "host")
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				mu.Lock()
				now++
				peak = max(peak, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
			})
		}
		wait.Wait()
		if peak != 3 {
			t.Errorf("%d at a time", peak)
		}
		leaves := make([]func(), 0, 3)
		for range 3 {
			leave, _ := p.Enter(t.Context(), "host")
			leaves = append(leaves, leave)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Enter(ctx, "host"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for _, leave := range leaves {
			leave()
		}
	})
}

func TestOnWait(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var waits []time.Duration
		p := pace.New(pace.Config{Limits: map[pace.Budget]int{"read": 20}, Share: 1, OnWait: func(b pace.Budget, d time.Duration) {
			if b == "read" {
				waits = append(waits, d)
			}
		}})
		send(t, p, 3, 1, "read")
		if len(waits) != 2 || waits[0] != 3*time.Second {
			t.Errorf("%v", waits)
		}
	})
}

func TestRaise(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		p := pacer(600, 1)
		p.Raise("host", map[pace.Budget]int{"read": 1200, "rare": 1, "unknown": 5})
		u := p.Usage("host")
		if u["read"].PerMinute != 1200 || u["rare"].PerMinute != 60 {
			t.Errorf("%+v", u)
		}
	})
}
