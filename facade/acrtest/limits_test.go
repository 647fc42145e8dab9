package acrtest_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A spent budget is a 429 whose Retry-After counts down with the clock, and is whole again after it.
func TestBudgets(t *testing.T) {
	t.Parallel()
	const digest = "sha256:2db29710123e3e53a794f2694094b9b4338aa9ee5c40b930cb8063a1be392c54"
	for _, test := range []struct {
		budget             acrtest.Budget
		method, path, role string
	}{
		{acrtest.ReadBudget, "GET", "/acr/v1/a/_tags", "metadata_read"},
		{acrtest.WriteBudget, "POST", "/v2/a/blobs/uploads/", "pull,push"},
		{acrtest.DeleteBudget, "DELETE", "/v2/a/manifests/" + digest, "delete"},
		{acrtest.ReferrersBudget, "GET", "/v2/a/referrers/" + digest, "pull"},
	} {
		t.Run(string(test.budget), func(t *testing.T) {
			t.Parallel()
			c := newClient(t, acrtest.WithBudget(test.budget, 3))
			c.s.SeedImage(t, "a:v1")
			token := c.token("repository:a:" + test.role)
			for i := range 3 {
				if a := c.call(test.method, test.path, token); a.StatusCode == http.StatusTooManyRequests {
					t.Fatalf("request %d of 3 is refused", i+1)
				}
			}
			a := c.call(test.method, test.path, token)
			wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
			if a.StatusCode != http.StatusTooManyRequests || err != nil || wait < 50 || wait > 60 || !strings.Contains(a.body, "TOOMANYREQUESTS") {
				t.Fatalf("%d, Retry-After %q, %s", a.StatusCode, a.Header.Get("Retry-After"), a.body)
			}
			c.s.Advance(20 * time.Second)
			if later, err := strconv.Atoi(c.call(test.method, test.path, token).Header.Get("Retry-After")); err != nil || later > wait-19 {
				t.Errorf("Retry-After went from %d to %d in 20 s", wait, later)
			}
			c.s.Advance(time.Duration(wait) * time.Second)
			if a := c.call(test.method, test.path, token); a.StatusCode == http.StatusTooManyRequests {
				t.Error("the budget did not come back")
			}
		})
	}
	c := newClient(t, acrtest.WithBudget(acrtest.OAuthBudget, 3))
	c.token("repository:a:pull")
	c.refreshToken()
	a := c.form("/oauth2/token")
	if a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("oauth: %d", a.StatusCode)
	}
	tokenRefusal(t, a)
}

// tokenRefusal checks the form of an error of the token endpoints: no charset, no newline.
func tokenRefusal(t *testing.T, a answer) {
	t.Helper()
	if kind := a.Header.Get("Content-Type"); kind != "application/json" || !strings.HasSuffix(a.body, "}") {
		t.Errorf("%d: %s, %q", a.StatusCode, kind, a.body)
	}
}

// A scripted refusal of a token has the form of the service's own.
func TestScriptedTokenRefusal(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.s.On("GetAccessToken").Always().Status(http.StatusServiceUnavailable)
	tokenRefusal(t, c.form("/oauth2/token"))
}

// The header of deletes counts for each caller apart.
func TestDeleteRate(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithRepositoryToken("ci", "secret", "a content/delete"))
	rate := func(user, password string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, r.s.Endpoint()+"/acr/v1/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(user, password)
		resp, err := r.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.Header.Get("X-Ms-Ratelimit-Remaining-Calls-Per-Second")
	}
	admin, password := r.s.Admin()
	if first, other := rate(admin, password), rate("ci", "secret"); first != "8.000000" || other != "8.000000" {
		t.Errorf("%s, and of another caller %s", first, other)
	}
}

// The budgets of the tier hold when asked for, and one caller's is his own.
func TestSKU(t *testing.T) {
	t.Parallel()
	c := newClient(t, acrtest.WithSKU(acrtest.Basic), acrtest.WithLimits())
	if c.s.AllowsAnonymousPull() {
		t.Error("a Basic registry has anonymous pull")
	}
	token := c.token("repository:a:delete")
	refused := 0
	for range 501 {
		if a := c.call(http.MethodDelete, "/acr/v1/a", token); a.StatusCode == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of 501 deletes refused, want 1", refused)
	}
	req := c.request(http.MethodDelete, "/acr/v1/a", "", nil)
	req.SetBasicAuth(c.s.Admin())
	if a := c.do(req); a.StatusCode == http.StatusTooManyRequests {
		t.Error("one caller's budget is another's")
	}
}

