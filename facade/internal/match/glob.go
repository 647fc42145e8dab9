package match

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrPattern is returned for a pattern that cannot be used.
var ErrPattern = errors.New("invalid pattern")

// maxPattern bounds the length of a pattern. A tag has at most 128 characters and a repository name 255.
const maxPattern = 1024

// Pattern matches whole names.
type Pattern struct {
	text    string
	literal bool // the text itself is the only name that matches
	re      *regexp.Regexp
}

// Glob compiles a pattern in which "*" stands for any text without "/", "**" for any text, and "?" for one character other
// than "/". Every other character stands for itself.
//
// It fails with [ErrPattern] if the pattern is empty or too long, or holds a character of another pattern language that
// would match nothing here: "[", "]", "{", "}", "(", ")", "|", "^", "$", "\" or a blank.
func Glob(pattern string) (*Pattern, error) {
	if err := checkPattern(pattern); err != nil {
		return nil, err
	}
	if at := strings.IndexAny(pattern, "[]{}()|^$\\ \t\r\n"); at >= 0 {
		return nil, fmt.Errorf("%w %q: a glob knows *, ** and ?, and no name has %q: use a regexp", ErrPattern, pattern, pattern[at:at+1])
	}
	var re strings.Builder
	for rest := pattern; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**"):
			re.WriteString("(.*)")
			rest = strings.TrimLeft(rest, "*")
		case rest[0] == '*':
			re.WriteString("([^/]*)")
			rest = rest[1:]
		case rest[0] == '?':
			re.WriteString("([^/])")
			rest = rest[1:]
		default:
			end := strings.IndexAny(rest, "*?")
			if end < 0 {
				end = len(rest)
			}
			re.WriteString(regexp.QuoteMeta(rest[:end]))
			rest = rest[end:]
		}
	}
	p, err := compile(pattern, re.String())
	if err == nil {
		p.literal = !strings.ContainsAny(pattern, "*?")
	}
	return p, err
}

// Regexp compiles a regular expression of Go's regexp/syntax (RE2) that matches whole names, as if it began with ^ and ended
// with $. It may capture one group, which [Pattern.Group] returns.
//
// It fails with [ErrPattern] if the pattern is empty or too long, does not compile, or captures more than one group.
func Regexp(pattern string) (*Pattern, error) {
	if err := checkPattern(pattern); err != nil {
		return nil, err
	}
	p, err := compile(pattern, pattern)
	if err != nil {
		return nil, err
	}
	if n := p.Groups(); n > 1 {
		return nil, fmt.Errorf("%w %q: it captures %d groups, and one at most can be used: write (?:...) for the others", ErrPattern, pattern, n)
	}
	return p, nil
}

func checkPattern(pattern string) error {
	switch {
	case pattern == "":
		return fmt.Errorf("%w: it is empty", ErrPattern)
	case len(pattern) > maxPattern:
		return fmt.Errorf("%w: it has %d characters, the limit is %d", ErrPattern, len(pattern), maxPattern)
	}
	return nil
}

func compile(text, expression string) (*Pattern, error) {
	if _, err := regexp.Compile(expression); err != nil { // by itself, so that a ")" cannot end the group around it
		return nil, fmt.Errorf("%w %q: %w", ErrPattern, text, err)
	}
	re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrPattern, text, err)
	}
	return &Pattern{text: text, re: re}, nil
}

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// Match reports whether the whole name matches.
func (p *Pattern) Match(name string) bool {
	if p.literal {
		return name == p.text
	}
	return p.re.MatchString(name)
}

// Literal returns the only name that the pattern matches, if it is a glob without wildcards.
func (p *Pattern) Literal() (string, bool) { return p.text, p.literal }

// Groups returns how many groups the pattern captures. Each wildcard of a glob is one.
func (p *Pattern) Groups() int { return p.re.NumSubexp() }

// Group returns what the first group of the pattern captured, "" if it has none. ok reports whether the name matches.
func (p *Pattern) Group(name string) (group string, ok bool) {
	m := p.re.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	if len(m) > 1 {
		group = m[1]
	}
	return group, true
}
