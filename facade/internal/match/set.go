package match

// Set matches a name if one of its patterns does.
type Set struct {
	patterns []*Pattern
	grouped  []bool // the pattern is a regexp with a group
}

// NewSet compiles globs and regular expressions. It returns the error of each pattern that cannot be used, by its place: the
// globs come first.
func NewSet(globs, regexps []string) (*Set, []PatternError) {
	s := &Set{}
	var faults []PatternError
	for i, text := range globs {
		p, err := Glob(text)
		if err != nil {
			faults = append(faults, PatternError{Index: i, Err: err})
			continue
		}
		s.patterns, s.grouped = append(s.patterns, p), append(s.grouped, false)
	}
	for i, text := range regexps {
		p, err := Regexp(text)
		if err != nil {
			faults = append(faults, PatternError{Regexp: true, Index: i, Err: err})
			continue
		}
		s.patterns, s.grouped = append(s.patterns, p), append(s.grouped, p.Groups() > 0)
	}
	return s, faults
}

// PatternError is the fault of one pattern of a Set.
type PatternError struct {
	Regexp bool // it is one of the regular expressions
	Index  int
	Err    error
}

// Len returns the number of patterns.
func (s *Set) Len() int { return len(s.patterns) }

// Match reports whether one of the patterns matches the whole name.
func (s *Set) Match(name string) bool {
	for _, p := range s.patterns {
		if p.Match(name) {
			return true
		}
	}
	return false
}

// Group returns what the group of the first matching regular expression that has one captured. All names that match only
// patterns without a group are in the group "". ok reports whether any pattern matches.
func (s *Set) Group(name string) (group string, ok bool) {
	for i, p := range s.patterns {
		if !s.grouped[i] {
			ok = ok || p.Match(name)
			continue
		}
		if g, matches := p.Group(name); matches {
			return g, true
		}
	}
	return "", ok
}

// Grouped reports whether one of the patterns captures a group.
func (s *Set) Grouped() bool {
	for _, g := range s.grouped {
		if g {
			return true
		}
	}
	return false
}

// All reports whether one of the patterns is a glob that matches every name without "/", such as every tag.
func (s *Set) All() bool {
	for _, p := range s.patterns {
		if p.text == "*" || p.text == "**" {
			return true
		}
	}
	return false
}

// Literals returns the names that the set matches, if all of its patterns are globs without wildcards.
func (s *Set) Literals() ([]string, bool) {
	var names []string
	for _, p := range s.patterns {
		name, ok := p.Literal()
		if !ok {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}
