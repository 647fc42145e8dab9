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

// ApplyOptions are the options of [Apply]. Journal is required.
type ApplyOptions struct {
	// Journal receives what Undo needs: one JSON line before each deletion, with the content of the
	// manifest, and one after it. If the line cannot be written, Apply does not delete the
	// manifest. If Journal has a method Sync, as *os.File has, Apply calls it before each batch.
	// Open a file with os.O_APPEND, so that a later run appends to the lines of the one before.
	Journal io.Writer

	// Approved is the ID of the plan that a person approved. Apply refuses a plan with another ID.
	// Default: any plan.
	Approved digest.Digest

	// MaxAge is the maximum age of the plan. Default: 24 hours.
	MaxAge time.Duration

	// InUse are sources of references that are in use, at least as many as the plan was made with.
	// They are read before the first deletion, and again every ten minutes.
	InUse []InUse

	// Cache is the Cache of the plan. Without it, Apply reads every manifest again, and Delete
	// rules with By [Untagging] delete nothing. Default: none.
	Cache Cache

	// Batch is the number of manifests that Apply deletes before it looks for manifests that were
	// pushed meanwhile. An image, its referrers and what lists those are always in one batch, which
	// may be larger for that. Default: 50.
	Batch int

	// Concurrency is the maximum number of deletions at the same time. With more of them, more time
	// may pass between the check of a manifest and its deletion. With 1, only one request is sent
	// at a time. Default: 8.
	Concurrency int

	// MaxChanged is the maximum number of planned deletions of a repository that are no longer
	// right when Apply checks them. If there are more, Apply deletes nothing more in the
	// repository, whose state is [Stopped]. Default: 10, or 5 percent of the deletions if that is
	// more.
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

// Apply deletes what the plan lists, if the rules would still delete it. It reads each repository
// again and makes a new plan for it; what only one of the two plans deletes stays. Right before
// each deletion, Apply checks that the manifest, its tags and its locks are as planned. Before and
// after each batch it looks for manifests that were pushed meanwhile. What those need, and what
// is needed by something that stays after all, stays or is restored with its signatures and other
// referrers. The Result lists what was not deleted, with the reason.
//
// An index is deleted before its images, and an image before its signatures, so if Apply is
// interrupted, no image is left without one of its parts. (The list of an image's referrers, under
// the tag sha256-<hex>, may be left without them.) To continue, apply the same plan again, or a new
// one. If an index is already deleted and the plan was read from a file, Apply deletes the
// images of that index only if Approved is set, because only the plan says what they belonged to.
//
// The registry has no conditional delete. A tag that somebody sets on a manifest in the moment
// between the last check of it and its deletion, about one round trip, is lost with the manifest;
// Undo restores the manifest. The same is true if somebody pushes an index and hides it from lists
// (ListEnabled false) before Apply has seen it: then what the index needs may be lost.
//
// It costs the lists that Make requests, one list for each batch and, for each manifest, one
// deletion and two reads, or three if it has tags. A tag that is deleted alone costs two requests,
// or three if it is a cosign tag. The largest repository and the manifests of three batches are in
// memory.
//
// Errors:
//   - [ErrPlan] if the plan is too old, of another registry, or not the approved one
//   - [ErrJournal] if there is no journal, or it cannot be written; then nothing more is deleted
//   - [ErrInUse] if there are fewer sources than the plan had, or if one fails or names no
//     reference of the registry
//   - [ErrClock] if the registry's responses have no date, or if the plan is newer than that date
//   - those of [acr.Client.Repositories] if the registry's time cannot be read
//   - the context's error if it ends
//
// If Apply fails after it has begun, it returns the Result too. A manifest or tag that was not
// deleted is not an error: call [Result.Complete] to find out whether everything was done.
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
		bodies: map[digest.Digest]*body{}, looked: map[digest.Digest]time.Time{}, recent: map[digest.Digest]*item{}, planned: map[digest.Digest]bool{},
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