// The headers are those of the service, to the letter and the number.
func TestHeaders(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.s.SeedImage(t, "a:v1")
	c.s.Advance(48 * time.Hour)
	const security = "max-age=31536000; includeSubDomains"
	for _, test := range []struct {
		name     string
		answer   answer
		security int
		want     []string
		not      []string
	}{
		{"refused", c.call("GET", "/v2/a/manifests/v1", ""), 2, []string{"Docker-Distribution-Api-Version", "X-Content-Type-Options", "WWW-Authenticate"}, []string{"X-Ms-Request-Id"}},
		{"pull", c.call("GET", "/v2/a/manifests/v1", c.token("repository:a:pull")), 2, []string{"X-Ms-Request-Id", "X-Ms-Client-Request-Id"}, []string{"X-Ms-Ratelimit-Remaining-Calls-Per-Second"}},
		{"metadata", c.call("GET", "/acr/v1/a", c.token("repository:a:metadata_read")), 2, []string{"Docker-Distribution-Api-Version"}, []string{"X-Ms-Request-Id"}},
		{"delete", c.call("DELETE", "/acr/v1/a/_tags/v1", c.token("repository:a:delete")), 2, []string{"X-Ms-Request-Id", "X-Ms-Ratelimit-Remaining-Calls-Per-Second", "X-Ms-Int-Docker-Content-Digest"}, nil},
		{"token", c.form("/oauth2/token", "grant_type", "password", "service", c.s.Host(), "scope", "registry:catalog:*"), 1, []string{"X-Ms-Ratelimit-Remaining-Calls-Per-Second"}, []string{"Docker-Distribution-Api-Version", "X-Content-Type-Options", "Access-Control-Expose-Headers", "Content-Length"}},
		{"no route", c.call("GET", "/v2/nothing", ""), 2, []string{"Docker-Distribution-Api-Version"}, []string{"Access-Control-Expose-Headers"}},
	} {
		h := test.answer.Header
		if got := h["Strict-Transport-Security"]; len(got) != test.security || got[0] != security {
			t.Errorf("%s: Strict-Transport-Security %q", test.name, got)
		}
		for _, key := range append(test.want, "Server", "Date", "Connection", "X-Ms-Correlation-Request-Id") {
			if _, ok := h[http.CanonicalHeaderKey(key)]; !ok {
				t.Errorf("%s: no %s", test.name, key)
			}
		}
		for _, key := range test.not {
			if _, ok := h[http.CanonicalHeaderKey(key)]; ok {
				t.Errorf("%s: a %s", test.name, key)
			}
		}
		if date, err := http.ParseTime(h.Get("Date")); err != nil || time.Until(date) < 47*time.Hour {
			t.Errorf("%s: Date %s does not follow the clock", test.name, h.Get("Date"))
		}
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.s.SeedImage(t, "a/b:v1")
	if got := c.s.Ledger().Count(); got != 0 {
		t.Errorf("seeding left %d entries", got)
	}
	c.call(http.MethodGet, "/v2/a%2Fb/manifests/v1?x=1", "")
	token := c.token("repository:a/b:pull")
	c.call(http.MethodGet, "/v2/a%2Fb/manifests/v1?x=1", token)
	l := c.s.Ledger()
	got := l.Requests("GetManifest")
	if len(got) != 2 || l.Count() != 4 || l.Count("GetAccessToken", "ExchangeEntraToken") != 2 {
		t.Fatalf("%v", got)
	}
	first, second := got[0], got[1]
	if first.Status != 401 || first.Credential != acrtest.NoCredential || first.Scope != "repository:a/b:pull" {
		t.Errorf("%+v", first)
	}
	if second.Status != 200 || second.Credential != acrtest.BearerCredential || second.Repository != "a/b" || second.Reference != "v1" ||
		second.Path != "/v2/a%2Fb/manifests/v1" || second.Query != "x=1" || second.BytesOut == 0 || second.Caller == "" || second.Connection == 0 {
		t.Errorf("%+v", second)
	}
	asked := l.Requests("GetAccessToken")[0]
	if asked.Scope != "repository:a/b:pull" || asked.Credential != acrtest.FormCredential || asked.BytesIn == 0 {
		t.Errorf("%+v", asked)
	}
	for _, r := range l.Requests() {
		for key, values := range r.Header {
			if key == "Authorization" || slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, token) }) {
				t.Errorf("the ledger keeps a credential in %s", key)
			}
		}
	}
	l.AtMost(t, 2, "GetManifest")
	l.None(t, func(r acrtest.Request) bool { return r.Status >= 500 })
	var failing recordingT
	l.AtMost(&failing, 1, "GetManifest")
	if !failing.failed {
		t.Error("AtMost let two requests pass for one")
	}
	l.Exactly(t, map[string]int{"GetManifest": 2, "GetAccessToken": 1, "ExchangeEntraToken": 1})
	for _, wrong := range []map[string]int{
		nil, {"GetManifest": 2}, {"GetManifest": 1, "GetAccessToken": 1, "ExchangeEntraToken": 1}, {"GetManifest": 2, "GetAccessToken": 1, "ExchangeEntraToken": 1, "ListTags": 1},
	} {
		var failing recordingT
		if l.Exactly(&failing, wrong); !failing.failed {
			t.Errorf("Exactly let %v pass", wrong)
		}
	}
	l.Reset()
	if l.Count() != 0 {
		t.Error("Reset left entries")
	}
}

