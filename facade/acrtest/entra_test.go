package acrtest_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// The credential of azidentity signs in unmodified: metadata, client credentials, and its token is exchanged.
func TestSignIn(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	tenant, id, secret := c.s.ServicePrincipal()
	cred, err := azidentity.NewClientSecretCredential(tenant, id, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            c.s.ClientOptions(),
		DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://containerregistry.azure.net/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	a := c.form("/oauth2/exchange", "grant_type", "access_token", "service", c.s.Host(), "access_token", token.Token)
	c.field(a, "refresh_token")
	if n := c.s.Ledger().Count("OpenIDConfiguration", "EntraToken"); n != 2 {
		t.Errorf("%d requests to the authority, want 2", n)
	}
}

func TestSignInRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	tenant, id, _ := c.s.ServicePrincipal()
	cred, err := azidentity.NewClientSecretCredential(tenant, id, "wrong", &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            c.s.ClientOptions(),
		DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://containerregistry.azure.net/.default"}})
	if err == nil || !strings.Contains(err.Error(), "invalid_client") {
		t.Errorf("got %v, want invalid_client", err)
	}
}

func TestExchangeRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		opts    []acrtest.Option
		token   func(*acrtest.Server) string
		status  int
		message string
	}{
		{"wrong audience", nil, func(s *acrtest.Server) string { return s.EntraTokenFor("https://vault.azure.net") }, 401, "retrieving permissions failed"},
		{"ARM audience", []acrtest.Option{acrtest.WithoutARMAudience()}, func(s *acrtest.Server) string { return s.EntraTokenFor("https://management.azure.com/") }, 401, "arm aad token disallowed"},
		{"no role", []acrtest.Option{acrtest.WithEntraActions()}, (*acrtest.Server).EntraToken, 403, "retrieving permissions failed"},
		{"not a token", nil, func(*acrtest.Server) string { return "opaque" }, 401, "retrieving permissions failed"},
		{"expired", nil, func(s *acrtest.Server) string { token := s.EntraToken(); s.Advance(25 * time.Hour); return token }, 401, "retrieving permissions failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, test.opts...)
			a := c.form("/oauth2/exchange", "grant_type", "access_token", "service", c.s.Host(), "access_token", test.token(c.s))
			if a.StatusCode != test.status || !strings.Contains(a.body, test.message) || strings.HasSuffix(a.body, "\n") {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
			if got := a.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
	c := newClient(t)
	a := c.form("/oauth2/exchange", "grant_type", "access_token", "service", c.s.Host(), "access_token", c.s.EntraTokenFor("https://management.azure.com/"))
	c.field(a, "refresh_token")
}

// A token of the real Entra is refused, warned of once, and kept nowhere.
func TestA64(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	c := newClient(t, acrtest.WithLogger(slog.New(slog.NewTextHandler(&logged, nil))))
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	stranger := part(`{"alg":"RS256"}`) + "." + part(`{"aud":"https://management.azure.com","iss":"https://sts.windows.net/x/","exp":9999999999}`) + "." + part("signature")
	for range 3 {
		a := c.form("/oauth2/exchange", "grant_type", "access_token", "service", c.s.Host(), "access_token", stranger)
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", a.StatusCode)
		}
	}
	if got := strings.Count(logged.String(), "level=WARN"); got != 1 {
		t.Errorf("%d warnings, want 1: %s", got, &logged)
	}
	if strings.Contains(logged.String(), stranger[:40]) {
		t.Error("the token is in the log")
	}
}
