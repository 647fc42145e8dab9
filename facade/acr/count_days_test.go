package acr_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// What is left of a token's life when the registry issues it: nbf lies 15 minutes back. See
// https://learn.microsoft.com/azure/container-registry/container-registry-authentication.
const (
	refreshLife   = 11700*time.Second - 900*time.Second
	accessLife    = 4500*time.Second - 900*time.Second
	anonymousLife = 1200*time.Second - 900*time.Second
)

// renewals is how many tokens of a life a job of the given length needs, when each is renewed at 80 % of its life.
func renewals(job, life time.Duration) int { return int(job/(life*4/5)) + 1 }

// TestThreeDays lets jobs run for 72 hours, a call every few minutes: none fails or is refused, and no token is renewed sooner than its life
// asks for.
func TestThreeDays(t *testing.T) {
	t.Parallel()
	const job = 72 * time.Hour
	for _, sign := range []acrsuite.SignIn{acrsuite.ByEntra, acrsuite.ByPassword, acrsuite.ByAnonymous} {
		t.Run(string(sign), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := acrsuite.NewWorld(t, acrtest.WithMemoryNetwork())
				w.Sign = sign
				f := w.Fixture(acrsuite.CallNamed(t, "Repository.HeadManifest"))
				pauses := []time.Duration{20 * time.Second, 2 * time.Minute, 7 * time.Minute, 13 * time.Minute}
				if sign == acrsuite.ByAnonymous {
					pauses = []time.Duration{20 * time.Second, 4 * time.Minute, 5 * time.Minute}
				}
				n := 0
				for began := time.Now(); time.Since(began) < job; n++ {
					f.MustWork(f.Run())
					if n%50 == 0 {
						_, err := acr.Collect(f.Repository().TagNames(f.Ctx, nil)) // of the same scope
						f.MustWork(err)
					}
					time.Sleep(pauses[n%len(pauses)]) // of the bubble
				}
				l := f.Srv.Ledger()
				switch sign {
				case acrsuite.ByEntra:
					l.AtMost(t, renewals(job, refreshLife), "ExchangeEntraToken")
					l.AtMost(t, renewals(job, accessLife), "GetAccessToken")
				case acrsuite.ByPassword:
					l.AtMost(t, renewals(job, accessLife), "GetAccessTokenWithBasic")
				default:
					// The registry answers equal anonymous requests with the same token for a minute; what is left of it counts.
					l.AtMost(t, renewals(job, anonymousLife), "GetAccessToken")
				}
				l.None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
				if got := l.Count("HeadManifest"); got != n || n < 500 {
					t.Errorf("%d calls, %d requests", n, got)
				}
			})
		})
	}
}
