package auth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// F53: a claims challenge reaches the credential.
func TestContinuousAccessEvaluation(t *testing.T) {
	t.Parallel()
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`
	const challenge = `Bearer error="insufficient_claims",claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ=="`
	for _, path := range []string{"/oauth2/exchange", "/oauth2/token", "/v2/"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			g, refused := newRegistry(), false
			g.before = func(r *http.Request, _ url.Values) *http.Response {
				if r.URL.Path != path || refused {
					return nil
				}
				refused = true
				return problem(401, "UNAUTHORIZED", "claims", "Www-Authenticate", challenge)
			}
			e := &entra{}
			newClient(t, g, auth.Entra(e)).ok(t, "repository:a:pull")
			if n := len(e.asked); n != 2 || e.asked[0].Claims != "" || e.asked[1].Claims != claims {
				t.Errorf("%+v", e.asked)
			}
		})
	}
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
