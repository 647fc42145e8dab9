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
