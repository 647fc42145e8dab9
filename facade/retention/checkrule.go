package retention

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"github.com/acrkit/acrkit/facade/internal/match"
)

func (c *checker) keep(path string, p *Policy, k *Keep) compiledRule {
	r := c.rule(path, p, k.Name, &k.Select)
	r.keep = k
	if k.Newest < 0 {
		c.fault(path+".newest", "it must not be negative")
	}
	c.age(path+".within", k.Within)
	switch k.Order {
	case "", ByUpdated, ByCreated:
	case BySemver:
		if r.tags == nil {
			c.fault(path+".order", "only tags have versions")
		}
	default:
		c.fault(path+".order", "%.40q is not an order: %q, %q or %q", k.Order, ByUpdated, ByCreated, BySemver)
	}
	if k.Order != "" && k.Newest == 0 {
		c.fault(path+".order", "an order needs newest")
	}
	if r.tags != nil && r.tags.Grouped() && k.Newest == 0 {
		c.fault(path+".tags.regexp", "a group is counted by newest, which is missing: write (?:...) for a group that is not counted")
	}
	return r
}

func (c *checker) delete(path string, p *Policy, d *Delete) compiledRule {
	r := c.rule(path, p, d.Name, &d.Select)
	r.delete = d
	c.age(path+".olderThan", d.OlderThan)
	conditions := 0
	for _, set := range []bool{d.OlderThan > 0, !d.Before.IsZero(), d.Any} {
		if set {
			conditions++
		}
	}
	if conditions != 1 {
		c.fault(path, "exactly one of olderThan, before and any is required")
	}
	switch d.By {
	case "", Updated, Created:
	case Untagging:
		if !d.Untagged || r.tags != nil || d.Orphans || len(d.ArtifactTypes) > 0 {
			c.fault(path+".by", "only a rule about untagged manifests alone can go by the time of untagging")
		}
	default:
		c.fault(path+".by", "%.40q is not a clock: %q, %q or %q", d.By, Updated, Created, Untagging)
	}
	if d.UntagOnly && (r.tags == nil || d.Untagged || d.Orphans || len(d.ArtifactTypes) > 0) {
		c.fault(path+".untagOnly", "only a rule about tags alone can untag")
	}
	if r.tags != nil && r.tags.Grouped() {
		c.fault(path+".tags.regexp", "a Delete rule counts nothing: write (?:...) for the group")
	}
	return r
}

// rule checks what a rule selects.
func (c *checker) rule(path string, p *Policy, name string, s *Select) compiledRule {
	r := compiledRule{name: p.Name + "/" + name, sel: s, types: map[string]bool{}}
	if s.Tags != nil {
		r.tags = c.patterns(path+".tags", s.Tags, tagNames, true)
	}
	if s.ExceptTags != nil {
		r.except = c.patterns(path+".exceptTags", s.ExceptTags, tagNames, false)
		if s.Tags == nil {
			r.tags, _ = match.NewSet([]string{"*"}, nil)
		}
		c.disjoint(path, r)
	}
	for i, t := range s.ArtifactTypes {
		if t == "" {
			c.fault(fmt.Sprintf("%s.artifactTypes[%d]", path, i), "it is empty")
		}
		r.types[t] = true
	}
	if r.tags == nil && !s.Untagged && !s.Orphans && len(s.ArtifactTypes) == 0 {
		c.fault(path, `it selects nothing: all tags are written as "tags": {"glob": ["*"]}`)
	}
	return r
}

// disjoint refuses a rule whose exceptions leave nothing of its tags.
func (c *checker) disjoint(path string, r compiledRule) {
	if r.except.All() {
		c.fault(path+".exceptTags", "it takes out every tag")
		return
	}
	names, literal := r.tags.Literals()
	for _, name := range names {
		if !r.except.Match(name) {
			return
		}
	}
	if literal && len(names) > 0 {
		c.fault(path+".exceptTags", "it takes out every tag that the rule selects")
	}
}

// namesOfWhat says what patterns are for.
type namesOfWhat int

const (
	repositoryNames namesOfWhat = iota
	tagNames
)

// patterns compiles patterns, and refuses those that can match no name; groups says whether a
// regular expression may capture one.
func (c *checker) patterns(path string, p *Patterns, of namesOfWhat, groups bool) *match.Set {
	set, faults := match.NewSet(p.Glob, p.Regexp)
	const lower, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
	allowed, what := lower+digits+"._-/*?", "repository"
	if of == tagNames {
		allowed, what = lower+strings.ToUpper(lower)+digits+"._-*?", "tag"
	}
	for i, text := range p.Glob {
		if at := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune(allowed, r) }); at >= 0 {
			c.fault(fmt.Sprintf("%s.glob[%d]", path, i), "the name of a %s cannot have the character %q", what, text[at:at+1])
		}
	}
	for _, f := range faults {
		list := "glob"
		if f.Regexp {
			list = "regexp"
		}
		c.fault(fmt.Sprintf("%s.%s[%d]", path, list, f.Index), "%v", f.Err)
	}
	for i, text := range p.Regexp {
		re, err := syntax.Parse(text, syntax.Perl)
		if letters := strings.Trim(allowed, "*?"); err == nil && !matchesSome(re, letters) {
			c.fault(fmt.Sprintf("%s.regexp[%d]", path, i), "it matches nothing: the name of a %s has only characters of %q", what, letters)
		}
	}
	if len(p.Glob)+len(p.Regexp) == 0 {
		c.fault(path, "at least one pattern is required")
	}
	if !groups && set.Grouped() {
		c.fault(path+".regexp", "a group is counted nowhere here: write (?:...)")
	}
	return set
}

// matchesSome reports whether a regular expression can match a text of these characters, as far as
// that can be told from its parts.
func matchesSome(re *syntax.Regexp, letters string) bool {
	impossible := func(sub *syntax.Regexp) bool { return !matchesSome(sub, letters) }
	switch re.Op {
	case syntax.OpNoMatch:
		return false
	case syntax.OpLiteral:
		return !slices.ContainsFunc(re.Rune, func(r rune) bool {
			folds := re.Flags&syntax.FoldCase != 0 && strings.ContainsRune(letters, unicode.SimpleFold(r))
			return !folds && !strings.ContainsRune(letters, r)
		})
	case syntax.OpCharClass:
		return strings.ContainsFunc(letters, func(r rune) bool {
			for i := 0; i < len(re.Rune); i += 2 {
				if re.Rune[i] <= r && r <= re.Rune[i+1] {
					return true
				}
			}
			return false
		})
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		return !slices.ContainsFunc(re.Sub, impossible)
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !impossible(sub) })
	case syntax.OpRepeat:
		return re.Min == 0 || !impossible(re.Sub[0])
	default:
		return true
	}
}

// selectsTag reports whether the rule selects a tag by its name.
func (r *compiledRule) selectsTag(name string) bool {
	return r.tags != nil && r.tags.Match(name) && (r.except == nil || !r.except.Match(name))
}