func TestMaxBody(t *testing.T) {
	t.Parallel()
	c := newClient(t, acrtest.WithMaxBody(1000))
	token := c.token("repository:a:pull,push")
	start := c.call(http.MethodPost, "/v2/a/blobs/uploads/", token)
	location := start.Header.Get("Location")
	for _, size := range []int{1001, 5 << 20} {
		req := c.request(http.MethodPatch, location, token, strings.NewReader(strings.Repeat("x", size)))
		req.Header.Set("Content-Type", "application/octet-stream")
		a := c.do(req)
		if a.StatusCode != http.StatusRequestEntityTooLarge || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%d bytes: %d %s", size, a.StatusCode, a.body)
		}
	}
	req := c.request(http.MethodPatch, location, token, strings.NewReader(strings.Repeat("x", 1000)))
	req.Header.Set("Content-Type", "application/octet-stream")
	if a := c.do(req); a.StatusCode != http.StatusAccepted {
		t.Errorf("1000 bytes: %d %s", a.StatusCode, a.body)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := acrtest.Start()
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// The published budgets as buckets of one second's worth: who keeps the pace of the budget is never refused, on either tier, and a
// burst beyond a second's worth is, with a wait of a second.
func TestTokenBuckets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sku       acrtest.SKU
		perMinute int // deletes of one caller
	}{{acrtest.Basic, 500}, {acrtest.Standard, 500}, {acrtest.Premium, 2000}} {
		t.Run(string(test.sku), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t, acrtest.WithSKU(test.sku), acrtest.WithTokenBuckets(), acrtest.WithMemoryNetwork())
				remove := func() answer { return r.send("DELETE", "/acr/v1/samples/app/_tags/v1", "") }
				for i := range 3 * test.perMinute / 4 { // 45 seconds
					if a := remove(); a.StatusCode == http.StatusTooManyRequests {
						t.Fatalf("delete %d at the pace of the budget is refused", i)
					}
					<-time.After(time.Minute / time.Duration(test.perMinute))
				}
				<-time.After(time.Second)
				burst := 0
				var refused answer
				for refused = remove(); refused.StatusCode != http.StatusTooManyRequests; refused = remove() {
					burst++
				}
				if want := test.perMinute / 60; burst != want || refused.Header.Get("Retry-After") != "1" {
					t.Errorf("a burst of %d, want %d; Retry-After %q", burst, want, refused.Header.Get("Retry-After"))
				}
				<-time.After(time.Second)
				if a := remove(); a.StatusCode == http.StatusTooManyRequests {
					t.Error("refused after the wait")
				}
				r.http.CloseIdleConnections()
				r.s.Close()
			})
		})
	}
}
