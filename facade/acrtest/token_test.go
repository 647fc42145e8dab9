package acrtest_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// client speaks to an emulator with nothing but net/http.
type client struct {
	t    testing.TB
	s    *acrtest.Server
	http *http.Client
	url  string // where there is no emulator
}

func (c *client) endpoint() string {
	if c.s == nil {
		return c.url
	}
	return c.s.Endpoint()
}

func newClient(t testing.TB, opts ...acrtest.Option) *client {
	t.Helper()
	s := acrtest.New(t, opts...)
	return &client{t: t, s: s, http: s.HTTPClient()}
}

type answer struct {
	*http.Response

	body string
}

func (c *client) do(req *http.Request) answer {
	c.t.Helper()
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func (c *client) request(method, path, token string, body io.Reader) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.endpoint()+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req
}

func (c *client) call(method, path, token string) answer {
	c.t.Helper()
	return c.do(c.request(method, path, token, nil))
}

func (c *client) form(path string, pairs ...string) answer {
	c.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	req := c.request(http.MethodPost, path, "", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(req)
}

func (c *client) refreshToken() string {
	c.t.Helper()
	a := c.form("/oauth2/exchange", "grant_type", "access_token", "service", c.s.Host(), "access_token", c.s.EntraToken())
	return c.field(a, "refresh_token")
}

func (c *client) token(scope string) string {
	c.t.Helper()
	a := c.form("/oauth2/token", "grant_type", "refresh_token", "service", c.s.Host(), "scope", scope, "refresh_token", c.refreshToken())
	return c.field(a, "access_token")
}

func (c *client) anonymous(scope string) string {
	c.t.Helper()
	return c.field(c.form("/oauth2/token", "grant_type", "password", "service", c.s.Host(), "scope", scope), "access_token")
}

func (c *client) field(a answer, key string) string {
	c.t.Helper()
	var fields map[string]string
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil || a.StatusCode != http.StatusOK || fields[key] == "" {
		c.t.Fatalf("status %d, want a 200 with %s: %s", a.StatusCode, key, a.body)
	}
	return fields[key]
}

func claims(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	host := c.s.Host()
	head := `Bearer realm="https://` + host + `/oauth2/token",service="` + host + `"`
	const digest = "sha256:2db29710123e3e53a794f2694094b9b4338aa9ee5c40b930cb8063a1be392c54"
	for _, test := range []struct{ method, path, scope string }{
		{"GET", "/v2/", ""},
		{"GET", "/acr/v1/_catalog", "registry:catalog:*"},
		{"GET", "/v2/_catalog", "registry:catalog:*"},
		{"GET", "/acr/v1/a%2Fb", "repository:a/b:metadata_read"},
		{"GET", "/acr/v1/a/b/_tags", "repository:a/b:metadata_read"},
		{"PATCH", "/acr/v1/a/_tags/latest", "repository:a:metadata_write"},
		{"DELETE", "/acr/v1/a", "repository:a:delete"},
		{"GET", "/v2/a/manifests/latest", "repository:a:pull"},
		{"HEAD", "/v2/a/manifests/latest", "repository:a:pull"},
		{"PUT", "/v2/a/manifests/latest", "repository:a:pull,push"},
		{"DELETE", "/v2/a/manifests/error-digest", "repository:a:delete"},
		{"GET", "/v2/a%2Fb/blobs/sha256%3A" + digest[7:], "repository:a/b:pull"},
		{"POST", "/v2/a/blobs/uploads/", "repository:a:pull,push"},
		{"POST", "/v2/a/blobs/uploads/?from=b&mount=" + digest, "repository:a:pull,push repository:b:pull"},
		{"GET", "/v2/a/referrers/" + digest, "repository:a:pull"},
		{"GET", "/acr/v1/_deleted/_catalog", "registry:deleted_catalog:*"},
		{"GET", "/acr/v1/_deleted/a/_tags", "repository:a:deleted_read"},
	} {
		a := c.call(test.method, test.path, "")
		want := head
		if test.scope != "" {
			want += `,scope="` + test.scope + `"`
		}
		if got := a.Header.Get("WWW-Authenticate"); a.StatusCode != http.StatusUnauthorized || got != want {
			t.Errorf("%s %s: %d\n got %s\nwant %s", test.method, test.path, a.StatusCode, got, want)
		}
	}
}

func TestNoRoute(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, path := range []string{
		"/", "/v2", "/v2/a", "/v2/a/blobs/uploads", "/v2/A/manifests/x", "/acr/v1/a/_manifests/wrong-digest", "/v2/a//b/tags/list",
		"/acr/v1/a/../b", "/oauth2/other", "/v2/" + strings.Repeat("a", 256) + "/tags/list",
	} {
		a := c.call(http.MethodGet, path, "")
		if a.StatusCode != http.StatusNotFound || a.body != "404 page not found\n" || a.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
		}
	}
	if a := c.call(http.MethodGet, "/oauth2/exchange", ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("GET of the exchange: %d, want 404", a.StatusCode)
	}
	if a := c.call(http.MethodPost, "/v2/", ""); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "GET" {
		t.Errorf("POST /v2/: %d", a.StatusCode)
	}
}

func TestTokenLives(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	now := c.s.Now().Unix()
	for _, test := range []struct {
		name, token string
		span, left  int64
	}{
		{"refresh", c.refreshToken(), 11700, 10800},
		{"access", c.token("repository:a:pull"), 4500, 3600},
		{"anonymous", c.anonymous("repository:a:pull"), 1200, 300},
	} {
		m := claims(t, test.token)
		exp, nbf := int64(m["exp"].(float64)), int64(m["nbf"].(float64))
		if exp-nbf != test.span || exp-now < test.left-5 || exp-now > test.left+5 {
			t.Errorf("%s: exp-nbf %d, exp-now %d", test.name, exp-nbf, exp-now)
		}
	}
}

func TestTokenOfWhatIsGranted(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	if a := c.call(http.MethodGet, "/v2/", c.token("repository:a:pull")); a.StatusCode == http.StatusUnauthorized {
		t.Errorf("any token should do for /v2/: %d", a.StatusCode)
	}
	token := c.anonymous("repository:a:metadata_write")
	a := c.call(http.MethodPatch, "/acr/v1/a", token)
	if got := a.Header.Get("WWW-Authenticate"); a.StatusCode != http.StatusUnauthorized || !strings.HasSuffix(got, `,error="insufficient_scope"`) {
		t.Errorf("%d %s", a.StatusCode, got)
	}
	a = c.call(http.MethodPatch, "/acr/v1/a", "a.b.c")
	if got := a.Header.Get("WWW-Authenticate"); a.StatusCode != http.StatusUnauthorized || !strings.HasSuffix(got, `,error="invalid_token"`) {
		t.Errorf("%d %s", a.StatusCode, got)
	}
	c.s.Advance(2 * time.Hour)
	if a := c.call(http.MethodPatch, "/acr/v1/a", token); !strings.Contains(a.Header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("an expired token: %d %s", a.StatusCode, a.Header.Get("WWW-Authenticate"))
	}
}
