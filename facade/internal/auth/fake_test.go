package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/transport"
)

const host = "reg.azurecr.io"

// jwt makes an unsigned token.
func jwt(claims map[string]any) string {
	b, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(b) + ".c2ln"
}

type access struct {
	Type, Name string
	Actions    []string
}

// registry is an ACR in memory, as far as signing in goes: a policy.Transporter that runs in a synctest bubble. Tokens are kept by value, with their end and scopes.
type registry struct {
	skew time.Duration // of the registry's clock

	exchangeLife, accessLife time.Duration
	abac, anonymous          bool
	opaque                   bool // tokens are no JWTs
	deny                     []string
	delay                    time.Duration
	noDate                   bool
	// before, when it returns a response, answers in the registry's place.
	before func(r *http.Request, form url.Values) *http.Response
	// challenge overrides WWW-Authenticate of a 401.
	challenge func(need, problem string) string

	mu      sync.Mutex
	n       int
	refresh map[string]time.Time
	tokens  map[string]granted
	counts  map[string]int
	scopes  []string // asked for, in turn
	log     []string
}

type granted struct {
	end    time.Time
	scopes string
}

func newRegistry() *registry {
	return &registry{
		exchangeLife: 3 * time.Hour, accessLife: time.Hour,
		refresh: map[string]time.Time{}, tokens: map[string]granted{}, counts: map[string]int{},
	}
}

func (g *registry) count(op string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[op]
}

func (g *registry) now() time.Time { return time.Now().Add(g.skew) }

// revoke ends all tokens of one kind.
func (g *registry) revoke(refresh, access bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if refresh {
		clear(g.refresh)
	}
	if access {
		clear(g.tokens)
	}
}

