package pace_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/internal/pace"
)

// In every second at most the rate passes, and all of it is used, however many share it.
func TestRate(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		perSecond int64
		movers    int
	}{{1 << 20, 1}, {1 << 20, 30}, {64 << 10, 4}, {500, 3}, {1 << 30, 2}} {
		bubble(t, func(t *testing.T) {
			r := pace.NewRate(row.perSecond)
			type moved struct {
				at time.Time
				n  int64
			}
			var mu sync.Mutex
			var all []moved
			var group sync.WaitGroup
			began := time.Now()
			for range row.movers {
				group.Go(func() {
					for buf := make([]byte, 32<<10); time.Since(began) < 5*time.Second; {
						n := len(r.Piece(buf))
						r.Wait(t.Context(), n)
						mu.Lock()
						all = append(all, moved{time.Now(), int64(n)})
						mu.Unlock()
					}
				})
			}
			group.Wait()
			slices.SortFunc(all, func(a, b moved) int { return a.at.Compare(b.at) })
			total := int64(0)
			for i, first, sum := 0, 0, int64(0); i < len(all); i++ {
				total, sum = total+all[i].n, sum+all[i].n
				for all[i].at.Sub(all[first].at) >= time.Second {
					sum, first = sum-all[first].n, first+1
				}
				if float64(sum) > 1.05*float64(row.perSecond) {
					t.Fatalf("%+v: %d bytes within a second", row, sum)
				}
			}
			if rate := float64(total) / time.Since(began).Seconds(); rate < 0.95*float64(row.perSecond) || rate > 1.05*float64(row.perSecond) {
				t.Errorf("%+v: %.0f bytes a second", row, rate)
			}
		})
	}
}

// No rate is no limit, and a wait ends with the context.
func TestRateEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		began := time.Now()
		none := pace.NewRate(0)
		none.Wait(t.Context(), math.MaxInt)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		pace.NewRate(1).Wait(ctx, 1000)
		if took := time.Since(began); took != time.Second || len(none.Piece(make([]byte, 1<<20))) != 1<<20 {
			t.Error(took)
		}
	})
}
