package auth_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// The credential itself is taken out of texts for as long as the client lives, however many tokens come and go, and in the forms in which requests carry it.
func TestScrubKeepsCredential(t *testing.T) {
	t.Parallel()
	const password = "canary/pass word&"
	c := newClient(t, newRegistry(), auth.Password("admin", password))
	for i := range 600 {
		c.Remember(fmt.Sprintf("token-%08d", i))
	}
	for name, form := range map[string]string{
		"as it is":   password,
		"in a form":  url.QueryEscape(password),
		"in a path":  url.PathEscape(password),
		"as Basic":   base64.StdEncoding.EncodeToString([]byte("admin:" + password)),
		"in JSON":    `canary/pass word\u0026`,
		"last token": "token-00000599",
	} {
		if got := c.Scrub("<" + form + ">"); got != "<REDACTED>" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if strings.Contains(c.Scrub("token-00000000"), "REDACTED") {
		t.Error("tokens are remembered without end")
	}
}

// Every token that came in a reply is taken out of texts, and so is the Entra token.
func TestScrubKnowsEveryToken(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	c := newClient(t, g, auth.Entra(&entra{}))
	c.ok(t, "repository:a:pull")
	secrets := []string{"canary-entra-token-1"}
	secrets = slices.AppendSeq(secrets, maps.Keys(g.refresh))
	secrets = slices.AppendSeq(secrets, maps.Keys(g.tokens))
	if len(secrets) != 3 {
		t.Fatalf("%d tokens", len(secrets))
	}
	for _, s := range secrets {
		if got := c.Scrub("<" + s + ">"); got != "<REDACTED>" {
			t.Errorf("%s: %s", s, got)
		}
	}
}

// Access gives away no more than was asked for, though a token that allows more is at hand.
func TestAccessIsNarrow(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	c := newClient(t, g, auth.Entra(&entra{}))
	c.ok(t, "repository:a:pull,push")
	value, _, err := c.Access(t.Context(), []string{"repository:a:pull"})
	if err != nil {
		t.Fatal(err)
	}
	if got := g.tokens[value].scopes; got != "repository:a:pull" {
		t.Errorf("the token allows %q", got)
	}
}

// A token that was issued for more than it grants serves only what it grants: the registry is not asked with it for the rest.
func TestGrantedCounts(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	g.deny = []string{"push"}
	c := newClient(t, g, auth.Entra(&entra{}))
	c.ok(t, "repository:a:pull,push", "repository:a:pull")
	g.deny = nil // the role has come
	c.ok(t, "repository:a:push")
	if n := g.count("401"); n != 0 {
		t.Errorf("%d requests were refused", n)
	}
}

// What a credential returns and cannot be a token is not sent.
func TestCredentialWithoutToken(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a b", "abc\r\nX-Evil: 1"} {
		g := newRegistry()
		c := newClient(t, g, auth.Entra(&entra{get: func(policy.TokenRequestOptions) (string, error) { return s, nil }}))
		if _, err := c.do(t.Context(), http.MethodGet, "repository:a:pull"); err == nil || !strings.Contains(err.Error(), "the credential returned") {
			t.Errorf("%q: %v", s, err)
		}
		if n := g.count("exchange"); n != 0 {
			t.Errorf("%q was sent %d times", s, n)
		}
	}
}

// A token reply is not read without end.
func TestTokenReplyIsBounded(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	g.before = func(r *http.Request, _ url.Values) *http.Response {
		if r.URL.Path != "/oauth2/token" {
			return nil
		}
		return answer(http.StatusOK, `{"access_token":"`+jwt(nil)+`"}`+strings.Repeat(" ", 64<<10))
	}
	c := newClient(t, g, auth.Entra(&entra{}))
	if _, err := c.do(t.Context(), http.MethodGet, "repository:a:pull"); !errors.Is(err, wire.ErrTooLarge) {
		t.Error(err)
	}
}
