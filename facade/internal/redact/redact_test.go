package redact_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/acrkit/acrkit/facade/internal/redact"
)

func TestOneLine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, in, want string }{
		{"plain", "manifest is not found", "manifest is not found"},
		{"umlauts stay", "gr\u00fc\u00df dich", "gr\u00fc\u00df dich"},
		{"A57 newline and tab", "a\r\nb\tc", "a  b c"},
		{"A57 escape", "a\x1b[31mb", `a\u001b[31mb`},
		{"A57 bidi", "a\u202eb", `a\u202eb`},
		{"A57 zero width", "a\u200bb", `a\u200bb`},
		{"A57 separators", "a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"A57 not UTF-8", "a\xffb", "a?b"},
		{"A55 signed URL", `Get "https://a.blob.core.windows.net/c//d?se=1&sig=abc%3D&x=1": EOF`, `Get "https://a.blob.core.windows.net/c//d": EOF`},
		{"A55 signature alone", "sp=r&sig=abc%3D&x=1", "sp=r&sig=REDACTED&x=1"},
		{"A55 signature in JSON", `/c/d?se=1\u0026sig=abc%3D`, `/c/d?se=1\u0026sig=REDACTED`},
		{"A55 signature, encoded", `back=%2Fc%3Fse%3D1%26sig%3Dabc%253D now`, `back=%2Fc%3Fse%3D1%26sig%3DREDACTED now`},
		{"user information", "https://u:p@h/x", "https://REDACTED@h/x"},
		{"A56 token", "bad token eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln here", "bad token REDACTED here"},
		{"A56 header", "Authorization: Bearer abcdefgh12345678901234", "Authorization: Bearer REDACTED"},
		{"A56 header, short", "Authorization: Basic dTpw, refused", "Authorization: Basic REDACTED, refused"},
		{"words stay", "basic authentication is required, bearer unauthorized", "basic authentication is required, bearer unauthorized"},
		{"A56 JSON", `{"refresh_token" : "abc.def","scope":"x"}`, `{"refresh_token" : "REDACTED","scope":"x"}`},
		{"A56 JSON within JSON", `{"message":"bad {\"password\":\"abc\"}"}`, `{"message":"bad {\"password\":\"REDACTED\"}"}`},
		{"claims stay", `{"access_token":{"nbf":1}}`, `{"access_token":{"nbf":1}}`},
		{"A56 form", "grant_type=x&refresh_token=abc.def", "grant_type=x&refresh_token=REDACTED"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := redact.OneLine(row.in); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	t.Run("A57 1 MiB", func(t *testing.T) {
		t.Parallel()
		if got := redact.OneLine(strings.Repeat("\x1bx", 1<<19)); len(got) > 4<<10 {
			t.Error(len(got))
		}
	})
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	if got := redact.Outcome(&http.Response{StatusCode: 503}, nil); got != "status 503" {
		t.Errorf("%q", got)
	}
	if got := redact.Outcome(nil, errors.New("Get \"https://a/b?sig=c\":\nEOF")); got != `Get "https://a/b": EOF` {
		t.Errorf("%q", got)
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("a\r\nb https://x/y?z=1 eyJhbGciOiJub25lIn0.a.b")
	f.Fuzz(func(t *testing.T, s string) {
		got := redact.OneLine(s)
		if len(got) > 4<<10 || strings.ContainsFunc(got, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
		}) {
			t.Fatalf("%q", got)
		}
	})
}

func TestURL(t *testing.T) {
	t.Parallel()
	u, err := url.Parse("https://u:p@h:1/a%2Fb//c?sig=s#f")
	if err != nil {
		t.Fatal(err)
	}
	if got := redact.URL(u); got != "https://h:1/a%2Fb//c" {
		t.Error(got)
	}
	if got := redact.URL(nil); got != "" {
		t.Error(got)
	}
}
