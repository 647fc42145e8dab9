package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

type panicking struct{}

func (panicking) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	panic("credential")
}

type transporterFunc func(*http.Request) (*http.Response, error)

func (f transporterFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// A failed sign-in says which of the known causes it was.
func TestTokenErrorsExplained(t *testing.T) {
	t.Parallel()
	on := func(path string, resp func() *http.Response) func(*registry) {
		return func(g *registry) {
			g.before = func(r *http.Request, _ url.Values) *http.Response {
				if r.URL.Path == path {
					return resp()
				}
				return nil
			}
		}
	}
	const exchange, token = "/oauth2/exchange", "/oauth2/token"
	entraCred := auth.Entra(&entra{})
	for _, row := range []struct {
		name      string
		cred      auth.Credential
		set       func(*registry)
		operation string
		status    int
		cause     error
		advice    string
	}{
		{"F53 ARM audience disabled", entraCred, on(exchange, func() *http.Response { return problem(401, "UNAUTHORIZED", "arm aad token disallowed") }), "ExchangeEntraToken", 401, auth.ErrARMAudienceDisabled, "authentication-as-arm"},
		{"wrong audience", entraCred, on(exchange, func() *http.Response { return problem(401, "UNAUTHORIZED", "retrieving permissions failed") }), "ExchangeEntraToken", 401, auth.ErrWrongAudience, "tenant"},
		{"F57 no role", entraCred, on(exchange, func() *http.Response { return problem(403, "DENIED", "retrieving permissions failed") }), "ExchangeEntraToken", 403, auth.ErrNoRole, "AcrPull"},
		{"F57 firewall at the exchange", entraCred, on(exchange, func() *http.Response {
			return problem(403, "DENIED", "client with IP '203.0.113.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.")
		}), "ExchangeEntraToken", 403, auth.ErrFirewall, "network-rule"},
		{"F57 firewall at the token", auth.Anonymous(), on(token, func() *http.Response {
			return problem(403, "DENIED", "client with IP '203.0.113.7' is not allowed access.")
		}), "GetAccessToken", 403, auth.ErrFirewall, "network-rule"},
		{"Entra token refused", entraCred, on(exchange, func() *http.Response { return problem(401, "UNAUTHORIZED", "no") }), "ExchangeEntraToken", 401, auth.ErrRevoked, "sign in"},
		{"Entra token expired", entraCred, on(exchange, func() *http.Response { return problem(401, "UNAUTHORIZED", "token is expired") }), "ExchangeEntraToken", 401, auth.ErrExpired, "sign in"},
		{"refresh token refused for ever", entraCred, on(token, func() *http.Response { return problem(401, "UNAUTHORIZED", "no") }), "GetAccessToken", 401, auth.ErrRevoked, "sign in"},
		{"given refresh token refused", auth.RefreshToken("opaque-refresh-token"), nil, "GetAccessToken", 401, auth.ErrRevoked, "az acr login"},
		{"given refresh token expired", auth.RefreshToken(jwt(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})), nil, "GetAccessToken", 401, auth.ErrExpired, "az acr login"},
		{"wrong password", auth.Password("admin", "canary-wrong-password"), nil, "GetAccessTokenWithBasic", 401, auth.ErrPassword, "enabled"},
		{"anonymous pull is off", auth.Anonymous(), nil, "GetAccessToken", 401, auth.ErrAnonymous, "sign in"},
		{"throttled", entraCred, on(exchange, func() *http.Response { return problem(429, "TOOMANYREQUESTS", "slow down", "Retry-After", "300") }), "ExchangeEntraToken", 429, nil, "share one client"},
		{"down", entraCred, on(exchange, func() *http.Response { return problem(503, "UNAVAILABLE", "no") }), "ExchangeEntraToken", 503, nil, "try again later"},
		{"no registry", entraCred, on(exchange, func() *http.Response { return answer(404, "404 page not found") }), "ExchangeEntraToken", 404, auth.ErrNoBearer, "endpoint"},
		{"a proxy's 403 is no missing role", entraCred, on(exchange, func() *http.Response { return answer(403, "<html>blocked</html>") }), "ExchangeEntraToken", 403, auth.ErrNoBearer, "proxy"},
		{"a proxy's 403 is no wrong password", auth.Password("admin", "canary-password"), on(token, func() *http.Response { return answer(403, "<html>blocked</html>") }), "GetAccessTokenWithBasic", 403, auth.ErrNoBearer, "proxy"},
		{"a portal's 200 is no token", entraCred, on(exchange, func() *http.Response { return answer(200, "<html>sign in</html>") }), "ExchangeEntraToken", 200, auth.ErrBadReply, "portal"},
		{"password expired", auth.Password("admin", "canary-password"), on(token, func() *http.Response { return problem(401, "UNAUTHORIZED", "the password has expired") }), "GetAccessTokenWithBasic", 401, auth.ErrExpired, "password"},
		{"A26 endless", entraCred, on(exchange, func() *http.Response { return answer(200, strings.Repeat("x", 1<<20)) }), "ExchangeEntraToken", 200, auth.ErrBadReply, ""},
		{"clock off, token refused", entraCred, func(g *registry) {
			g.skew = 10 * time.Minute
			on(exchange, func() *http.Response { return problem(401, "UNAUTHORIZED", "no") })(g)
		}, "ExchangeEntraToken", 401, auth.ErrClockSkew, "clock"},
		{"AADSTS clock", auth.Entra(&entra{get: fail("AADSTS700024: Client assertion is not within its valid time range. Current time: 2001-02-03T04:05:06.7890123Z, assertion valid from")}), nil, "GetEntraToken", 0, auth.ErrClockSkew, "set the local clock"},
		{"AADSTS assertion expired", auth.Entra(&entra{get: fail("AADSTS700024: Client assertion is not within its valid time range. Current time: " + time.Now().UTC().Format(time.RFC3339Nano) + ", assertion valid from")}), nil, "GetEntraToken", 0, auth.ErrExpired, "pipeline"},
		{"AADSTS assertion not valid", auth.Entra(&entra{get: fail("AADSTS50013: Assertion failed signature validation.")}), nil, "GetEntraToken", 0, auth.ErrRevoked, "client id"},
		{"AADSTS second factor", auth.Entra(&entra{get: fail("AADSTS50076: you must use multi-factor authentication")}), nil, "GetEntraToken", 0, nil, "az login --scope"},
		{"AADSTS secret expired", auth.Entra(&entra{get: fail("AADSTS7000222: expired")}), nil, "GetEntraToken", 0, auth.ErrExpired, "secret"},
		{"AADSTS secret wrong", auth.Entra(&entra{get: fail("AADSTS7000215: invalid")}), nil, "GetEntraToken", 0, auth.ErrRevoked, "client id"},
		{"AADSTS resource", auth.Entra(&entra{get: fail("AADSTS500011: no such resource")}), nil, "GetEntraToken", 0, auth.ErrWrongAudience, "audience"},
		{"empty Entra token", auth.Entra(&entra{get: func(policy.TokenRequestOptions) (string, error) { return "", nil }}), nil, "GetEntraToken", 0, nil, ""},
		{"A44 Entra token with a line break", auth.Entra(&entra{get: func(policy.TokenRequestOptions) (string, error) { return "a\r\nb", nil }}), nil, "GetEntraToken", 0, nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRegistry()
			if row.set != nil {
				row.set(g)
			}
			once := func(c *auth.Config) { c.Pipeline.Retry.MaxRetries = -1 }
			_, err := newClient(t, g, row.cred, once).AccessToken(t.Context(), "repository:a:pull")
			var e *auth.Error
			if !errors.As(err, &e) {
				t.Fatalf("%T %v", err, err)
			}
			if e.Operation != row.operation || e.StatusCode != row.status || row.cause != nil && !errors.Is(err, row.cause) || !strings.Contains(e.Advice, row.advice) {
				t.Errorf("%s %d %v %q; want %s %d %v %q", e.Operation, e.StatusCode, e.Cause, e.Advice, row.operation, row.status, row.cause, row.advice)
			}
			if row.cause == nil && e.Cause != nil {
				t.Errorf("cause %v", e.Cause)
			}
			if e.StatusCode != 0 && !strings.Contains(err.Error(), "00000000-1111-2222-3333-444444444444") {
				t.Error("no correlation id:", err)
			}
			if errors.Is(err, auth.ErrFirewall) && !strings.Contains(err.Error(), "203.0.113.7") {
				t.Error("no address:", err)
			}
			if e.StatusCode == 429 && e.RetryAfter != 5*time.Minute {
				t.Error("F59", e.RetryAfter)
			}
			if s := err.Error(); strings.ContainsAny(s, "\r\n") || strings.Contains(s, "canary") {
				t.Error("A57", s)
			}
		})
	}
}

