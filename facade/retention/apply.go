package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// ApplyOptions are the choices of Apply. Journal is required.
type ApplyOptions struct {
	// Journal receives what Undo needs: one JSON line before each deletion, with the content of the
	// manifest, and one after it. What cannot be written to it is not deleted. If it has a method
	// Sync, such as *os.File, that is called before each batch. Open a file with os.O_APPEND, so
	// that a later run appends to the lines of the one before.
	Journal io.Writer

	// Approved is the ID of the plan that somebody approved. Default: the plan at hand.
	Approved digest.Digest

	// MaxAge is how old the plan may be. Default: 24 hours.
	MaxAge time.Duration

	// InUse are sources of references that are in use, at least as many as the plan was made with.
	// They are read before the first deletion, and again every ten minutes.
	InUse []InUse

	// Cache is that of the plan. Without it, every manifest is read again, and rules that go by the
	// time of untagging delete nothing.
	Cache Cache

	// Batch is how many manifests are deleted before Apply looks for manifests that were pushed
	// meanwhile. Default: 50.
	Batch int

	// Concurrency is how many deletions are in flight. The more there are, the longer a deletion
	// may wait for its turn after its manifest was checked. With 1, only one request is sent at a
	// time. Default: 8.
	Concurrency int

	// MaxChanged is how many of a repository's planned deletions may turn out to be no longer right
	// before the repository is left as it is. Default: 10, or one in twenty if that is more.
	MaxChanged int

	// Progress, if not nil, is called often, from several goroutines, but never at the same time.
	Progress func(Progress)
}

const (
	defaultMaxPlanAge = 24 * time.Hour
	defaultBatch      = 50
	defaultDeletions  = 8
	defaultMaxChanged = 10
	judgeAgainAfter   = 10 * time.Minute
)

// Apply deletes what the plan lists, as far as its rules would delete it now as well. It reads and
// judges each repository again, and keeps to what both the plan and the new judgement delete. Right
// before each deletion it checks that the manifest, its tags and its locks are as planned, and
// around each batch it looks for manifests that were pushed meanwhile: what those need is left, or
// put back. What was left is in the Result, with the reason.
//
// An index is deleted before its images, and an image before its signatures, so an apply that is
// interrupted at any point leaves no image without one of its parts. Apply the same plan again, or
// a new one, to go on. Of a plan that was read from a file, the images of an index that is gone
// already are deleted only if Approved is set: nothing but the plan says what they belonged to.
//
// The registry has no conditional delete. A tag that somebody sets on a manifest in the moment
// between the last check of it and its deletion, about one round trip, is lost with the manifest;
// Undo puts the manifest back. The same is true of what a new index needs that somebody pushes and
// hides from lists (ListEnabled false) before Apply has looked for it.
//
// It costs the lists of the plan, two reads for each manifest and one more if it has tags, one
// deletion, and one list for each batch. Memory: the largest repository, and the manifests of three
// batches.
//
// Errors:
//   - [ErrPlan] if the plan is too old, of another registry, or not the approved one
//   - [ErrJournal] if there is no journal, or it cannot be written; then nothing more is deleted
//   - [ErrInUse] if there are fewer sources than the plan had, one fails, or one names nothing
//   - [ErrClock] if the registry does not tell its time, or the plan was made after it
//   - the context's error if it ends
//
// What happened to single repositories, manifests and tags is in the Result, also if there is an
// error: call [Result.Complete], because what was left is not an error.
func Apply(ctx context.Context, c *acr.Client, plan *Plan, opts *ApplyOptions) (*Result, error) {
	ctx, release := c.PinAddress(ctx) // what is read and what is deleted belong to one replica
	defer release()
	a, err := newApplier(ctx, c, plan, opts)
	if err != nil {
		return nil, err
	}
	for _, p := range plan.Repositories {
		r := &RepositoryResult{Name: p.Name, State: Done}
		a.result.Repositories = append(a.result.Repositories, r)
		if p.Refused != nil {
			r.State, r.Detail = Refused, p.Refused.Text
			continue
		}
		if err := a.repository(ctx, p, r); err != nil {
			r.State, r.Detail = Interrupted, err.Error()
			return a.result, err
		}
	}
	return a.result, nil
}

