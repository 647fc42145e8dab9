package match

import (
	"cmp"
	"fmt"
	"strings"

	"golang.org/x/mod/semver"
)

// Version is a semantic version, see https://semver.org.
type Version struct{ v string }

// ParseVersion reads a tag as a version: "1.2.3", "v1.2.3" or "1.2.3-rc.1", and also "1.2" and "1", whose missing parts are
// 0. ok is false for any other tag. A tag cannot hold the "+" of build metadata.
func ParseVersion(tag string) (v Version, ok bool) {
	s := tag
	if !strings.HasPrefix(s, "v") {
		s = "v" + s
	}
	if !semver.IsValid(s) || semver.Build(s) != "" {
		return Version{}, false
	}
	return Version{v: semver.Canonical(s)}, true
}

// Compare returns -1, 0 or 1 as v is older than, the same as or newer than w. A pre-release is older than its release.
func (v Version) Compare(w Version) int { return semver.Compare(v.v, w.v) }

// IsPrerelease reports whether the version is a pre-release, such as 1.2.3-rc.1.
func (v Version) IsPrerelease() bool { return semver.Prerelease(v.v) != "" }

// String returns the version with all three numbers and without the "v".
func (v Version) String() string { return strings.TrimPrefix(v.v, "v") }

// Range is a set of versions.
type Range struct{ limits []limit }

// limit is one comparison of a Range.
type limit struct {
	operator string
	version  Version
}

// ParseRange reads comparisons separated by blanks, all of which must hold: ">=1.4 <2". The operators are =, >, >=, < and
// <=; none means =. It fails with [ErrPattern] if there is no comparison, or one cannot be read.
func ParseRange(text string) (*Range, error) {
	r := &Range{}
	for word := range strings.FieldsSeq(text) {
		version := strings.TrimLeft(word, "<>=")
		operator := cmp.Or(word[:len(word)-len(version)], "=")
		v, ok := ParseVersion(version)
		if !ok || !strings.Contains(" = > >= < <= ", " "+operator+" ") {
			return nil, fmt.Errorf("%w %q: %q is not a comparison such as >=1.4", ErrPattern, text, word)
		}
		r.limits = append(r.limits, limit{operator, v})
	}
	if len(r.limits) == 0 {
		return nil, fmt.Errorf("%w: a range of versions needs a comparison such as >=1.4", ErrPattern)
	}
	return r, nil
}

// Match reports whether the version is in the range. A pre-release is in a range only if one of the comparisons names a
// pre-release too: nobody who asks for ">=1.4" wants 2.0.0-rc.1.
func (r *Range) Match(v Version) bool {
	named := false
	for _, l := range r.limits {
		named = named || l.version.IsPrerelease()
		c := v.Compare(l.version)
		holds := c == 0 && strings.Contains(l.operator, "=") || c > 0 && l.operator[0] == '>' || c < 0 && l.operator[0] == '<'
		if !holds {
			return false
		}
	}
	return named || !v.IsPrerelease()
}