func fail(text string) func(policy.TokenRequestOptions) (string, error) {
	return func(policy.TokenRequestOptions) (string, error) { return "", errors.New(text) }
}

func TestTransportErrorsExplained(t *testing.T) {
	t.Parallel()
	dns := transporterFunc(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	})
	_, err := newClient(t, dns, auth.Anonymous()).AccessToken(t.Context())
	var e *auth.Error
	if !errors.Is(err, auth.ErrRegistryNotFound) || !errors.As(err, &e) || !strings.Contains(e.Advice, "name") {
		t.Error(err)
	}
	unknown := transporterFunc(func(*http.Request) (*http.Response, error) {
		return nil, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	})
	const trust = "if the certificate is that of a proxy or emulator that you know, trust its CA in the system or in ClientOptions.Transport; it then sees the credential"
	_, err = newClient(t, unknown, auth.Anonymous()).AccessToken(t.Context())
	if !errors.As(err, &e) || e.Advice != trust {
		t.Error(err)
	}
	// A09, A10: a redirect of the token calls is not followed.
	for _, cred := range []auth.Credential{auth.Anonymous(), auth.Entra(&entra{}), auth.Password("admin", "canary-password")} {
		n := 0
		_, err = newClient(t, transporterFunc(func(*http.Request) (*http.Response, error) {
			n++
			return answer(307, "", "Location", "https://attacker.invalid/"), nil
		}), cred).AccessToken(t.Context())
		if err == nil || n != 1 || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("%v after %d requests", err, n)
		}
	}
}

