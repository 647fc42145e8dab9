package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/internal/graph"
	"github.com/acrkit/acrkit/facade/internal/match"
)

// MirrorRule says which tags of a repository, or of several, another registry is to have as well.
type MirrorRule struct {
	// From is the source's repository. One "*" stands for any text without "/", and one "**" for
	// any text.
	From string `json:"from"`

	// To is the target's repository; a "*" in it is what the wildcard of From stood for. Default:
	// the name at the source.
	To string `json:"to,omitzero"`

	// Tags selects tags by whole names with the same wildcards, and Versions those that are
	// versions in a range such as ">=1.4 <2". One of the two is required; with both, a tag must
	// match both. Wildcards do not select referrers tags ("sha256-..." without a suffix), under
	// which a registry without a referrers API lists referrers: the target has lists of its own,
	// and CopyOptions.Referrers adds to them.
	Tags     []string `json:"tags,omitempty"`
	Versions string   `json:"versions,omitzero"`

	// Except leaves out tags that Tags and Versions select.
	Except []string `json:"except,omitempty"`

	// Newest keeps only so many of the selected tags, those of the highest versions. It needs
	// Versions. Default: all.
	Newest int `json:"newest,omitzero"`

	// Move moves a tag that is on another manifest at the target. Default: it is reported as
	// Drifted and left alone.
	Move bool `json:"move,omitzero"`
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

// target is the name of a repository at the target.
func (r *mirrorRule) target(name string) string {
	if r.To == "" {
		return name
	}
	group, _ := r.from.Group(name)
	return strings.Replace(strings.Replace(r.To, "**", "*", 1), "*", group, 1)
}

// list returns the tags that the rule selects, in order.
func (r *mirrorRule) list(ctx context.Context, source registry.Repository) ([]string, error) {
	var tags []string
	literal, named := r.tags.Literals()
	if named = named && r.tags.Len() > 0 && r.versions == nil; named {
		tags = slices.Clone(literal) // no list is needed
	} else if err := source.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil {
		return nil, err
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool {
		version, isVersion := match.ParseVersion(tag)
		if _, suffix, attached := graph.AttachedTag(tag); attached && suffix == "" && !named {
			return true
		}
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
