package retention

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/crew"
)

// Progress is the state of a call of this package.
type Progress struct {
	Phase      string // list, read, check, delete, untag or undo
	Repository string
	Done, Of   int // manifests or tags of the repository in this phase
}

// defaultReads is how many repositories are read at a time.
const defaultReads = 4

// namesOf returns the names of repositories, sorted: those given, or all of the registry.
func namesOf(ctx context.Context, c *acr.Client, only []string) ([]string, error) {
	if err := checkNames(ctx, c, only); err != nil {
		return nil, err
	}
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

// checkNames fails if one of the names cannot be that of a repository. It sends nothing.
func checkNames(ctx context.Context, c *acr.Client, names []string) error {
	for _, name := range names {
		a := c.Repository(name).Artifact("latest")
		if a.Name() != (acr.ArtifactName{}) {
			continue
		}
		_, err := a.Digest(ctx) // says what is invalid
		if invalid, ok := errors.AsType[*acr.ArgumentError](err); ok && invalid.Argument == "repository" {
			return &acr.ArgumentError{Argument: "Repositories", Value: name, Reason: invalid.Reason}
		}
		return err
	}
	return nil
}

// inOrder calls do for the names, several at a time, and yields the results in the order of the
// names. An error ends it.
func inOrder[T any](ctx context.Context, names []string, parallel int, do func(context.Context, string) (T, error)) iter.Seq2[T, error] {
	type result struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var group crew.Group
		defer func() {
			cancel()
			group.Wait()
		}()
		var pending []chan result
		for len(names) > 0 || len(pending) > 0 {
			for len(names) > 0 && len(pending) < parallel {
				name, done := names[0], make(chan result, 1)
				names, pending = names[1:], append(pending, done)
				group.Go(func() {
					defer close(done)
					v, err := do(ctx, name)
					done <- result{v, err}
				})
			}
			r, ok := <-pending[0]
			pending = pending[1:]
			if !ok || !yield(r.value, r.err) || r.err != nil {
				return // if it is not ok, do panicked: then so does Wait
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
