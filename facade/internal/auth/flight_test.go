package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// exiting ends its goroutine the first time it is asked, as a test's credential does by t.FailNow.
type exiting struct {
	once sync.Once
	entra
}

func (e *exiting) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	e.once.Do(runtime.Goexit)
	return e.entra.GetToken(ctx, o)
}

// A credential that ends its goroutine does not leave callers waiting for ever, nor the next ones.
func TestCredentialExits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newRegistry(), auth.Entra(&exiting{}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := c.AccessToken(ctx, "repository:a:pull")
		if e, ok := errors.AsType[*auth.Error](err); !ok || ctx.Err() != nil {
			t.Error(e, err)
		}
		if _, err := c.AccessToken(ctx, "repository:a:pull"); err != nil {
			t.Error(err)
		}
	})
}

// staggered delivers refusals a second apart, after all requests were sent.
type staggered struct {
	*registry
	n atomic.Int32
}

func (s *staggered) Do(r *http.Request) (*http.Response, error) {
	resp, err := s.registry.Do(r)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		time.Sleep(time.Duration(s.n.Add(1)) * time.Second)
	}
	return resp, err
}

// Fifty calls whose token is refused until the Entra token has more claims cost one more of each kind, however late the refusals come in.
func TestClaimsAreMetOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, e := newRegistry(), &entra{}
		var old string
		g.before = func(r *http.Request, _ url.Values) *http.Response {
			if old == "" || r.Header.Get("Authorization") != old {
				return nil
			}
			return problem(401, "UNAUTHORIZED", "claims", "Www-Authenticate",
				`Bearer error="insufficient_claims",claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ=="`)
		}
		c := newClient(t, &staggered{registry: g}, auth.Entra(e))
		token, err := c.AccessToken(t.Context(), "repository:a:pull")
		if err != nil {
			t.Fatal(err)
		}
		old = "Bearer " + token
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { c.ok(t, "repository:a:pull") })
		}
		wg.Wait()
		c.ok(t, "repository:b:pull") // nor does what comes later pay for it
		if n := [3]int{g.count("exchange"), g.count("token"), int(e.calls.Load())}; n != [3]int{2, 3, 2} {
			t.Errorf("exchanges, tokens, Entra tokens: %v", n)
		}
	})
}

// A change that asks for claims of the tokens of five repositories is met by one exchange.
func TestClaimsAreMetOnceForAllScopes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, e := newRegistry(), &entra{}
		old := map[string]bool{}
		g.before = func(r *http.Request, _ url.Values) *http.Response {
			if !old[r.Header.Get("Authorization")] {
				return nil
			}
			return problem(401, "UNAUTHORIZED", "claims", "Www-Authenticate", `Bearer error="insufficient_claims",claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ=="`)
		}
		c := newClient(t, g, auth.Entra(e))
		scope := func(i int) string { return fmt.Sprintf("repository:r%d:pull", i) }
		for i := range 5 {
			token, err := c.AccessToken(t.Context(), scope(i))
			if err != nil {
				t.Fatal(err)
			}
			old["Bearer "+token] = true
		}
		time.Sleep(time.Minute)
		for i := range 5 {
			c.ok(t, scope(i))
		}
		if n := [3]int{g.count("exchange"), g.count("token"), int(e.calls.Load())}; n != [3]int{2, 10, 2} {
			t.Errorf("exchanges, tokens, Entra tokens: %v", n)
		}
	})
}

// Claims that the registry asked for are not forgotten when the credential fails to get a token with them.
func TestClaimsOutliveAFailure(t *testing.T) {
	t.Parallel()
	g, e := newRegistry(), &entra{}
	c := newClient(t, g, auth.Entra(e))
	c.ok(t, "repository:a:pull")
	refuse := true
	g.before = func(r *http.Request, _ url.Values) *http.Response {
		if !refuse || r.Header.Get("Authorization") == "" {
			return nil
		}
		refuse = false
		return problem(401, "UNAUTHORIZED", "claims", "Www-Authenticate", `Bearer error="insufficient_claims",claims="e30="`)
	}
	e.get = fail("the network is down")
	if _, err := c.do(t.Context(), http.MethodGet, "repository:a:pull"); err == nil {
		t.Fatal("it went well")
	}
	e.get = nil
	c.ok(t, "repository:a:pull")
	if last := e.asked[len(e.asked)-1]; last.Claims != "{}" {
		t.Errorf("the claims asked for last: %q", last.Claims)
	}
}

// One 401 is answered per request, over all its tries: a registry that fails in between does not get a token request for each.
func TestReauthenticatesOnceOverTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, n := newRegistry(), 0
		g.before = func(r *http.Request, _ url.Values) *http.Response {
			if strings.HasPrefix(r.URL.Path, "/oauth2/") {
				return nil
			}
			if n++; n%2 == 0 {
				return problem(503, "UNAVAILABLE", "busy")
			}
			return problem(401, "UNAUTHORIZED", "no", "Www-Authenticate", `Bearer error="invalid_token"`)
		}
		c := newClient(t, g, auth.Entra(&entra{}))
		if resp, err := c.do(t.Context(), http.MethodGet, "repository:a:pull"); err != nil || resp.StatusCode != 401 {
			t.Error(resp, err)
		}
		if got := g.count("token"); got != 2 || n != 3 {
			t.Errorf("%d tokens, %d requests, want 2 and 3", got, n)
		}
	})
}

// What our table gets wrong is learned anew when there is no room left for it.
func TestLearningGoesOn(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	c := newClient(t, g, auth.Entra(&entra{}))
	for i := range 300 {
		c.ok(t, fmt.Sprintf("repository:r%d:metadata_read", i), fmt.Sprintf("repository:r%d:pull", i))
	}
	before := g.count("401")
	for range 5 {
		c.ok(t, "repository:r299:metadata_read", "repository:r299:pull")
	}
	if n := g.count("401") - before; n != 0 {
		t.Errorf("%d refusals for what was learned last", n)
	}
}
