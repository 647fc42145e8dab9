package match_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/match"
)

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern  string
		yes, not []string
	}{
		{"v1", []string{"v1"}, []string{"v10", "xv1", "v", ""}},
		{"v1.0", []string{"v1.0"}, []string{"v1x0", "21.0x"}},
		{"v*", []string{"v", "v1", "v1.2-rc"}, []string{"xv1", "v1/2"}},
		{"apps/*", []string{"apps/web"}, []string{"apps", "apps/web/x", "my/apps/web"}},
		{"apps/**", []string{"apps/web", "apps/web/x"}, []string{"apps", "myapps/web"}},
		{"**", []string{"a", "a/b/c", ""}, nil},
		{"*-?", []string{"a-b", "-c"}, []string{"a-bc", "a-"}},
		{"a+b", []string{"a+b"}, []string{"aab"}},
	} {
		p, err := match.Glob(row.pattern)
		if err != nil {
			t.Fatal(err)
		}
		check(t, row.pattern, p.Match, row.yes, row.not)
	}
}

func check(t *testing.T, pattern string, match func(string) bool, yes, not []string) {
	t.Helper()
	for _, name := range yes {
		if !match(name) {
			t.Errorf("%s does not match %q", pattern, name)
		}
	}
	for _, name := range not {
		if match(name) {
			t.Errorf("%s matches %q", pattern, name)
		}
	}
}

func TestRegexp(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern  string
		yes, not []string
	}{
		{`1\.0`, []string{"1.0"}, []string{"21.0x", "1.0\n"}},
		{`a|b`, []string{"a", "b"}, []string{"ax", "xb"}},
		{`^a$`, []string{"a"}, []string{"ab"}},
		{`(?i)dev-.*`, []string{"DEV-1"}, []string{"xdev-1"}},
	} {
		p, err := match.Regexp(row.pattern)
		if err != nil {
			t.Fatal(err)
		}
		check(t, row.pattern, p.Match, row.yes, row.not)
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"", "v[12]", "{a,b}", "^v1$", `v\d`, "a b", strings.Repeat("x", 2000)} {
		if _, err := match.Glob(pattern); !errors.Is(err, match.ErrPattern) {
			t.Errorf("glob %.20q: %v", pattern, err)
		}
	}
	for _, pattern := range []string{"", "(", ")(", "a)|(?:b", "(a)(b)", "*", strings.Repeat("x", 2000)} {
		if _, err := match.Regexp(pattern); !errors.Is(err, match.ErrPattern) {
			t.Errorf("regexp %.20q: %v", pattern, err)
		}
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	s, faults := match.NewSet([]string{"latest"}, []string{`v?([0-9]+\.[0-9]+)\.[0-9]+`, `x.*`})
	if faults != nil {
		t.Fatal(faults)
	}
	for _, row := range []struct {
		name, group string
		ok          bool
	}{
		{"v1.2.3", "1.2", true}, {"1.2.4", "1.2", true}, {"1.3.0", "1.3", true}, {"latest", "", true}, {"x1", "", true}, {"y", "", false},
	} {
		if g, ok := s.Group(row.name); g != row.group || ok != row.ok || s.Match(row.name) != row.ok {
			t.Errorf("%s: %q %v", row.name, g, ok)
		}
	}
	if !s.Grouped() || s.All() || s.Len() != 3 {
		t.Error("the set has a group, three patterns, and none that matches all")
	}
	from, err := match.Glob("library/*")
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := from.Group("library/redis"); g != "redis" || !ok {
		t.Errorf("%q %v", g, ok)
	}
	if _, ok := from.Group("other/redis"); ok {
		t.Error("no match, and yet a group")
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	s, _ := match.NewSet([]string{"a", "b"}, nil)
	if names, ok := s.Literals(); !ok || !slices.Equal(names, []string{"a", "b"}) || s.Grouped() {
		t.Errorf("%v %v", names, ok)
	}
	for _, all := range []string{"*", "**"} {
		s, _ := match.NewSet([]string{"x", all}, nil)
		if _, ok := s.Literals(); ok || !s.All() || s.Grouped() {
			t.Errorf("%s: it matches everything", all)
		}
	}
	s, faults := match.NewSet([]string{"a", ""}, []string{"("})
	if s.Len() != 1 || len(faults) != 2 || faults[0].Index != 1 || faults[0].Regexp || faults[1].Index != 0 || !faults[1].Regexp {
		t.Errorf("%v", faults)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	order := []string{"0.9", "v1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-rc.1", "v1", "1.0.1", "1.2", "1.10.0", "99999999999999999999999.0.0"}
	for i := 1; i < len(order); i++ {
		a, aOK := match.ParseVersion(order[i-1])
		b, bOK := match.ParseVersion(order[i])
		if !aOK || !bOK || a.Compare(b) != -1 || b.Compare(a) != 1 || a.Compare(a) != 0 {
			t.Errorf("%s, %s: %v %v", order[i-1], order[i], a, b)
		}
	}
	for _, tag := range []string{"", "v", "latest", "1.2.3.4", "01.2.3", "1.2-rc", "V1", "1.2.3+x", "v1.2.3-", "sha-1234"} {
		if v, ok := match.ParseVersion(tag); ok {
			t.Errorf("%q is %v", tag, v)
		}
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text     string
		yes, not []string
	}{
		{">=1.4 <2", []string{"1.4.0", "v1.9"}, []string{"1.3.9", "2.0.0", "2.0.0-rc.1", "1.5.0-rc.1"}},
		{"1.2.3", []string{"1.2.3"}, []string{"1.2.4"}},
		{">1 <=3", []string{"1.0.1", "3"}, []string{"1", "3.0.1"}},
		{">=1.0.0-rc.1", []string{"1.0.0-rc.2", "1.0.0"}, []string{"1.0.0-alpha"}},
	} {
		r, err := match.ParseRange(row.text)
		if err != nil {
			t.Fatal(err)
		}
		check(t, row.text, func(s string) bool {
			v, ok := match.ParseVersion(s)
			return ok && r.Match(v)
		}, row.yes, row.not)
	}
	for _, text := range []string{"", " ", ">=", "latest", "~1.2", "^1", "=>1", "><1", ">=1 ||"} {
		if _, err := match.ParseRange(text); !errors.Is(err, match.ErrPattern) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A literal glob matches itself alone, and a compiled pattern never panics.
func FuzzPatterns(f *testing.F) {
	f.Add("apps/**", "apps/web")
	f.Add("v?([0-9]+)", "v12")
	f.Add("a)|(b", "a")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if p, err := match.Glob(pattern); err == nil {
			if _, literal := p.Literal(); literal && p.Match(name) != (name == pattern) {
				t.Errorf("%q, %q: %v", pattern, name, p.Match(name))
			}
			if _, ok := p.Group(name); ok != p.Match(name) {
				t.Errorf("%q, %q: Group and Match disagree", pattern, name)
			}
		}
		if p, err := match.Regexp(pattern); err == nil {
			if _, ok := p.Group(name); ok != p.Match(name) {
				t.Errorf("%q, %q: Group and Match disagree", pattern, name)
			}
		}
	})
}
