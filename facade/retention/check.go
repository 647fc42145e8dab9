package retention

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/internal/match"
)

// Check returns the faults of the rules, or nil. ParseRules and Make call it. A rule that can never
// have an effect is a fault too, because a Keep rule that selects nothing was meant to protect
// something.
//
// Errors:
//   - [ErrRules] if the rules are invalid: a *RulesError with each fault and where it is
func (r *Rules) Check() error {
	_, err := r.compile()
	return err
}

// checkTimes refuses moments that the registry's clock has not reached: a Keep rule since then
// protects nothing, and a Delete rule before then spares nothing.
func (r *Rules) checkTimes(now time.Time) error {
	c := &checker{}
	for i, p := range r.Policies {
		for j, k := range p.Keep {
			if k.Since.After(now) {
				c.fault(fmt.Sprintf("policies[%d].keep[%d].since", i, j), "it is in the future, so that the rule keeps nothing")
			}
		}
		for j, d := range p.Delete {
			if d.Before.After(now) {
				c.fault(fmt.Sprintf("policies[%d].delete[%d].before", i, j), "it is in the future: write any for things of any age")
			}
		}
	}
	return c.err()
}

// checkHost refuses patterns of repositories that begin with the registry's own name: they match
// nothing, and an exception of this kind would protect nothing.
func (r *Rules) checkHost(host string) error {
	c := &checker{}
	for i, p := range r.Policies {
		lists := map[string]*Patterns{"repositories": &p.Repositories, "except": p.Except}
		for _, list := range slices.Sorted(maps.Keys(lists)) {
			if lists[list] == nil {
				continue
			}
			for kind, patterns := range map[string][]string{"glob": lists[list].Glob, "regexp": lists[list].Regexp} {
				for j, text := range patterns {
					text = strings.TrimPrefix(strings.ReplaceAll(text, `\`, ""), "^")
					if strings.HasPrefix(text, host+"/") {
						c.fault(fmt.Sprintf("policies[%d].%s.%s[%d]", i, list, kind, j), "leave out the name of the registry: repositories are named without it")
					}
				}
			}
		}
	}
	return c.err()
}

// compiled is a policy with its patterns.
type compiled struct {
	*Policy
	repositories, except *match.Set
	keep, delete         []compiledRule
}

// compiledRule is what a Keep and a Delete rule have in common, with its patterns.
type compiledRule struct {
	name         string // policy/rule
	sel          *Select
	tags, except *match.Set // nil: none
	types        map[string]bool
	keep         *Keep
	delete       *Delete
}

// compile checks the rules and compiles their patterns.
func (r *Rules) compile() ([]*compiled, error) {
	c := &checker{}
	if r == nil {
		c.fault("rules", "there are none")
		return nil, c.err()
	}
	if r.Version != rulesVersion {
		c.fault("version", "%d is unknown: it must be %d", r.Version, rulesVersion)
	}
	if len(r.Policies) == 0 {
		c.fault("policies", "at least one policy is required")
	}
	names := map[string]bool{}
	var policies []*compiled
	for i := range r.Policies {
		p := &r.Policies[i]
		path := fmt.Sprintf("policies[%d]", i)
		c.name(path, p.Name, names)
		q := c.policy(path, p)
		for j, earlier := range policies {
			if shadows(earlier, q) {
				c.fault(path+".repositories", "policies[%d] governs all of these repositories already", j)
			}
		}
		policies = append(policies, q)
	}
	return policies, c.err()
}

// shadows reports whether an earlier policy takes every repository of a later one, as far as that
// can be told from the patterns: it takes all, or each of the names that the later one lists.
func shadows(earlier, later *compiled) bool {
	if earlier.except.Len() > 0 || earlier.repositories.Len() == 0 || later.repositories.Len() == 0 {
		return false
	}
	if matchesEveryName(earlier.repositories) {
		return true
	}
	names, literal := later.repositories.Literals()
	for _, name := range names {
		if !earlier.repositories.Match(name) {
			return false
		}
	}
	return literal
}

// matchesEveryName reports whether a set of patterns holds "**", or a regular expression for
// anything.
func matchesEveryName(s *match.Set) bool {
	return s.Match("a/b") && s.Match("0") && s.Match("x.y-z/"+longName)
}

// longName is part of no sensible pattern.
const longName = "q0q0q0/zz--zz/x_x__y"

// checker collects faults.
type checker struct{ faults []Fault }

// err returns the faults as an error, or nil.
func (c *checker) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	return &RulesError{c.faults}
}

func (c *checker) fault(path, format string, args ...any) {
	c.faults = append(c.faults, Fault{path, fmt.Sprintf(format, args...)})
}

// name checks the name of a policy or rule.
func (c *checker) name(path, name string, taken map[string]bool) {
	switch {
	case name == "":
		c.fault(path+".name", "a name is required: it stands in the reasons")
	case len(name) > 100 || !printable(name):
		c.fault(path+".name", "at most 100 printable characters")
	case taken[name]:
		c.fault(path+".name", "%q is the name of another one", name)
	}
	taken[name] = true
}

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xfffd || 0x80 <= r && r < 0xa0 || r == '\u2028' || r == '\u2029' || 0x202a <= r && r <= 0x202e {
			return false
		}
	}
	return true
}

func (c *checker) policy(path string, p *Policy) *compiled {
	q := &compiled{Policy: p}
	q.repositories = c.patterns(path+".repositories", &p.Repositories, repositoryNames, false)
	q.except = &match.Set{}
	if p.Except != nil {
		q.except = c.patterns(path+".except", p.Except, repositoryNames, false)
	}
	c.age(path+".grace", p.Grace)
	if p.NoGrace && p.Grace != 0 {
		c.fault(path+".noGrace", "it contradicts grace")
	}
	if p.Count != "" && p.Count != Images && p.Count != Tags {
		c.fault(path+".count", "%.40q is neither %q nor %q", p.Count, Images, Tags)
	}
	c.limits(path+".limits", p.Limits)
	names := map[string]bool{}
	for i := range p.Keep {
		path := fmt.Sprintf("%s.keep[%d]", path, i)
		c.name(path, p.Keep[i].Name, names)
		q.keep = append(q.keep, c.keep(path, p, &p.Keep[i]))
	}
	if len(p.Delete) == 0 {
		c.fault(path+".delete", "at least one rule is required: a policy that deletes nothing is left out")
	}
	for i := range p.Delete {
		path := fmt.Sprintf("%s.delete[%d]", path, i)
		c.name(path, p.Delete[i].Name, names)
		d := c.delete(path, p, &p.Delete[i])
		for _, k := range q.keep {
			if voids(k, d) {
				c.fault(path, "it can delete nothing: %s keeps everything that it selects, for it has no newest, within or since", k.name)
			}
		}
		q.delete = append(q.delete, d)
	}
	return q
}

// voids reports whether a Keep rule without a condition keeps all that a Delete rule about tags
// selects.
func voids(k, d compiledRule) bool {
	if k.keep.Newest > 0 || k.keep.Within > 0 || !k.keep.Since.IsZero() || k.tags == nil || d.tags == nil ||
		k.except != nil || d.sel.Untagged || d.sel.Orphans || len(d.types) > 0 {
		return false
	}
	if k.tags.All() {
		return true
	}
	names, literal := d.tags.Literals()
	for _, name := range names {
		if !k.tags.Match(name) {
			return false
		}
	}
	return literal
}

func (c *checker) limits(path string, l Limits) {
	if l.Manifests < 0 {
		c.fault(path+".manifests", "it must not be negative")
	}
	if l.Percent < 0 || l.Percent > 100 || math.IsNaN(l.Percent) {
		c.fault(path+".percent", "it must be from 0 to 100")
	}
	if l.LeaveTags < -1 {
		c.fault(path+".leaveTags", "it must not be less than -1")
	}
}

func (c *checker) age(path string, a Age) {
	if a < 0 || a > maxAge {
		c.fault(path, "an age is from 0 to a hundred years")
	} else if a%Age(time.Second) != 0 {
		c.fault(path, "%v is not a whole number of seconds: round it; seven days are 7 * retention.Day", time.Duration(a))
	}
}