// applier applies one plan.
type applier struct {
	client   *acr.Client
	plan     *Plan
	policies []*compiled
	opts     ApplyOptions
	reader   *reader
	journal  *journal
	used     inUse
	usedAt   time.Time // local time when the sources were read
	result   *Result
}

func newApplier(ctx context.Context, c *acr.Client, plan *Plan, opts *ApplyOptions) (*applier, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	a := &applier{client: c, plan: plan, result: &Result{Plan: plan.ID()}}
	if opts != nil {
		a.opts = *opts
	}
	a.opts.MaxAge = positive(a.opts.MaxAge, defaultMaxPlanAge)
	a.opts.Batch = positive(a.opts.Batch, defaultBatch)
	a.opts.Concurrency = positive(a.opts.Concurrency, defaultDeletions)
	foreign := plan.isOf(c)
	switch {
	case a.opts.Journal == nil:
		return nil, fmt.Errorf("retention: %w: ApplyOptions.Journal is required: without it nothing can be undone", ErrJournal)
	case foreign != nil:
		return nil, foreign
	case len(a.opts.InUse) < plan.InUse:
		return nil, fmt.Errorf("retention: %w: the plan was made with %d sources, and ApplyOptions.InUse has %d", ErrInUse, plan.InUse, len(a.opts.InUse))
	case a.opts.Approved != "" && a.opts.Approved != a.result.Plan:
		return nil, fmt.Errorf("retention: %w: its ID is %s, and %s was approved", ErrPlan, a.result.Plan, a.opts.Approved)
	}
	var err error
	if a.policies, err = plan.Rules.compile(); err != nil {
		return nil, err
	}
	if err := a.readInUse(ctx); err != nil {
		return nil, err
	}
	clock, err := readClock(ctx, c)
	if err != nil {
		return nil, err
	}
	switch age := clock.registry.Sub(plan.Made); {
	case age > a.opts.MaxAge:
		return nil, fmt.Errorf("retention: %w: it is %v old, and ApplyOptions.MaxAge is %v: make a new one", ErrPlan, age.Round(time.Second), a.opts.MaxAge)
	case age < -clockTolerance:
		return nil, fmt.Errorf("retention: %w: the plan was made at %s, and the registry's clock says %s", ErrClock, plan.Made.Format(time.RFC3339), clock.registry.Format(time.RFC3339))
	}
	a.reader = &reader{client: c, clock: clock, cache: a.opts.Cache, tell: teller(a.opts.Progress)}
	a.journal = &journal{w: a.opts.Journal, clock: clock}
	return a, a.begin()
}

// begin writes the head of the journal, if anything is to be deleted at all.
func (a *applier) begin() error {
	for _, p := range a.plan.Repositories {
		if len(p.Delete)+len(p.Untag) > 0 {
			if err := a.journal.write(entry{Version: journalVersion, Plan: a.result.Plan, Registry: a.plan.Registry}); err != nil {
				return err
			}
			return a.journal.sync()
		}
	}
	return nil
}

func (a *applier) readInUse(ctx context.Context) (err error) {
	a.used, err = readInUse(ctx, a.client, a.opts.InUse)
	a.usedAt = time.Now()
	return err
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// repository applies the plan of one repository. An error ends the whole apply.
func (a *applier) repository(ctx context.Context, p *RepositoryPlan, result *RepositoryResult) error {
	if len(p.Delete)+len(p.Untag) == 0 {
		return nil
	}
	r := &run{applier: a, plan: p, repo: a.client.Repository(p.Name), result: result,
		bodies: map[digest.Digest]*body{}, fresh: map[digest.Digest]bool{}, recent: map[digest.Digest]*item{}, planned: map[digest.Digest]bool{},
		seenTags: map[string]bool{},
	}
	for _, m := range p.Delete {
		r.planned[m.Digest] = true
	}
	err := r.judge(ctx)
	if err == nil {
		err = r.deleteAll(ctx)
	}
	if err == nil {
		err = r.untagAll(ctx)
	}
	if stop, ok := errors.AsType[*stopError](err); ok {
		result.State, result.Detail = stop.state, stop.text
		return nil
	}
	return err
}

// stopError ends one repository.
type stopError struct {
	state State
	text  string
}

func (e *stopError) Error() string { return e.text }

func stop(state State, format string, args ...any) error {
	return &stopError{state, fmt.Sprintf(format, args...)}
}
