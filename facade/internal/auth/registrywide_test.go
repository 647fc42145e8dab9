package auth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// The registry-wide token, and where it does not work.
func TestRegistryWide(t *testing.T) {
	t.Parallel()
	wide := func(c *auth.Config) { c.RegistryWide = true }
	t.Run("plain registry", func(t *testing.T) {
		t.Parallel()
		g := newRegistry()
		c := newClient(t, g, auth.Entra(&entra{}), wide)
		c.ok(t, "repository:a:pull")
		c.ok(t, "repository:b:delete")
		c.ok(t, "registry:catalog:*")
		g.counted(t, 1, 1, 3, 0)
	})
	t.Run("ABAC, seen in the refresh token", func(t *testing.T) {
		t.Parallel()
		g := newRegistry()
		g.abac = true
		c := newClient(t, g, auth.Entra(&entra{}), wide)
		c.ok(t, "repository:a:pull")
		c.ok(t, "repository:b:pull")
		g.counted(t, 1, 2, 2, 0)
	})
	t.Run("wildcards dropped, seen in the access token", func(t *testing.T) {
		t.Parallel()
		g := newRegistry()
		g.abac = true
		c := newClient(t, g, auth.Password("admin", "canary-password"), wide)
		c.ok(t, "repository:a:pull")
		c.ok(t, "repository:b:pull")
		g.counted(t, 0, 3, 2, 0)
	})
	t.Run("wildcards dropped, tokens opaque", func(t *testing.T) {
		t.Parallel()
		g := newRegistry()
		g.abac, g.opaque = true, true
		c := newClient(t, g, auth.Password("admin", "canary-password"), wide)
		c.ok(t, "repository:a:pull")
		c.ok(t, "repository:b:pull")
		g.counted(t, 0, 3, 3, 1)
	})
	t.Run("scope refused", func(t *testing.T) {
		t.Parallel()
		g := newRegistry()
		g.before = func(r *http.Request, form url.Values) *http.Response {
			if strings.Contains(form.Get("scope"), "*") {
				return problem(401, "UNAUTHORIZED", "no")
			}
			return nil
		}
		c := newClient(t, g, auth.Password("admin", "canary-password"), wide)
		c.ok(t, "repository:a:pull")
		c.ok(t, "repository:b:pull")
		g.counted(t, 0, 3, 2, 0)
	})
	t.Run("an action not granted", func(t *testing.T) {
		t.Parallel()
		g := newRegistry()
		g.opaque, g.deny = true, []string{"*"}
		c := newClient(t, g, auth.Entra(&entra{}), wide)
		c.ok(t, "repository:a:pull")
		g.counted(t, 1, 2, 2, 1)
	})
}
