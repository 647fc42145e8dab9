package model_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

var (
	sequences = flag.Int("model.sequences", acrsuite.UnderRace(50, 200), "random sequences of TestModel")
	modelSeed = flag.Uint64("model.seed", 0, "seed of TestModel; 0: SEED of the environment, else another one each time")
	sequence  = flag.Int("model.sequence", -1, "the one sequence of TestModel to run, with -model.seed")
)

// TestModel: after every call of a random sequence of calls, the registry is as the model is, and the call has returned what the model
// returns. A fault that passes changes neither; after one that does not, the call has been carried out or has not. A sequence that
// fails is made as short as it can be, and printed with how to run it again.
func TestModel(t *testing.T) {
	t.Parallel()
	seed := acrsuite.SeedOr(t, *modelSeed)
	t.Logf("-model.seed=%d -model.sequences=%d", seed, *sequences)
	const batch = 100 // to a registry
	first, end := 0, *sequences
	if *sequence >= 0 {
		first, end = *sequence, *sequence+1
	}
	var total count
	t.Run("batches", func(t *testing.T) {
		for from := first; from < end; from += batch {
			t.Run(strconv.Itoa(from), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					srv := start(t)
					network := srv.HTTPClient().Transport
					for n := from; n < min(from+batch, end) && !t.Failed(); n++ {
						steps := randomSteps(seed, n)
						if at, err := run(t, srv, network, dir, fmt.Sprintf("model/c%06d/", n), steps, &total); err != nil {
							steps, err = shorten(t, dir, steps[:at+1], err)
							t.Errorf("%v\n%s\n[go test ./facade/internal/acrsuite/model -run '^TestModel$' -args -model.seed=%d -model.sequence=%d]",
								err, listing(steps), seed, n)
						}
					}
				})
			})
		}
	})
	fmt.Fprintf(os.Stdout, "model: %d sequences, %d calls, %d of them with a fault and %d pairs at the same time, seed %d\n",
		end-first, total.steps, total.faults, total.pairs, seed)
}

// count is how much was tried.
type count struct {
	mu                   sync.Mutex
	steps, faults, pairs int
}

func (c *count) add(fault, pair bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps++
	if fault {
		c.faults++
	}
	if pair {
		c.steps++
		c.pairs++
	}
}

func start(t *testing.T) *acrtest.Server {
	t.Helper()
	return acrtest.New(t, acrtest.WithMemoryNetwork(), acrtest.WithSoftDelete(int(retention.Hours()/24)), acrtest.WithLedgerSize(1000))
}

// pass lets time pass in the bubble.
func pass(d time.Duration) { time.Sleep(d) }

func randomSteps(seed uint64, n int) []step {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	steps := make([]step, 4+rng.IntN(24))
	for i := range steps {
		steps[i] = draw(rng)
	}
	return steps
}

// run runs a sequence against repositories of its own and returns the step that failed, and why.
func run(t *testing.T, srv *acrtest.Server, network http.RoundTripper, dir, prefix string, steps []step, total *count) (int, error) {
	t.Helper()
	w := newWorld(t, srv, network, dir, prefix)
	defer w.close()
	for i := 0; i < len(steps); i++ {
		s := steps[i]
		beside := s.Beside && i+1 < len(steps) && s.isAtomic() && steps[i+1].isAtomic()
		var err error
		if beside {
			i++
			err = w.both([2]step{s, steps[i]})
		} else {
			err = w.do(s)
		}
		if err != nil {
			return i, err
		}
		total.add(s.Fault != "", beside)
	}
	return len(steps) - 1, w.compare()
}

// maxRuns bounds how often a sequence that fails is run to make it shorter.
const maxRuns = 300

// shorten leaves out steps, and faults, as long as what remains fails, each time at a registry of its own.
func shorten(t *testing.T, dir string, steps []step, why error) ([]step, error) {
	t.Helper()
	runs := 0
	fails := func(steps []step) bool {
		if runs++; runs > maxRuns {
			return false
		}
		srv := start(t)
		defer srv.Close()
		_, err := run(t, srv, srv.HTTPClient().Transport, dir, "model/short/", steps, new(count))
		if err != nil {
			why = err
		}
		return err != nil
	}
	for size := len(steps) / 2; size > 0; {
		shorter := false
		for from := 0; from+size <= len(steps); {
			if less := slices.Delete(slices.Clone(steps), from, from+size); fails(less) {
				steps, shorter = less, true
			} else {
				from += size
			}
		}
		if size > 1 {
			size /= 2
		} else if !shorter {
			break
		}
	}
	for i := range steps {
		if plain := slices.Clone(steps); plain[i].Fault != "" {
			plain[i].Fault = ""
			if fails(plain) {
				steps = plain
			}
		}
	}
	return steps, why
}

func listing(steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "%3d. %v\n", i+1, s)
	}
	return b.String()
}
