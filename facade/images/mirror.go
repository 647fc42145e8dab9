package images

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/match"
)

// MirrorRule says which tags of a repository, or of several, another registry is to have as well.
type MirrorRule struct {
	// From is the source's repository. One "*" stands for any text without "/", and one "**" for any text.
	From string `json:"from"`

	// To is the target's repository; a "*" in it is what the wildcard of From stood for. Default: the name at the source.
	To string `json:"to,omitzero"`

	// Tags selects tags by whole names with the same wildcards, and Versions those that are versions in a range such as
	// ">=1.4 <2". One of the two is required; with both, a tag must match both.
	Tags     []string `json:"tags,omitempty"`
	Versions string   `json:"versions,omitzero"`

	// Except leaves out tags that Tags and Versions select.
	Except []string `json:"except,omitempty"`

	// Newest keeps only so many of the selected tags, those of the highest versions. It needs Versions. Default: all.
	Newest int `json:"newest,omitzero"`

	// Move moves a tag that is on another manifest at the target. Default: it is reported as Drifted and left alone.
	Move bool `json:"move,omitzero"`
}

// MirrorOptions are the options of Mirror.
type MirrorOptions struct {
	// Copy is how each image is copied. Of its fields, Platforms, KeepIndex, Referrers, Foreign, MountFrom, Protect,
	// Concurrency and Progress count.
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

// Mirror brings repositories of a registry to where the rules say, and yields what became of each tag: rule by rule,
// repository by repository, in the order of the tags' names. It copies what is missing and never deletes anything, so it can
// be run again at any time: a tag that is up to date costs one HEAD request at each side. With CopyOptions.Referrers or a
// selection of platforms it costs what Plan does, because a tag says nothing of those.
//
// A tag that fails does not stop the others. An error as the last pair ends the mirror: a rule that cannot be used, before
// anything is sent, or a list that cannot be read.
//
// Errors:
//   - [acr.ErrInvalidArgument] for a rule
//   - those of the source's lists
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
		ctx, release := to.PinAddress(ctx)
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

// mirrorRule is a rule with its patterns compiled.
type mirrorRule struct {
	MirrorRule

	from         *match.Pattern
	tags, except *match.Set
	versions     *match.Range
}

func compileRule(r MirrorRule) (*mirrorRule, error) {
	c := &mirrorRule{MirrorRule: r}
	var err error
	if c.from, err = match.Glob(r.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if c.from.Groups() > 1 || strings.Count(r.To, "*") > c.from.Groups() {
		return nil, errors.New("from takes one wildcard, and to one only if from has it")
	}
	if len(r.Tags) == 0 && r.Versions == "" {
		return nil, errors.New("it selects no tags: tags or versions is required")
	}
	if r.Newest < 0 || r.Newest > 0 && r.Versions == "" {
		return nil, errors.New("newest must not be negative, and needs versions")
	}
	var faults []match.PatternError
	if c.tags, faults = match.NewSet(r.Tags, nil); len(faults) > 0 {
		return nil, fmt.Errorf("tags: %w", faults[0].Err)
	}
	if c.except, faults = match.NewSet(r.Except, nil); len(faults) > 0 {
		return nil, fmt.Errorf("except: %w", faults[0].Err)
	}
	if r.Versions != "" {
		if c.versions, err = match.ParseRange(r.Versions); err != nil {
			return nil, fmt.Errorf("versions: %w", err)
		}
	}
	return c, nil
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

// target is the name of a repository at the target.
func (r *mirrorRule) target(name string) string {
	if r.To == "" {
		return name
	}
	group, _ := r.from.Group(name)
	return strings.Replace(strings.Replace(r.To, "**", "*", 1), "*", group, 1)
}

// repository mirrors the tags of one repository. What they are on at both sides is asked for many at a time, before the first
// is copied.
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
	for _, t := range asked {
		if t.State == "" {
			m.copy(ctx, r, source, target, t)
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

// list returns the tags that the rule selects, in order.
func (r *mirrorRule) list(ctx context.Context, source registry.Repository) ([]string, error) {
	var tags []string
	if literal, ok := r.tags.Literals(); ok && r.tags.Len() > 0 && r.versions == nil {
		tags = slices.Clone(literal) // no list is needed
	} else if err := source.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil {
		return nil, err
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool {
		version, isVersion := match.ParseVersion(tag)
		return r.tags.Len() > 0 && !r.tags.Match(tag) || r.except.Match(tag) || r.versions != nil && (!isVersion || !r.versions.Match(version))
	})
	if r.Newest > 0 && len(tags) > r.Newest {
		slices.SortFunc(tags, func(a, b string) int {
			x, _ := match.ParseVersion(a)
			y, _ := match.ParseVersion(b)
			if c := y.Compare(x); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		})
		tags = tags[:r.Newest]
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// ask finds out whether a tag is where it should be. It leaves the state empty if there is something to copy.
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

// copy copies one tag.
func (m *mirror) copy(ctx context.Context, r *mirrorRule, source registry.Repository, target *Repository, t *MirroredTag) {
	o := m.Copy
	o.AllTags, o.IfAbsent = false, !r.Move
	do := Copy
	if m.DryRun {
		do = Plan
	}
	t.Report, t.Err = do(ctx, source, t.Tag, target, t.Tag, &o)
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
