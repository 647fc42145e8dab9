package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// A credential that knows no other audience is asked for ARM's, and from then on for that first.
func TestARMAudience(t *testing.T) {
	t.Parallel()
	const arm = "https://management.azure.com"
	e := &entra{get: func(o policy.TokenRequestOptions) (string, error) {
		if !strings.HasPrefix(o.Scopes[0], arm) {
			return "", fmt.Errorf("AADSTS500011: the resource principal was not found")
		}
		return "canary-arm-token", nil
	}}
	g := newRegistry()
	c := newClient(t, g, auth.Entra(e), func(c *auth.Config) { c.ARMAudience = arm })
	c.ok(t, "repository:a:pull")
	g.revoke(true, true)
	c.ok(t, "repository:a:pull")
	if n := e.calls.Load(); n != 3 {
		t.Errorf("%d calls: what worked once is asked first", n)
	}
	if got := e.asked[1].Scopes[0]; got != arm+"/.default" {
		t.Error(got)
	}
}

// A credential that fails for a moment does not bind the client to the ARM audience, where the registry refuses that.
func TestARMAudienceRefusedByRegistry(t *testing.T) {
	t.Parallel()
	const arm = "https://management.azure.com"
	down := true
	e := &entra{get: func(o policy.TokenRequestOptions) (string, error) {
		if strings.HasPrefix(o.Scopes[0], arm) {
			return "canary-arm-token", nil
		}
		if down {
			down = false
			return "", errors.New("the network is down")
		}
		return "canary-acr-token", nil
	}}
	g := newRegistry()
	g.before = func(_ *http.Request, form url.Values) *http.Response {
		if form.Get("access_token") == "canary-arm-token" {
			return problem(401, "UNAUTHORIZED", "arm aad token disallowed")
		}
		return nil
	}
	c := newClient(t, g, auth.Entra(e), func(c *auth.Config) { c.ARMAudience = arm })
	if _, err := c.AccessToken(t.Context(), "repository:a:pull"); !errors.Is(err, auth.ErrARMAudienceDisabled) {
		t.Error(err)
	}
	c.ok(t, "repository:a:pull")
}
