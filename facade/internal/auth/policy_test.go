package auth_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// counts checks how many requests of each kind the registry saw.
func (g *registry) counted(t testing.TB, exchanges, tokens, api, refusals int) {
	t.Helper()
	got := [4]int{g.count("exchange"), g.count("token"), g.count("api"), g.count("401")}
	if want := [4]int{exchanges, tokens, api, refusals}; got != want {
		t.Errorf("exchanges, tokens, requests, 401s: %v, want %v", got, want)
	}
}

func TestScopeFirst(t *testing.T) {
	t.Parallel()
	g, e := newRegistry(), &entra{}
	c := newClient(t, g, auth.Entra(e))
	c.ok(t, "repository:a/b:pull")
	g.counted(t, 1, 1, 1, 0)
	o := e.asked[0]
	if !o.EnableCAE || !slices.Equal(o.Scopes, []string{"https://containerregistry.azure.net/.default"}) {
		t.Errorf("%+v", o)
	}
	c.ok(t, "") // GET /v2/: a token that only says who asks
	c.ok(t, "repository:a/b:pull,push repository:c:pull")
	if want := []string{"repository:a/b:pull", "", "repository:a/b:pull,push repository:c:pull"}; !slices.Equal(g.scopes, want) {
		t.Errorf("%q", g.scopes)
	}
}

func TestEveryCredential(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name                   string
		cred                   func(*registry) auth.Credential
		exchanges, tokens, api int
	}{
		{"entra", func(*registry) auth.Credential { return auth.Entra(&entra{}) }, 1, 2, 3},
		{"password", func(*registry) auth.Credential { return auth.Password("admin", "canary-password") }, 0, 2, 3},
		{"refresh token", func(g *registry) auth.Credential {
			t := jwt(map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
			g.refresh[t] = time.Now().Add(time.Hour)
			return auth.RefreshToken(t)
		}, 0, 2, 3},
		{"refresh token as password", func(g *registry) auth.Credential {
			g.refresh["opaque-refresh"] = time.Now().Add(time.Hour)
			return auth.Password(auth.TokenUser, "opaque-refresh")
		}, 0, 2, 3},
		{"anonymous", func(g *registry) auth.Credential { g.anonymous = true; return auth.Anonymous() }, 0, 2, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRegistry()
			c := newClient(t, g, row.cred(g))
			c.ok(t, "repository:a:pull")
			c.ok(t, "repository:a:pull")
			c.ok(t, "repository:b:metadata_read")
			g.counted(t, row.exchanges, row.tokens, row.api, 0)
		})
	}
}

func TestUnsignedWithoutScopes(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	c := newClient(t, g, auth.Entra(&entra{}))
	req, err := runtime.NewRequest(t.Context(), http.MethodGet, "https://"+host+"/")
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := c.p.Do(req); err != nil || resp.StatusCode != 401 {
		t.Error(resp, err)
	}
	g.counted(t, 0, 0, 1, 1)
}

// F48: fifty cold calls at once cost one exchange and one token.
func TestColdCallsShareOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry()
		g.delay = 20 * time.Millisecond
		e := &entra{delay: 100 * time.Millisecond}
		c := newClient(t, g, auth.Entra(e))
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { c.ok(t, "repository:a:pull") })
		}
		wg.Wait()
		g.counted(t, 1, 1, 50, 0)
		if n := e.calls.Load(); n != 1 {
			t.Errorf("%d Entra tokens", n)
		}
	})
}

// The counts the library promises: 200 reads over 8 repositories, a thousand over 50.
func TestCounts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name                    string
		calls, repos            int
		wide                    bool
		exchanges, tokens, reqs int
	}{
		{"200 over 8", 200, 8, false, 1, 8, 200},
		{"1000 over 50", 1000, 50, false, 1, 50, 1000},
		{"1000 over 50, registry-wide", 1000, 50, true, 1, 1, 1000},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newRegistry()
				g.delay = 20 * time.Millisecond
				c := newClient(t, g, auth.Entra(&entra{}), func(c *auth.Config) { c.RegistryWide = row.wide })
				var wg sync.WaitGroup
				for i := range row.calls {
					wg.Go(func() { c.ok(t, fmt.Sprintf("repository:r%d:metadata_read", i%row.repos)) })
				}
				wg.Wait()
				g.counted(t, row.exchanges, row.tokens, row.reqs, 0)
			})
		})
	}
}

// F50: turns cost nothing, and the cache stays small.
func TestTurnsAndBounds(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	c := newClient(t, g, auth.Entra(&entra{}))
	for range 10 {
		c.ok(t, "repository:a:pull")
		c.ok(t, "repository:a:metadata_read")
	}
	g.counted(t, 1, 2, 20, 0)
	for i := range 300 {
		c.ok(t, fmt.Sprintf("repository:r%d:pull", i))
		c.ok(t, "repository:a:pull") // used all the time: never thrown out
	}
	g.counted(t, 1, 302, 620, 0)
	if n := c.Slots(); n > 256 {
		t.Errorf("%d tokens kept", n)
	}
}

func TestLargerTokenServesSmallerNeed(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	c := newClient(t, g, auth.Entra(&entra{}))
	c.ok(t, "repository:a:pull,push")
	c.ok(t, "repository:a:pull")
	g.counted(t, 1, 1, 2, 0)

	// A token that was asked for more, but grants less, serves what it grants.
	g = newRegistry()
	g.deny = []string{"push"}
	c = newClient(t, g, auth.Entra(&entra{}))
	if resp, err := c.do(t.Context(), http.MethodPut, "repository:a:pull,push"); err != nil || resp.StatusCode != 401 {
		t.Error(resp, err)
	}
	c.ok(t, "repository:a:pull")
	g.counted(t, 1, 1, 2, 1)
}

