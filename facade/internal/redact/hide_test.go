package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/redact"
)

// A secret is taken out in each form, several times over, and where it was cut; the text around it stays.
func TestHide(t *testing.T) {
	t.Parallel()
	const secret = `q8T+opaque/"token"&<of>/a+registry==`
	forms := map[string]func(string) string{
		"as it is":           func(s string) string { return s },
		"query":              url.QueryEscape,
		"path":               url.PathEscape,
		"JSON":               func(s string) string { b, _ := json.Marshal(s); return string(b[1 : len(b)-1]) },
		"HTML":               html.EscapeString,
		"C":                  func(s string) string { return `\x` + hex.EncodeToString([]byte(s)[:1]) + s[1:] },
		"lines":              func(s string) string { return s[:3] + "\r\n\t" + s[3:30] + "\n" + s[30:] },
		"digits":             func(s string) string { return hex.EncodeToString([]byte(s)) },
		"capital digits":     func(s string) string { return fmt.Sprintf("%X", s) },
		"lower":              func(s string) string { return strings.ToLower(fmt.Sprintf("%%%x", []byte(s)[:1])) + s[1:] },
		"base64":             func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 behind one":  func(s string) string { return base64.URLEncoding.EncodeToString([]byte("x" + s)) },
		"base64 behind two":  func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte("xy" + s + "zzz")) },
		"base64 behind four": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("wxyz" + s + "z")) },
	}
	all := []redact.Secret{redact.NewSecret("another-secret"), redact.NewSecret(secret), redact.NewSecret(url.QueryEscape(secret))}
	secrets := slices.Values(all)
	var index redact.Index
	for _, s := range all {
		index.Add(s)
	}
	for first, f := range forms {
		for second, g := range forms {
			if (strings.HasPrefix(second, "base64") || strings.HasSuffix(second, "digits")) && first != "as it is" {
				continue // base64 and digits of an escaped secret are not looked for
			}
			text := "before " + g(f(secret)) + " behind"
			if !index.MayHold(text) {
				t.Errorf("%s in %s: the index does not find it", first, second)
			}
			got := redact.Hide(text, secrets)
			rest, ok := strings.CutPrefix(got, "before ")
			rest, behind := strings.CutSuffix(rest, " behind")
			if !ok || !behind || !strings.Contains(rest, redact.Removed) || len(rest) > len(redact.Removed)+12 {
				t.Errorf("%s in %s: %s", first, second, got)
			}
		}
	}
	if got := redact.Hide("cut: "+secret[:20], secrets); got != "cut: "+redact.Removed {
		t.Error(got)
	}
	for _, text := range []string{"", "%", "%zz", `\`, `\u12`, "&amp", "100%25 of & more \\n", "q8T+opaque", "%71%38T"} {
		if got := redact.Hide(text, secrets); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if text := "nothing of the kind in here, %25 \\u0026 &amp;"; index.MayHold(text) {
		t.Errorf("the index finds a secret in %q", text)
	}
	for _, s := range all {
		index.Remove(s)
	}
	if index.MayHold(secret) {
		t.Error("the index holds what was removed")
	}
}

// FuzzHide: no text makes it fail, and what it returns holds no secret.
func FuzzHide(f *testing.F) {
	f.Add("a %2525 b", "secret-secret")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < 8 {
			return
		}
		var index redact.Index
		index.Add(redact.NewSecret(secret))
		if !index.MayHold(text + secret + text) {
			t.Error("the index does not find the secret")
		}
		if !index.MayHold(text) && redact.Hide(text, slices.Values([]redact.Secret{redact.NewSecret(secret)})) != text {
			t.Error("the index does not find what is hidden")
		}
		got := redact.Hide(text+secret+text, slices.Values([]redact.Secret{redact.NewSecret(secret)}))
		for kept := range strings.SplitSeq(got, redact.Removed) {
			if strings.Contains(kept, secret) {
				t.Errorf("%q", got)
			}
		}
	})
}
