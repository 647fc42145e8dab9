package wire_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

func TestNextLink(t *testing.T) {
	t.Parallel()
	const home = "https://reg.azurecr.io/acr/v1/a/b/_tags"
	next := home + "?last=v1&n=2&orderby="
	for _, row := range []struct {
		name string
		link []string
		want string
		err  wire.Matter
	}{
		{"none", nil, "", ""},
		{"empty", []string{""}, "", ""},
		{"ACR's form", []string{`</acr/v1/a/b/_tags?last=v1&n=2&orderby=>; rel="next"`}, next, ""},
		{"escaped name kept", []string{`</acr/v1/a%2Fb/_tags?last=v1&n=2&orderby=>; rel="next"`}, "https://reg.azurecr.io/acr/v1/a%2Fb/_tags?last=v1&n=2&orderby=", ""},
		{"query byte for byte", []string{`</acr/v1/a/b/_tags?last=a%2fb+c;d&n=2&n=3>; rel="next"`}, home + "?last=a%2fb+c;d&n=2&n=3", ""},
		{"absolute", []string{`<` + next + `>; rel="next"`}, next, ""},
		{"query alone", []string{`<?last=v1>; rel=next`}, home + "?last=v1", ""},
		{"A39 unquoted", []string{`<?last=v1>;rel=next`}, home + "?last=v1", ""},
		{"A39 upper case", []string{`<?last=v1>; REL="Next"`}, home + "?last=v1", ""},
		{"A39 among others", []string{`</x>; rel="first", <?last=v1>; title="a, b; <c>"; rel="prev next", </y>; rel=last`}, home + "?last=v1", ""},
		{"A39 on several lines", []string{`</x>; rel=first`, `<?last=v1>; rel=next`}, home + "?last=v1", ""},
		{"A39 comma in the target", []string{`<?last=a,b>; rel="next"`}, home + "?last=a,b", ""},
		{"A39 first rel counts", []string{`</x>; rel=prev; rel=next`}, "", ""},
		{"A39 no rel", []string{`<?last=v1>`}, "", ""},
		{"A39 other rel", []string{`<?last=v1>; rel=prev`}, "", ""},
		{"A39 the same twice", []string{`<?last=v1>; rel=next`, `<?last=v1>; rel=next`}, home + "?last=v1", ""},
		{"A39 empty parameter", []string{`<?last=v1>;; rel=next;`}, home + "?last=v1", ""},
		{"A39 two", []string{`<?last=v1>; rel=next, <?last=v2>; rel=next`}, "", wire.BadLink},
		{"A39 no >", []string{`</acr/v1/a/b/_tags?last=v1; rel="next"`}, "", wire.BadLink},
		{"A39 no <", []string{`/acr/v1/a/b/_tags?last=v1; rel="next"`}, "", wire.BadLink},
		{"A39 empty target", []string{`<>; rel="next"`}, "", wire.BadLink},
		{"A39 > inside", []string{`</acr/v1/a/b/_tags?last=a>b>; rel="next"`}, "", wire.BadLink},
		{"A39 open quote", []string{`<?last=v1>; rel="next`}, "", wire.BadLink},
		{"A39 64 KiB", []string{"<?last=" + strings.Repeat("x", 64<<10) + `>; rel="next"`}, "", wire.BadLink},
		{"A39 many", []string{strings.Repeat("<x>,", 1000)}, "", wire.BadLink},
		{"A39 blank in the target", []string{`<?last=a b>; rel=next`}, "", wire.BadLink},
		{"A15 other origin", []string{`<https://evil.com/acr/v1/a/b/_tags?n=2>; rel="next"`}, "", wire.ForeignOrigin},
		{"A15 no scheme", []string{`<//evil.com/acr/v1/a/b/_tags>; rel="next"`}, "", wire.ForeignOrigin},
		{"A15 http", []string{`<http://reg.azurecr.io/acr/v1/a/b/_tags>; rel="next"`}, "", wire.ForeignOrigin},
		{"A17 user", []string{`<https://evil@reg.azurecr.io/acr/v1/a/b/_tags>; rel="next"`}, "", wire.ForeignOrigin},
		{"A15 other path", []string{`</oauth2/token?x>; rel="next"`}, "", wire.BadLink},
		{"A15 other repository", []string{`</acr/v1/c/_tags?x>; rel="next"`}, "", wire.BadLink},
		{"A15 dot segments", []string{`</acr/v1/a/b/_tags/../_manifests?x>; rel="next"`}, "", wire.BadLink},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			u, err := wire.NextLink(reply(t, home+"?n=2", http.Header{"Link": row.link}), parse(t, "https://reg.azurecr.io"), "/acr/v1/a/b/_tags")
			got := ""
			if u != nil {
				got = u.String()
			}
			if row.err == "" && err != nil || row.err != "" && !wire.IsUntrusted(err, row.err) || got != row.want {
				t.Fatalf("%q, %v; want %q, %v", got, err, row.want, row.err)
			}
		})
	}
}

func FuzzLink(f *testing.F) {
	for _, s := range []string{`</p?last=v1>; rel="next"`, `<?a>;rel=next, <?b>; rel="prev"`, `<//evil>; rel=next`, `<>;rel=next`, `<?a>; title="\"`, `<?a>;;;rel = next`} {
		f.Add(s)
	}
	login := parse(f, "https://reg.azurecr.io")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := wire.NextLink(reply(t, "https://reg.azurecr.io/p?n=2", http.Header{"Link": {s}}), login, "/p")
		if err == nil && u != nil && (wire.OriginOf(u) != wire.OriginOf(login) || u.Path != "/p" || u.User != nil) {
			t.Fatalf("%q was let through as %v", s, u)
		}
	})
}
