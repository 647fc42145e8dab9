package auth_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// lines is a registry that can be reached over so many connections at a time.
type lines struct {
	*registry
	free chan struct{}
}

func (l *lines) Do(r *http.Request) (*http.Response, error) {
	select {
	case l.free <- struct{}{}:
		defer func() { <-l.free }()
		return l.registry.Do(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// Thousands of new scopes at once: however long they wait for one another, a registry that answers each request within five seconds is not silent.
func TestManyScopesAtOnce(t *testing.T) {
	t.Parallel()
	const scopes = 2000
	for name, cred := range map[string]auth.Credential{"Entra": auth.Entra(&entra{}), "password": auth.Password("admin", "canary-password")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newRegistry()
				g.delay = 5 * time.Second
				c := newClient(t, &lines{g, make(chan struct{}, 100)}, cred)
				errs := make([]error, scopes)
				var group sync.WaitGroup
				for i := range scopes {
					group.Go(func() { _, errs[i] = c.AccessToken(t.Context(), fmt.Sprintf("repository:r%d:pull", i)) })
				}
				group.Wait()
				failed := 0
				for _, err := range errs {
					if err != nil {
						if failed++; failed == 1 {
							t.Error(err)
						}
					}
				}
				if n := g.count("token"); failed > 0 || n != scopes {
					t.Errorf("%d of %d scopes failed, with %d token requests", failed, scopes, n)
				}
			})
		})
	}
}
