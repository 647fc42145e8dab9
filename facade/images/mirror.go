package images

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/acr"
)

// MirrorOptions are the options of Mirror.
type MirrorOptions struct {
	// Copy is how each image is copied. Of its fields, Platforms, KeepIndex, Referrers, Foreign,
	// MountFrom, Protect, Concurrency and Progress count.
	Copy CopyOptions

	// DryRun reports what would be done; nothing is copied. Default: it is done.
	DryRun bool
}

// MirrorState is what became of a tag.
type MirrorState string

// The states.
const (
	Mirrored MirrorState = "mirrored" // copied, or with DryRun to be copied
	UpToDate MirrorState = "up to date"
	Drifted  MirrorState = "drifted" // the target has the tag on another manifest, and MirrorRule.Move is not set
	Failed   MirrorState = "failed"
)

// MirroredTag is what became of one tag.
type MirroredTag struct {
	From, To string // repositories
	Tag      string
	State    MirrorState
	Report   *Report // of the copy or, with DryRun, its plan; nil if nothing had to be asked beyond the tag
	Err      error   // if State is Failed
}

// Mirror brings repositories of a registry to where the rules say, and yields what became of each
// tag: rule by rule, repository by repository, in the order of the tags' names. It copies what is
// missing and never deletes anything, so it can be run again at any time: a tag that is up to date
// costs one HEAD request at each side. With CopyOptions.Referrers or a selection of platforms it
// costs what Plan does, because a tag says nothing of those; but only one HEAD request at the
// target for each manifest, however many tags of a repository share it.
//
// A tag that fails does not stop the others. An error as the last pair ends the mirror: a rule that
// cannot be used, before anything is sent, or a list that cannot be read.
//
// Errors:
//   - [acr.ErrInvalidArgument] if a rule cannot be used
//   - the error of from if repositories or tags cannot be listed
func Mirror(ctx context.Context, from registry.Registry, to *acr.Client, rules []MirrorRule, opts *MirrorOptions) iter.Seq2[*MirroredTag, error] {
	return func(yield func(*MirroredTag, error) bool) {
		m := &mirror{from: from, to: to}
		if opts != nil {
			m.MirrorOptions = *opts
		}
		compiled := make([]*mirrorRule, 0, len(rules))
		for i, r := range rules {
			c, err := compileRule(r)
			if err != nil {
				yield(nil, fmt.Errorf("images: mirror: rule %d: %w: %w", i, acr.ErrInvalidArgument, err))
				return
			}
			compiled = append(compiled, c)
		}
		ctx, release := pin(ctx, from, OfClient(to))
		defer release()
		for _, r := range compiled {
			if more, err := m.rule(ctx, r, yield); err != nil {
				yield(nil, fmt.Errorf("images: mirror %s: %w", shown(r.From), err))
				return
			} else if !more {
				return
			}
		}
	}
}

// mirror is one run.
type mirror struct {
	MirrorOptions

	from registry.Registry
	to   *acr.Client
}

// rule mirrors the repositories of one rule.
func (m *mirror) rule(ctx context.Context, r *mirrorRule, yield func(*MirroredTag, error) bool) (more bool, err error) {
	var names []string
	if name, ok := r.from.Literal(); ok {
		names = []string{name}
	} else {
		err := m.from.Repositories(ctx, "", func(page []string) error {
			for _, name := range page {
				if r.from.Match(name) {
					names = append(names, name)
				}
			}
			return nil
		})
		if err != nil {
			return false, err
		}
		slices.Sort(names)
	}
	for _, name := range names {
		if more, err := m.repository(ctx, r, name, yield); err != nil || !more {
			return more, err
		}
	}
	return true, nil
}

// repository mirrors the tags of one repository. What they are on at both sides is asked for many
// at a time, before the first is copied.
func (m *mirror) repository(ctx context.Context, r *mirrorRule, name string, yield func(*MirroredTag, error) bool) (more bool, err error) {
	source, err := m.from.Repository(ctx, name)
	if err != nil {
		return false, err
	}
	target := Of(m.to.Repository(r.target(name)))
	tags, err := r.list(ctx, source)
	if err != nil {
		return false, fmt.Errorf("%s: %w", shown(name), err)
	}
	asked := make([]*MirroredTag, 0, len(tags))
	for _, tag := range tags {
		asked = append(asked, &MirroredTag{From: name, To: target.acr.Name(), Tag: tag})
	}
	err = each(ctx, defaultConcurrency, asked, func(ctx context.Context, t *MirroredTag) error {
		m.ask(ctx, r, source, target, t)
		return nil
	})
	if err != nil {
		return false, err
	}
	known := map[digest.Digest]bool{}
	for _, t := range asked {
		if t.State == "" {
			m.copy(ctx, r, source, target, t, known)
		}
		if !yield(t, nil) {
			return false, nil
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return true, nil
}

// ask finds out whether a tag is where it should be. It leaves the state empty if there is
// something to copy.
func (m *mirror) ask(ctx context.Context, r *mirrorRule, source registry.Repository, target *Repository, t *MirroredTag) {
	if m.Copy.Referrers || len(m.Copy.Platforms) > 0 {
		return // what the tag is on does not say whether all is there
	}
	want, err := source.Resolve(ctx, t.Tag)
	if err != nil {
		t.State, t.Err = Failed, &CopyError{Side: FromSource, Place: placeOf(source), Role: "tag", Name: t.Tag, Err: err}
		return
	}
	have, err := target.Resolve(ctx, t.Tag)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
	case err != nil:
		t.State, t.Err = Failed, &CopyError{Side: AtTarget, Place: target.String(), Role: "tag", Name: t.Tag, Err: err}
	case have.Digest == want.Digest:
		t.State = UpToDate
	case !r.Move:
		t.State = Drifted
	}
}

// copy copies one tag. What it learns of the target is known to the next one: tags may share manifests.
func (m *mirror) copy(ctx context.Context, r *mirrorRule, source registry.Repository, target *Repository, t *MirroredTag, known map[digest.Digest]bool) {
	o := m.Copy
	o.AllTags, o.IfAbsent = false, !r.Move
	j, err := newJob(source, t.Tag, target, t.Tag, &o)
	if err != nil {
		t.State, t.Err = Failed, err
		return
	}
	j.known = known
	if m.DryRun {
		t.Report, t.Err = j.plan(ctx)
	} else {
		t.Report, t.Err = j.copy(ctx)
	}
	for _, n := range j.manifests {
		if n.present {
			known[n.Descriptor.Digest] = true
		}
	}
	switch {
	case errors.Is(t.Err, acr.ErrTagExists):
		t.State, t.Err = Drifted, nil
	case t.Err != nil:
		t.State = Failed
	case t.Report.upToDate():
		t.State = UpToDate
	default:
		t.State = Mirrored
	}
}

// upToDate tells whether nothing had to be sent or set.
func (r *Report) upToDate() bool {
	return !slices.ContainsFunc(r.Nodes, func(n Node) bool { return n.Action == Send || n.Action == Mount }) &&
		!slices.ContainsFunc(r.Tags, func(t TagMove) bool { return t.From != t.To })
}
