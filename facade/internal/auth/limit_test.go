package auth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// unresponsive is a credential that never answers, not even to the end of its context.
type unresponsive struct{ never chan struct{} }

func (d unresponsive) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if _, ok := ctx.Deadline(); ok {
		panic("a deadline takes azidentity's own limits away")
	}
	<-d.never
	return azcore.AccessToken{}, errors.New("too late")
}

// A33: what says nothing in a sign-in ends by the caller's context, and where that never ends by our own limits, with an error that says who was silent.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		cred      func() auth.Credential
		most      time.Duration
		operation string
		says      string
	}{
		{"the token endpoint", auth.Anonymous, 150 * time.Second, "GetAccessToken", host + " did not answer within 2m"},
		{"the exchange", func() auth.Credential { return auth.Entra(&entra{}) }, 150 * time.Second, "ExchangeEntraToken", host + " did not answer within 2m"},
		{"the exchange, after a slow credential", func() auth.Credential { return auth.Entra(&entra{delay: 2 * time.Minute}) }, 4 * time.Minute, "ExchangeEntraToken", ""},
		{"the credential", func() auth.Credential { return auth.Entra(&entra{delay: time.Hour}) }, 4 * time.Minute, "GetEntraToken", "no token arrived within 4m0s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newRegistry()
				g.delay = time.Hour
				c := newClient(t, g, row.cred())
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				if _, err := c.AccessToken(ctx, "repository:a:pull"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
					t.Error(err, time.Since(start))
				}
				start = time.Now()
				_, err := c.AccessToken(t.Context(), "repository:a:pull")
				if took := time.Since(start); took > row.most {
					t.Errorf("it took %v", took)
				}
				e, ok := errors.AsType[*auth.Error](err)
				if !ok || e.Operation != row.operation || !strings.Contains(err.Error(), row.says) || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "context") {
					t.Errorf("%v", err)
				}
				if ok && row.says != "" && e.Advice == "" {
					t.Error("no advice:", err)
				}
			})
		})
	}
	t.Run("a credential that ignores its context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d := unresponsive{make(chan struct{})}
			c := newClient(t, newRegistry(), auth.Entra(d))
			start := time.Now()
			_, err := c.AccessToken(t.Context(), "repository:a:pull")
			if e, ok := errors.AsType[*auth.Error](err); !ok || e.Operation != "GetEntraToken" || time.Since(start) > 4*time.Minute+time.Second {
				t.Error(err, time.Since(start))
			}
			close(d.never)
		})
	})
}

// An hour of a transfer, with a call every second, while what gives tokens is silent: those who renew ahead lose a few seconds now and then, the others nothing, and only with
// the old token's life the calls end, within the limits.
func TestSilenceUnderATransfer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		hang func(*registry, *entra)
	}{
		{"the registry's endpoints", func(g *registry, _ *entra) { g.delay = 24 * time.Hour }},
		{"the credential", func(g *registry, e *entra) { e.delay = 24 * time.Hour; g.revoke(true, false) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, e := newRegistry(), &entra{}
				c := newClient(t, g, auth.Entra(e))
				if _, err := c.AccessToken(t.Context(), "repository:a:pull"); err != nil {
					t.Fatal(err)
				}
				issued := time.Now()
				row.hang(g, e)
				slow := 0
				for time.Since(issued) < 58*time.Minute {
					time.Sleep(time.Second)
					start := time.Now()
					if _, err := c.AccessToken(t.Context(), "repository:a:pull"); err != nil {
						t.Fatal(time.Since(issued), err)
					}
					switch took := time.Since(start); {
					case took > 5*time.Second:
						t.Errorf("a call with a good token waited for %v", took)
					case took > 0:
						slow++
					}
				}
				if slow == 0 || slow > 15 {
					t.Errorf("%d calls waited", slow)
				}
				time.Sleep(2 * time.Minute)
				start := time.Now()
				_, err := c.AccessToken(t.Context(), "repository:a:pull")
				if took := time.Since(start); err == nil || took > 6*time.Minute {
					t.Error(err, took)
				}
			})
		})
	}
}

// A renewal that its caller lost patience with serves those who come later.
func TestSlowRenewalIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry()
		c := newClient(t, g, auth.Entra(&entra{}))
		c.ok(t, "repository:a:pull")
		time.Sleep(50 * time.Minute)
		g.delay = 20 * time.Second
		first, err := c.AccessToken(t.Context(), "repository:a:pull")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		start := time.Now()
		second, err := c.AccessToken(t.Context(), "repository:a:pull")
		if err != nil || second == first || time.Since(start) != 0 || g.count("token") != 2 {
			t.Errorf("%v, %v, %d token requests", err, time.Since(start), g.count("token"))
		}
		if resp, err := c.do(t.Context(), http.MethodGet, "repository:a:pull"); err != nil || resp.StatusCode != http.StatusOK {
			t.Error(resp, err)
		}
	})
}
