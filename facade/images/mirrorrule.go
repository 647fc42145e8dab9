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

// MirrorRule selects tags of one or several repositories for Mirror.
type MirrorRule struct {
	// From is the name of the source repository. It may have one wildcard: "*" matches any text
	// without "/", and "**" any text.
	From string `json:"from"`

	// To is the name of the target repository. A "*" in it is replaced by the text that the
	// wildcard of From matched. Default: the name at the source.
	To string `json:"to,omitzero"`

	// Tags selects tags by name, with the same wildcards. Versions selects tags that are versions
	// in a range such as ">=1.4 <2". One of the two is required; with both, a tag must match both.
	// Wildcards do not match referrers tags ("sha256-..." without a suffix), in which registries
	// without a referrers API list referrers. The target has its own, and CopyOptions.Referrers
	// adds to them.
	Tags     []string `json:"tags,omitempty"`
	Versions string   `json:"versions,omitzero"`

	// Except excludes tags by name, with the same wildcards. Default: none.
	Except []string `json:"except,omitempty"`

	// Newest is the maximum number of selected tags: those with the highest versions. It requires
	// Versions. Default: all.
	Newest int `json:"newest,omitzero"`

	// Move moves a tag that is on another manifest at the target. Default: such a tag stays, and is
	// reported as Drifted.
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

// soleTarget returns the name of the repository at the target, if it is known without a list of those at the source.
func (r *mirrorRule) soleTarget() (name string, known bool) {
	if r.To != "" {
		return r.To, !strings.Contains(r.To, "*")
	}
	return r.from.Literal()
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
