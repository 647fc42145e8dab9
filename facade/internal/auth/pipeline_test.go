package auth_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(r *policy.Request) (*http.Response, error) { return f(r) }

// Token requests are the caller's requests too: his name goes with them, and his policies see them.
func TestTokenRequestsPassTheCallersPolicies(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	var calls, tries []string
	note := func(to *[]string) policy.Policy {
		return policyFunc(func(r *policy.Request) (*http.Response, error) {
			*to = append(*to, r.Raw().Method+" "+r.Raw().URL.Path)
			r.Raw().Header.Set("X-Of-Caller", "yes")
			return r.Next()
		})
	}
	c := newClient(t, g, auth.Entra(&entra{}), func(c *auth.Config) {
		c.Pipeline.Telemetry.ApplicationID = "their-app"
		c.Pipeline.PerCallPolicies = []policy.Policy{note(&calls)}
		c.Pipeline.PerRetryPolicies = []policy.Policy{note(&tries)}
	})
	failed := false
	g.before = func(r *http.Request, _ url.Values) *http.Response {
		if failed || r.URL.Path != "/oauth2/token" {
			return nil
		}
		failed = true
		return answer(503, "")
	}
	c.ok(t, "repository:a:pull")
	if want := []string{"POST /oauth2/exchange", "POST /oauth2/token"}; !slices.Equal(calls, want) {
		t.Errorf("per call: %q", calls)
	}
	if want := []string{"POST /oauth2/exchange", "POST /oauth2/token", "POST /oauth2/token"}; !slices.Equal(tries, want) {
		t.Errorf("per try: %q", tries)
	}
	for _, line := range g.log[:3] {
		if !strings.Contains(line, "[their-app azsdk-go-acrkit/") || !strings.Contains(line, "X-Of-Caller:[yes]") {
			t.Error(line)
		}
	}
}

// The bodies of token requests are tokens: they are not logged, whatever is logged of the caller's other requests.
func TestTokenRequestsAreNotLoggedWhole(t *testing.T) { //nolint:paralleltest // azcore has one log
	var text strings.Builder
	azlog.SetListener(func(_ azlog.Event, line string) { text.WriteString(line) })
	t.Cleanup(func() { azlog.SetListener(nil) })
	c := newClient(t, newRegistry(), auth.Entra(&entra{}), func(c *auth.Config) { c.Pipeline.Logging.IncludeBody = true })
	c.ok(t, "repository:a:pull")
	if s := text.String(); !strings.Contains(s, "/oauth2/exchange") || strings.Contains(s, "canary-entra-token") {
		t.Error(s)
	}
}

// A56: what the token endpoint repeats in a header of what it was sent is not logged either.
func TestTokenRepliesThatRepeatSecrets(t *testing.T) { //nolint:paralleltest // azcore has one log
	var text strings.Builder
	azlog.SetListener(func(_ azlog.Event, line string) { text.WriteString(line) })
	t.Cleanup(func() { azlog.SetListener(nil) })
	for kind, cred := range map[string]auth.Credential{
		"Entra": auth.Entra(&entra{}), "password": auth.Password("admin", "canary-of-a-password"), "refresh token": auth.RefreshToken("canary-of-a-refresh-token"),
	} {
		text.Reset()
		g := newRegistry()
		g.before = func(r *http.Request, form url.Values) *http.Response {
			_, password, _ := r.BasicAuth()
			said := form.Get("access_token") + form.Get("refresh_token") + password
			return answer(http.StatusUnauthorized, "", "Www-Authenticate", "Bearer error=\""+said+"\"", "X-Ms-Request-Id", said)
		}
		_, err := newClient(t, g, cred).AccessToken(t.Context(), "repository:a:pull")
		if s := text.String(); err == nil || !strings.Contains(s, `Bearer error="REDACTED"`) || strings.Contains(s, "canary") {
			t.Errorf("%s: %v\n%s", kind, err, s)
		}
	}
}

// torn is a body that breaks off.
type torn struct{ io.Reader }

func (b torn) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (torn) Close() error { return nil }

// F47: a token reply that breaks off is asked for again.
func TestTokenReplyBreaksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, n := newRegistry(), 0
		g.before = func(r *http.Request, _ url.Values) *http.Response {
			if n++; n > 1 || r.URL.Path != "/oauth2/token" {
				return nil
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: torn{strings.NewReader(`{"access_to`)}}
		}
		c := newClient(t, g, auth.Anonymous())
		g.anonymous = true
		c.ok(t, "repository:a:pull")
		g.counted(t, 0, 2, 1, 0)
	})
}
