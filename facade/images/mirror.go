package images

import (
	"cmp"
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
	// Copy is how each image is copied. AllTags and IfAbsent have no effect.
	Copy CopyOptions

	// DryRun reports what Mirror would copy, and copies nothing. Default: Mirror copies.
	DryRun bool
}

// MirrorState is the result for a tag.
type MirrorState string

// The states.
const (
	Mirrored MirrorState = "mirrored" // was copied; with DryRun: would be copied
	UpToDate MirrorState = "up to date"
	Drifted  MirrorState = "drifted" // not copied: the target has the tag on another manifest, and MirrorRule.Move is not set
	Failed   MirrorState = "failed"
)

// MirroredTag is the result of Mirror for one tag.
type MirroredTag struct {
	From, To string // repositories
	Tag      string
	State    MirrorState
	Report   *Report // of Copy or, with DryRun, of Plan; nil if a comparison of the tags was sufficient
	Err      error   // if State is Failed
}

// Mirror copies the tags that the rules select from another registry, and yields the result for
// each tag: rule by rule, repository by repository, sorted by tag. It copies what is missing and
// deletes nothing, so it can be run again at any time.
//
// It costs the lists of repositories and tags, and one HEAD request at each side for each tag. A
// tag that is copied costs the requests of Copy. With CopyOptions.Referrers or Platforms, each tag
// costs the requests of Plan, because the tags alone do not show what is missing; tags of the same
// manifest share its HEAD request at the target.
//
// A tag that fails does not stop the others. An error as the last pair ends the iteration.
//
// Errors:
//   - [acr.ErrInvalidArgument] if from or to is nil or a rule is invalid; nothing is sent then
//   - the error of from if repositories or tags cannot be listed
func Mirror(ctx context.Context, from registry.Registry, to *acr.Client, rules []MirrorRule, opts *MirrorOptions) iter.Seq2[*MirroredTag, error] {
	return func(yield func(*MirroredTag, error) bool) {
		m := &mirror{from: from, to: to}
		if opts != nil {
			m.MirrorOptions = *opts
		}
		if err := cmp.Or(checkMade("source", from), checkMade("target", to)); err != nil {
			yield(nil, err)
			return
		}
		compiled := make([]*mirrorRule, 0, len(rules))
		for i, r := range rules {
			c, err := compileRule(r)
			if err != nil {
				yield(nil, &acr.ArgumentError{Argument: fmt.Sprintf("rules[%d]", i), Reason: err.Error()})
				return
			}
			if name, known := c.soleTarget(); known {
				err := Of(to.Repository(name)).checkName()
				if e, ok := errors.AsType[*acr.ArgumentError](err); ok && e.Argument == "repository" {
					yield(nil, &acr.ArgumentError{Argument: fmt.Sprintf("rules[%d]", i), Value: name, Reason: e.Reason})
					return
				}
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