// A40, A42: what is no token reply is a typed error; what is one is taken.
func TestTokenReplies(t *testing.T) {
	t.Parallel()
	for body, good := range map[string]bool{
		`{}`: false, `null`: false, `[]`: false, `""`: false, ``: false, `{`: false, `<html>`: false,
		`{"access_token":""}`: false, `{"access_token":null}`: false, `{"access_token":1}`: false, `{"access_token":["a"]}`: false,
		`{"access_token":"a b"}`: false, `{"access_token":"a\r\nX: y"}`: false, `{"access_token":"a\u0000"}`: false, `{"access_token":"\u00e9"}`: false,
		`{"access_token":"` + strings.Repeat("a", 60<<10) + `"}`: false,
		`{"access_token":"opaque"}`:                              true,
		`{"access_token":"...","expires_in":"x"}`:                true,
		`{"access_token":"a.bnVsbA.c"}`:                          true,
	} {
		c := newClient(t, transporterFunc(func(*http.Request) (*http.Response, error) { return answer(200, body), nil }), auth.Anonymous())
		_, err := c.AccessToken(t.Context())
		if good != (err == nil) || !good && !errors.Is(err, auth.ErrBadReply) {
			t.Errorf("%.40s: %v", body, err)
		}
	}
}

func FuzzTokenReply(f *testing.F) {
	for _, s := range []string{`{"access_token":"a.b.c"}`, `{"refresh_token":"a.bnVsbA.c"}`, `{"errors":[{"code":"DENIED","message":"client with IP '1.2.3.4'"}]}`, `null`} {
		f.Add(200, s, `Bearer error="invalid_token"`)
		f.Add(401, s, `Bearer claims="e30="`)
	}
	f.Fuzz(func(t *testing.T, status int, body, challenge string) {
		if status < 200 || status > 499 || status == 429 || status == 408 {
			return
		}
		c := newClient(t, transporterFunc(func(*http.Request) (*http.Response, error) {
			return answer(status, body, "Www-Authenticate", challenge), nil
		}), auth.Anonymous())
		got, err := c.AccessToken(t.Context())
		text := ""
		if err != nil {
			text = err.Error()
		}
		if (err == nil) != (got != "") || strings.ContainsAny(text, "\r\n") || len(text) > 4<<10 {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

// A56: an endpoint that repeats what it was sent does not get it into an error.
func TestEchoedSecrets(t *testing.T) {
	t.Parallel()
	echo := func(r *http.Request, form url.Values) *http.Response {
		user, password, _ := r.BasicAuth()
		return problem(400, form.Get("access_token"), fmt.Sprint("bad: ", form, user, password, r.Header), "X-Ms-Correlation-Request-Id", form.Get("access_token"))
	}
	refresh := jwt(map[string]any{"canary": "canary"})
	for _, cred := range []auth.Credential{auth.Entra(&entra{}), auth.Password("admin", "canary-password"), auth.RefreshToken(refresh)} {
		g := newRegistry()
		g.before = echo
		var log strings.Builder
		c := newClient(t, g, cred, func(c *auth.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		_, err := c.do(t.Context(), http.MethodGet, "repository:a:pull")
		if text := fmt.Sprintf("%v %+v %#v ", err, err, err) + log.String(); err == nil || strings.Contains(text, "canary") || strings.Contains(text, refresh) {
			t.Error(text)
		}
	}
}

// A58: nothing here prints a secret.
func TestSecretsPrintRedacted(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	cred := auth.Password("admin", "canary-password")
	c := newClient(t, g, cred)
	c.ok(t, "repository:a:pull")
	e := newClient(t, g, auth.Entra(&entra{}))
	user, secret, expires, err := e.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if user != auth.TokenUser || secret == "" || time.Until(expires).Round(time.Minute) != 3*time.Hour {
		t.Errorf("%s until %s", user, expires)
	}
	at, _ := e.AccessToken(t.Context(), "repository:a:pull")
	var log strings.Builder
	for _, v := range []any{cred, &cred, c.Authenticator, e.Authenticator, auth.Config{Credential: cred}, struct{ c auth.Credential }{cred}, []auth.Credential{cred}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	}
	for _, s := range []string{"canary", secret, at, fmt.Sprintf("%x", "canary-password")} {
		if strings.Contains(log.String(), s) {
			t.Errorf("%.20s... was printed", s)
		}
	}
	if got := e.Scrub("x " + secret + " y " + at + " z canary-entra-token-1"); got != "x REDACTED y REDACTED z REDACTED" {
		t.Error(got)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	if _, _, _, err := newClient(t, g, auth.Anonymous()).Login(t.Context()); !errors.Is(err, auth.ErrAnonymous) {
		t.Error(err)
	}
	user, password, expires, err := newClient(t, g, auth.Password("admin", "canary-password")).Login(t.Context())
	if err != nil || user != "admin" || password != "canary-password" || !expires.IsZero() {
		t.Error(user, password, expires, err)
	}
	c := newClient(t, g, auth.Entra(&entra{}))
	for range 3 {
		if _, _, _, err := c.Login(t.Context()); err != nil {
			t.Error(err)
		}
	}
	g.counted(t, 1, 0, 0, 0)
	user, password, expires, err = newClient(t, g, auth.RefreshToken("opaque-refresh-token")).Login(t.Context())
	if err != nil || user != auth.TokenUser || password != "opaque-refresh-token" || !expires.IsZero() {
		t.Error(user, password, expires, err)
	}
}

// A refresh token that is over is not handed out, and a login that its caller leaves says why.
func TestLoginFails(t *testing.T) {
	t.Parallel()
	g := newRegistry()
	over := auth.RefreshToken(jwt(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}))
	if _, password, _, err := newClient(t, g, over).Login(t.Context()); !errors.Is(err, auth.ErrExpired) || password != "" {
		t.Errorf("%v", err)
	}
	why := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, _, _, err := newClient(t, g, auth.Entra(&entra{})).Login(ctx); !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	login, _ := url.Parse("https://" + host)
	plain, _ := url.Parse("http://" + host)
	g := newRegistry()
	for name, c := range map[string]auth.Config{
		"no login":           {Transport: g},
		"A23 http":           {Login: plain, Transport: g},
		"no transport":       {Login: login},
		"nil credential":     {Login: login, Transport: g, Credential: auth.Entra(nil)},
		"no password":        {Login: login, Transport: g, Credential: auth.Password("u", "")},
		"colon in the user":  {Login: login, Transport: g, Credential: auth.Password("u:v", "p")},
		"A44 line break":     {Login: login, Transport: g, Credential: auth.Password("u", "p\r\n")},
		"empty refresh":      {Login: login, Transport: g, Credential: auth.RefreshToken("")},
		"A44 refresh, blank": {Login: login, Transport: g, Credential: auth.RefreshToken("a b")},
	} {
		if _, err := auth.New(c); err == nil || strings.Contains(err.Error(), "p\r\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a registry operation's 401 or 403 says about the sign-in.
func TestExplain(t *testing.T) {
	t.Parallel()
	insufficient := []string{"Www-Authenticate", `Bearer error="insufficient_scope"`}
	for _, row := range []struct {
		name   string
		cred   auth.Credential
		abac   bool
		deny   []string
		scope  string
		status int
		text   string
		header []string
		cause  error
		say    string
	}{
		{"missing action", auth.Entra(&entra{}), false, []string{"push"}, "repository:a/b:pull,push", 401, "no", insufficient, auth.ErrMissingAction, "push on a/b"},
		{"ABAC", auth.Entra(&entra{}), true, []string{"push"}, "repository:a:pull,push", 401, "no", insufficient, auth.ErrABAC, "Repository Reader"},
		{"catalog", auth.Entra(&entra{}), false, []string{"*"}, "registry:catalog:*", 401, "no", insufficient, auth.ErrCatalogRole, "Catalog Lister"},
		{"anonymous", auth.Anonymous(), false, []string{"push"}, "repository:a:pull,push", 401, "no", insufficient, auth.ErrAnonymous, "sign in"},
		{"firewall", auth.Entra(&entra{}), false, nil, "repository:a:pull", 403, "client with IP '2001:db8::1' is not allowed access", nil, auth.ErrFirewall, "2001:db8::1"},
		{"denied", auth.Entra(&entra{}), false, nil, "repository:a:delete", 403, "denied", nil, auth.ErrMissingAction, "AcrDelete"},
		{"token refused", auth.Entra(&entra{}), false, nil, "repository:a:pull", 401, "no", []string{"Www-Authenticate", `Bearer error="invalid_token"`}, auth.ErrRevoked, "sign in again"},
		{"A19 Basic only", auth.Entra(&entra{}), false, nil, "repository:a:pull", 401, "no", []string{"Www-Authenticate", `Basic realm="x"`}, auth.ErrNoBearer, "endpoint"},
		{"a proxy's 403", auth.Entra(&entra{}), false, nil, "repository:a:pull", 403, "<html>", nil, auth.ErrNoBearer, "proxy"},
		{"not a sign-in matter", auth.Entra(&entra{}), false, nil, "repository:a:pull", 404, "no", nil, nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRegistry()
			g.abac, g.deny, g.anonymous = row.abac, row.deny, true
			c := newClient(t, g, row.cred)
			if _, err := c.AccessToken(t.Context(), row.scope); err != nil {
				t.Fatal(err)
			}
			body, _ := json.Marshal(map[string]any{"errors": []any{map[string]any{"code": "DENIED", "message": row.text}}})
			if strings.HasPrefix(row.text, "<") {
				body = []byte(row.text)
			}
			e := c.Explain(answer(row.status, "", row.header...), body, row.scope)
			if row.cause == nil {
				if e != nil {
					t.Error(e)
				}
				return
			}
			if !errors.Is(e, row.cause) || !strings.Contains(e.Error(), row.say) {
				t.Errorf("%v; want %v saying %q", e, row.cause, row.say)
			}
			if row.name == "missing action" && strings.Contains(e.Message, "pull") {
				t.Error("what is granted is not missing:", e.Message)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	e := &auth.Error{Operation: "ExchangeEntraToken", StatusCode: 403, Code: "DENIED", Cause: auth.ErrNoRole, Advice: "give it one", CorrelationID: "id", ClockSkew: -10 * time.Minute}
	const want = "sign-in failed (ExchangeEntraToken): 403 DENIED: the identity has no role on the registry; the local clock is 10m0s behind the registry's; give it one [correlation id id]"
	if e.Error() != want {
		t.Error(e)
	}
	e.ClockSkew = time.Hour
	if !strings.Contains(e.Error(), "; the local clock is 1h0m0s ahead of the registry's; ") {
		t.Error(e)
	}
	if !errors.Is(e, auth.ErrClockSkew) || !errors.Is(e, auth.ErrNoRole) || errors.Is(e, auth.ErrFirewall) {
		t.Error("causes")
	}
	if !slices.Contains(e.Unwrap(), auth.ErrNoRole) {
		t.Error("unwrap")
	}
}
