package retention

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/acrkit/acrkit/facade/acr"
)

// Progress says how far a plan or an apply has got.
type Progress struct {
	Phase      string // list, read, check, delete, untag or undo
	Repository string
	Done, Of   int // manifests or tags of the repository in this phase
}

// defaultReads is how many repositories are read at a time.
const defaultReads = 4

// namesOf returns the names of repositories, sorted: those given, or all of the registry.
func namesOf(ctx context.Context, c *acr.Client, only []string) ([]string, error) {
	names := slices.Clone(only)
	if len(only) == 0 {
		var err error
		if names, err = acr.Collect(c.Repositories(ctx, nil)); err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// inOrder calls do for the names, several at a time, and yields the results in the order of the
// names. An error ends it.
func inOrder[T any](ctx context.Context, names []string, parallel int, do func(context.Context, string) (T, error)) iter.Seq2[T, error] {
	type result struct {
		value T
		err   error
		panic any
	}
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var pending []chan result
		defer func() {
			cancel()
			for _, done := range pending {
				<-done
			}
		}()
		for len(names) > 0 || len(pending) > 0 {
			for len(names) > 0 && len(pending) < parallel {
				name, done := names[0], make(chan result, 1)
				names, pending = names[1:], append(pending, done)
				go func() {
					var r result
					defer func() { // raised where the result is taken
						r.panic = recover()
						done <- r
					}()
					r.value, r.err = do(ctx, name)
				}()
			}
			r := <-pending[0]
			pending = pending[1:]
			if r.panic != nil {
				panic(r.panic)
			}
			if !yield(r.value, r.err) || r.err != nil {
				return
			}
		}
	}
}

// teller makes calls of Progress one at a time.
func teller(progress func(Progress)) func(phase, repository string, done, of int) {
	if progress == nil {
		return func(string, string, int, int) {}
	}
	var mu sync.Mutex
	return func(phase, repository string, done, of int) {
		mu.Lock()
		defer mu.Unlock()
		progress(Progress{phase, repository, done, of})
	}
}