func (g *registry) Do(r *http.Request) (*http.Response, error) {
	if g.delay > 0 {
		select {
		case <-time.After(g.delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	form := r.URL.Query()
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
			form, _ = url.ParseQuery(string(b))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	op := "api"
	switch {
	case r.URL.Path == "/oauth2/exchange":
		op = "exchange"
	case r.URL.Path == "/oauth2/token":
		op = "token"
	}
	g.counts[op]++
	g.log = append(g.log, fmt.Sprintf("%s %s %v %v", r.Method, r.URL, r.Header, form))
	if g.before != nil {
		if resp := g.before(r, form); resp != nil {
			return g.date(r, resp), nil
		}
	}
	var resp *http.Response
	switch op {
	case "exchange":
		resp = g.exchange(form)
	case "token":
		resp = g.token(r, form)
	default:
		resp = g.api(r)
	}
	return g.date(r, resp), nil
}

func (g *registry) date(r *http.Request, resp *http.Response) *http.Response {
	if !g.noDate {
		resp.Header.Set("Date", g.now().UTC().Format(http.TimeFormat))
	}
	resp.Header.Set("X-Ms-Correlation-Request-Id", "00000000-1111-2222-3333-444444444444")
	resp.Request = r
	return resp
}

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func problem(status int, code, message string, header ...string) *http.Response {
	return answer(status, fmt.Sprintf(`{"errors":[{"code":%q,"message":%q}]}`, code, message), header...)
}

func (g *registry) exchange(form url.Values) *http.Response {
	if form.Get("grant_type") != "access_token" || form.Get("service") != host || form.Get("access_token") == "" {
		return problem(401, "UNAUTHORIZED", "bad form")
	}
	g.n++
	claims := map[string]any{"jti": g.n, "exp": g.now().Add(g.exchangeLife).Unix(), "nbf": g.now().Add(-900 * time.Second).Unix(), "grant_type": "refresh_token"}
	if g.abac {
		claims["aad_identity"] = "x"
	}
	t := jwt(claims)
	g.refresh[t] = g.now().Add(g.exchangeLife)
	return answer(200, fmt.Sprintf(`{"refresh_token":%q}`, t))
}

func (g *registry) token(r *http.Request, form url.Values) *http.Response {
	life := g.accessLife
	switch {
	case r.Method == http.MethodGet:
		user, password, ok := r.BasicAuth()
		if !ok || user != "admin" || password != "canary-password" {
			return problem(401, "UNAUTHORIZED", "authentication required")
		}
	case form.Get("grant_type") == "password":
		if !g.anonymous {
			return problem(401, "UNAUTHORIZED", "authentication required")
		}
		life = 5 * time.Minute
	default:
		if end, ok := g.refresh[form.Get("refresh_token")]; !ok || !g.now().Before(end) {
			return problem(401, "UNAUTHORIZED", "authentication required, the token "+form.Get("refresh_token")+" is not valid")
		}
	}
	if form.Get("service") != host {
		return problem(401, "UNAUTHORIZED", "bad service")
	}
	asked := form.Get("scope")
	g.scopes = append(g.scopes, asked)
	g.n++
	var have []string
	list := []access{}
	for word := range strings.FieldsSeq(asked) {
		parts := strings.Split(word, ":")
		if g.abac && strings.Contains(parts[1], "*") {
			continue
		}
		actions := slices.DeleteFunc(strings.Split(parts[2], ","), func(a string) bool { return slices.Contains(g.deny, a) })
		if len(actions) > 0 {
			have = append(have, parts[0]+":"+parts[1]+":"+strings.Join(actions, ","))
			list = append(list, access{parts[0], parts[1], actions})
		}
	}
	t := jwt(map[string]any{"jti": g.n, "exp": g.now().Add(life).Unix(), "iat": g.now().Add(-900 * time.Second).Unix(), "access": list})
	if g.opaque {
		t = fmt.Sprintf("opaque-token-%d", g.n)
	}
	g.tokens[t] = granted{g.now().Add(life), strings.Join(have, " ")}
	return answer(200, fmt.Sprintf(`{"access_token":%q}`, t))
}

// api serves any other path to whom has the scope that the Need header names.
func (g *registry) api(r *http.Request) *http.Response {
	need := r.Header.Get("Need")
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t, ok := g.tokens[value]
	why := ""
	switch {
	case value == "":
	case !ok || !g.now().Before(t.end):
		why = "invalid_token"
	case !auth.Covers(t.scopes, need):
		why = "insufficient_scope"
	default:
		return answer(200, "ok")
	}
	g.counts["401"]++
	line := fmt.Sprintf(`Bearer realm="https://%s/oauth2/token",service="%s",scope="%s"`, host, host, need)
	if why != "" {
		line += fmt.Sprintf(`,error="%s"`, why)
	}
	if g.challenge != nil {
		line = g.challenge(need, why)
	}
	return problem(401, "UNAUTHORIZED", "authentication required", "Www-Authenticate", line)
}

// entra is a credential that counts and can be told to fail.
type entra struct {
	calls atomic.Int32
	delay time.Duration
	get   func(policy.TokenRequestOptions) (string, error)
	mu    sync.Mutex
	asked []policy.TokenRequestOptions
}

func (e *entra) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	n := e.calls.Add(1)
	e.mu.Lock()
	e.asked = append(e.asked, o)
	e.mu.Unlock()
	if e.delay > 0 {
		select {
		case <-time.After(e.delay):
		case <-ctx.Done():
			return azcore.AccessToken{}, ctx.Err()
		}
	}
	if e.get != nil {
		t, err := e.get(o)
		return azcore.AccessToken{Token: t, ExpiresOn: time.Now().Add(time.Hour)}, err
	}
	return azcore.AccessToken{Token: fmt.Sprintf("canary-entra-token-%d", n), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// client is a pipeline signed by an Authenticator, as facade/acr builds it.
type client struct {
	*auth.Authenticator
	p runtime.Pipeline
}

func newClient(t testing.TB, tr policy.Transporter, cred auth.Credential, change ...func(*auth.Config)) *client {
	t.Helper()
	login, _ := url.Parse("https://" + host)
	w := transport.New(login, tr, nil)
	c := auth.Config{Login: login, Credential: cred, Transport: w}
	for _, f := range change {
		f(&c)
	}
	a, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &client{a, runtime.NewPipeline("test", "v0", runtime.PipelineOptions{
		PerCall:  []policy.Policy{retry.NewGuard()},
		PerRetry: []policy.Policy{retry.New(policy.RetryOptions{}, retry.NewBudget(), nil), a.Policy()},
	}, &policy.ClientOptions{Transport: w, Retry: policy.RetryOptions{MaxRetries: -1}})}
}

// do makes one request that says it needs the scopes, to a registry that asks for need (default: the same).
func (c *client) do(ctx context.Context, method, scopes string, need ...string) (*http.Response, error) {
	ctx = call.With(ctx, func(c *call.Call) { c.Sign, c.Scopes = true, []string{scopes} })
	r, err := http.NewRequestWithContext(ctx, method, "https://"+host+"/v2/", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Need", strings.Join(append(need, scopes)[:1], ""))
	req, err := runtime.NewRequestFromRequest(r)
	if err != nil {
		return nil, err
	}
	resp, err := c.p.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return resp, err
}

// ok makes one GET that has to go well.
func (c *client) ok(t testing.TB, scopes string, need ...string) {
	t.Helper()
	resp, err := c.do(t.Context(), http.MethodGet, scopes, need...)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		t.Fatalf("status %d for %s", resp.StatusCode, scopes)
	}
}
