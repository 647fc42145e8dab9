package auth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	acr := []auth.Challenge{{Scheme: "bearer", Params: map[string]string{"realm": "https://r/oauth2/token", "service": "r", "scope": "repository:a:pull,push"}}}
	for _, row := range []struct {
		name  string
		lines []string
		want  []auth.Challenge
	}{
		{"ACR's form", []string{`Bearer realm="https://r/oauth2/token",service="r",scope="repository:a:pull,push"`}, acr},
		{"A43 blanks", []string{`bearer  realm = "https://r/oauth2/token" , service="r",	scope="repository:a:pull,push" `}, acr},
		{"A43 order and case", []string{`BEARER SCOPE="repository:a:pull,push", Service="r", REALM="https://r/oauth2/token"`}, acr},
		{"A43 unquoted", []string{`Bearer realm=https://r/oauth2/token,service=r,scope="repository:a:pull,push"`}, acr},
		{"A43 escapes", []string{`Bearer realm="https:\/\/r/oauth2/token",service="\r",scope="repository:a:pull,push"`}, acr},
		{"A43 quoted quote", []string{`Bearer a="x\"y,z"`}, []auth.Challenge{{Scheme: "bearer", Params: map[string]string{"a": `x"y,z`}}}},
		{"A43 several schemes on a line", []string{`Basic realm="x", Bearer service="r", Negotiate`}, []auth.Challenge{
			{Scheme: "basic", Params: map[string]string{"realm": "x"}}, {Scheme: "bearer", Params: map[string]string{"service": "r"}}, {Scheme: "negotiate", Params: map[string]string{}},
		}},
		{"A43 several lines", []string{`Basic realm="x"`, `Bearer service="r"`}, []auth.Challenge{
			{Scheme: "basic", Params: map[string]string{"realm": "x"}}, {Scheme: "bearer", Params: map[string]string{"service": "r"}},
		}},
		{"A43 token68", []string{`Negotiate a87421000492aa==, Bearer service="r"`}, []auth.Challenge{
			{Scheme: "negotiate", Params: map[string]string{}}, {Scheme: "bearer", Params: map[string]string{"service": "r"}},
		}},
		{"A43 a registry named service", []string{`Bearer realm="https://service.azurecr.io/oauth2/token",service="service.azurecr.io",scope="repository:scope/service:pull"`}, []auth.Challenge{
			{Scheme: "bearer", Params: map[string]string{"realm": "https://service.azurecr.io/oauth2/token", "service": "service.azurecr.io", "scope": "repository:scope/service:pull"}},
		}},
		{"first of a name counts", []string{`Bearer a=1,a=2`}, []auth.Challenge{{Scheme: "bearer", Params: map[string]string{"a": "1"}}}},
		{"empty elements", []string{`,, Bearer ,,a=1,,`}, []auth.Challenge{{Scheme: "bearer", Params: map[string]string{"a": "1"}}}},
		{"open quote", []string{`Bearer a=1,b="x`}, []auth.Challenge{{Scheme: "bearer", Params: map[string]string{"a": "1"}}}},
		{"parameter before any scheme", []string{`=x`}, nil},
		{"empty", []string{""}, nil},
		{"none", nil, nil},
		{"A38 10,000 lines", make10000(), func() []auth.Challenge {
			var out []auth.Challenge
			for range 8 {
				out = append(out, auth.Challenge{Scheme: "bearer", Params: map[string]string{"a": "1"}})
			}
			return out
		}()},
		{"A38 many on a line", []string{strings.Repeat("X,", 100)}, func() []auth.Challenge {
			var out []auth.Challenge
			for range 8 {
				out = append(out, auth.Challenge{Scheme: "x", Params: map[string]string{}})
			}
			return out
		}()},
		{"A38 64 KiB", []string{`Bearer a="` + strings.Repeat("x", 64<<10) + `"`}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(row.want, auth.ParseChallenges(row.lines...)); d != "" {
				t.Error(d)
			}
		})
	}
}

func make10000() []string {
	lines := make([]string, 10000)
	for i := range lines {
		lines[i] = "Bearer a=1"
	}
	return lines
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{`Bearer realm="https://r/oauth2/token",service="r",scope="repository:a:pull,push",error="insufficient_scope"`, `Basic realm=x, Negotiate abc==, Bearer a="\"`, `Bearer claims="eyJ9", a = b`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := auth.ParseChallenges(s, s); len(got) > 8 {
			t.Fatal(len(got))
		}
	})
}
