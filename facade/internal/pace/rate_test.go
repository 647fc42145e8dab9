package pace_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/internal/pace"
)

// moved is bytes that one mover moved.
type moved struct {
	at    time.Time
	n     int64
	mover int
}

// share lets movers move bytes over a rate for five seconds, with buffers of 32 KiB of which move fills n bytes.
func share(t *testing.T, r *pace.Rate, movers int, move func(mover int, p []byte) int) []moved {
	t.Helper()
	var mu sync.Mutex
	var all []moved
	var group sync.WaitGroup
	began := time.Now()
	for m := range movers {
		group.Go(func() {
			for buf := make([]byte, 32<<10); ; {
				p, err := r.Take(t.Context(), buf)
				if err != nil {
					t.Error(err)
				}
				if time.Since(began) >= 5*time.Second {
					return
				}
				n := move(m, p)
				r.Return(len(p) - n)
				mu.Lock()
				all = append(all, moved{time.Now(), int64(n), m})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.SortFunc(all, func(a, b moved) int { return a.at.Compare(b.at) })
	return all
}

// In every second at most the rate passes, from the first one on, all of it is used, and each mover gets the same share.
func TestRate(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		perSecond int64
		movers    int
	}{{1 << 20, 1}, {1 << 20, 30}, {1 << 20, 150}, {64 << 10, 4}, {1 << 10, 10}, {500, 3}, {20, 2}, {1 << 30, 2}} {
		bubble(t, func(t *testing.T) {
			all := share(t, pace.NewRate(row.perSecond), row.movers, func(_ int, p []byte) int { return len(p) })
			total, piece, each := int64(0), int64(0), make([]int64, row.movers)
			for i, first, sum := 0, 0, int64(0); i < len(all); i++ {
				total, sum, piece = total+all[i].n, sum+all[i].n, max(piece, all[i].n)
				each[all[i].mover] += all[i].n
				for all[i].at.Sub(all[first].at) >= time.Second {
					sum, first = sum-all[first].n, first+1
				}
				if sum > row.perSecond+piece+row.perSecond/400 { // waits of up to two milliseconds are left out
					t.Fatalf("%+v: %d bytes within a second", row, sum)
				}
			}
			if rate := total / 5; rate < row.perSecond*95/100 || rate > row.perSecond*105/100+piece {
				t.Errorf("%+v: %d bytes a second", row, rate)
			}
			if row.perSecond < 1<<30 && slices.Max(each)-slices.Min(each) > 2*piece { // for less than leastPause there are no turns
				t.Errorf("%+v: shares from %d to %d bytes", row, slices.Min(each), slices.Max(each))
			}
		})
	}
}

// What a mover could not move is for the others: one that gets a tenth of what it asks for slows nobody down.
func TestRateReturns(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		const perSecond = 1 << 20
		all := share(t, pace.NewRate(perSecond), 2, func(mover int, p []byte) int {
			if mover == 0 {
				return len(p) / 10
			}
			return len(p)
		})
		total := int64(0)
		for _, m := range all {
			total += m.n
		}
		if rate := total / 5; rate < perSecond*95/100 || rate > perSecond*105/100 {
			t.Errorf("%d bytes a second", rate)
		}
	})
}

// A high rate is reached although each timer is late, as those of a system are.
func TestRateWithLateTimers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		perSecond int64
		piece     int
		movers    int
	}{{500 << 20, 32 << 10, 1}, {500 << 20, 128 << 10, 10}, {150 << 20, 16 << 10, 2}, {1 << 30, 64 << 10, 1}, {50 << 20, 4 << 10, 1}} {
		bubble(t, func(t *testing.T) {
			r := pace.NewRate(row.perSecond)
			var total atomic.Int64
			var group sync.WaitGroup
			began := time.Now()
			for range row.movers {
				group.Go(func() {
					for buf := make([]byte, row.piece); time.Since(began) < 2*time.Second; {
						before := time.Now()
						p, err := r.Take(t.Context(), buf)
						if err != nil {
							t.Error(err)
						}
						n := len(p)
						if time.Since(before) > 0 {
							<-time.After(time.Millisecond)
						}
						total.Add(int64(n))
					}
				})
			}
			group.Wait()
			if rate := float64(total.Load()) / time.Since(began).Seconds(); rate < 0.9*float64(row.perSecond) || rate > 1.1*float64(row.perSecond) {
				t.Errorf("%+v: %.0f bytes a second", row, rate)
			}
		})
	}
}

// No rate is no limit. A wait ends with the context, nothing may be moved then, and the time is given back.
func TestRateEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		began := time.Now()
		none := pace.NewRate(0)
		none.Return(math.MaxInt)
		if p, err := none.Take(t.Context(), make([]byte, 1<<20)); len(p) != 1<<20 || err != nil || time.Since(began) > 0 {
			t.Errorf("%d bytes, %v after %v", len(p), err, time.Since(began))
		}
		slow := pace.NewRate(1)
		if _, err := slow.Take(t.Context(), make([]byte, 1)); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		for range 100 { // the first waits, the others come after the end
			if p, err := slow.Take(ctx, make([]byte, 1)); len(p) > 0 || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%d bytes, %v", len(p), err)
			}
		}
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Error(took)
		}
		if p, err := slow.Take(t.Context(), make([]byte, 1)); len(p) != 1 || err != nil || time.Since(began) != time.Second {
			t.Errorf("%d bytes, %v after %v", len(p), err, time.Since(began))
		}
	})
}