// F51, F52, F28: tokens revoked under way.
func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name            string
		refresh, access bool
		want            [4]int
	}{
		{"F51 access token", false, true, [4]int{1, 2, 3, 1}},
		{"F52 refresh token", true, true, [4]int{2, 3, 3, 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRegistry()
			c := newClient(t, g, auth.Entra(&entra{}))
			c.ok(t, "repository:a:pull")
			g.revoke(row.refresh, row.access)
			c.ok(t, "repository:a:pull")
			g.counted(t, row.want[0], row.want[1], row.want[2], row.want[3])
		})
	}
}

// Fifty calls that find their token revoked fetch one new one.
func TestRevokedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry()
		g.delay = 10 * time.Millisecond
		c := newClient(t, g, auth.Entra(&entra{}))
		c.ok(t, "repository:a:pull")
		g.revoke(false, true)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { c.ok(t, "repository:a:pull") })
		}
		wg.Wait()
		g.counted(t, 1, 2, 101, 50)
	})
}

// A36: 401 for ever, its scope changing each time.
func TestRefusedForEver(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		challenge func(n int) string
		tokens    int
	}{
		{"invalid_token", func(int) string { return `Bearer error="invalid_token"` }, 2},
		{"insufficient_scope", func(int) string { return `Bearer scope="repository:a:pull",error="insufficient_scope"` }, 1},
		{"scope changing", func(n int) string {
			return fmt.Sprintf(`Bearer scope="repository:a:%s",error="insufficient_scope"`, []string{"metadata_read", "deleted_read", "push"}[n%3])
		}, 2},
		{"no error given", func(int) string { return `Bearer scope="repository:a:pull"` }, 2},
		{"A19 Basic only", func(int) string { return `Basic realm="x"` }, 1},
		{"nothing", func(int) string { return "" }, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRegistry()
			n := 0
			g.before = func(r *http.Request, _ url.Values) *http.Response {
				if strings.HasPrefix(r.URL.Path, "/oauth2/") {
					return nil
				}
				if _, _, basic := r.BasicAuth(); basic {
					t.Error("Basic was sent")
				}
				n++
				return problem(401, "UNAUTHORIZED", "no", "Www-Authenticate", row.challenge(n-1))
			}
			c := newClient(t, g, auth.Entra(&entra{}))
			resp, err := c.do(t.Context(), http.MethodGet, "repository:a:pull")
			if err != nil || resp.StatusCode != 401 {
				t.Fatal(resp, err)
			}
			if got := g.count("token"); got != row.tokens || n != row.tokens {
				t.Errorf("%d tokens, %d requests, want %d each", got, n, row.tokens)
			}
		})
	}
}

// A denied identity does not fetch a token per denied call, but one given a right later is let in.
func TestDeniedThenAllowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry()
		g.deny = []string{"delete"}
		c := newClient(t, g, auth.Entra(&entra{}))
		for range 20 {
			if resp, err := c.do(t.Context(), http.MethodDelete, "repository:a:delete"); err != nil || resp.StatusCode != 401 {
				t.Fatal(resp, err)
			}
		}
		g.counted(t, 1, 1, 20, 20)
		g.deny = nil
		time.Sleep(2 * time.Minute)
		if resp, err := c.do(t.Context(), http.MethodDelete, "repository:a:delete"); err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		g.counted(t, 1, 2, 22, 21)
	})
}

// What our table gets wrong is learned from the challenge, once per operation and repository.
func TestScopeIsLearned(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	c := newClient(t, g, auth.Entra(&entra{}))
	for range 5 {
		c.ok(t, "repository:a:metadata_read", "repository:a:pull")
	}
	g.counted(t, 1, 2, 6, 1)
	if got := g.scopes[1]; got != "repository:a:metadata_read,pull" {
		t.Error(got)
	}
	// A22: never wider.
	resp, err := c.do(t.Context(), http.MethodGet, "repository:a:pull", "repository:b:pull,delete")
	if err != nil || resp.StatusCode != 401 {
		t.Fatal(resp, err)
	}
	for _, s := range g.scopes {
		if strings.Contains(s, "delete") || strings.Contains(s, ":b:") {
			t.Error(s)
		}
	}
}

// A01-A03, A21: realm and service of a challenge are noted, and not obeyed.
func TestChallengeIsNotObeyed(t *testing.T) {
	t.Parallel()
	for id, realm := range map[string]string{"A01": "https://attacker.invalid/token", "A02": "http://attacker.invalid/token", "A03": "http://169.254.169.254/metadata"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			g := newRegistry()
			g.challenge = func(need, problem string) string {
				return fmt.Sprintf(`Bearer realm=%q,service="attacker.invalid",scope=%q,error=%q`, realm, need, problem)
			}
			var log strings.Builder
			c := newClient(t, g, auth.Entra(&entra{}), func(c *auth.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			c.ok(t, "repository:a:pull")
			g.revoke(false, true)
			c.ok(t, "repository:a:pull")
			for _, line := range g.log {
				if !strings.Contains(line, "https://"+host+"/") || strings.Contains(line, "attacker") {
					t.Error(line)
				}
			}
			if !strings.Contains(log.String(), "service=attacker.invalid") || !strings.Contains(log.String(), "realm=") {
				t.Error("A21 not noted:", log.String())
			}
		})
	}
}
