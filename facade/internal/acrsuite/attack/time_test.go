package attack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestAttacksOnPatience: servers that never end. Time is that of a bubble.
func TestAttacksOnPatience(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A33 token endpoint that hardly moves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			script := acrsuite.InTurn(
				func(f *acrtest.Fault) { f.Slow(1) }, // a byte a second
				func(f *acrtest.Fault) { f.Stall() },
				func(f *acrtest.Fault) { f.StallAfter(20) },
			)
			acrsuite.NewWorld(t, acrtest.WithMemoryNetwork()).Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
				script()(f.Srv.On(acrsuite.TokenOperations...).Always())
				ctx, cancel := context.WithTimeout(f.Ctx, 7*time.Second)
				defer cancel()
				began := time.Now()
				err := f.RunWith(ctx)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 7*time.Second+100*time.Millisecond {
					f.Errorf("with 7 s: %v after %v", err, time.Since(began))
				}
				f.Client = f.NewClient()
				f.Srv.Ledger().Reset()
				began = time.Now()
				if err := f.Run(); err == nil || time.Since(began) > 155*time.Second { // a token request has 150 s for all its tries
					f.Errorf("without a limit: %v after %v", err, time.Since(began))
				}
				if f.Call.Kind != acrsuite.ExamineCall {
					f.AtMost(5, acrsuite.TokenOperations...)
				}
			})
		})
	})
	acrsuite.Row(t, "A35 absurd Retry-After", func(t *testing.T) {
		synctest.Test(t, absurdRetryAfter)
	})
	acrsuite.Row(t, "A36 refusals without end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := acrsuite.NewWorld(t, acrtest.WithMemoryNetwork())
			w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
				f.Note = "401 for ever"
				f.Srv.On(f.Call.Op).Always().Status(http.StatusUnauthorized).
					Header("WWW-Authenticate", acrsuite.Challenge(f.Srv.Endpoint()+"/oauth2/token", f.Srv.Host(), "repository:"+f.Name+":pull")+`,error="invalid_token"`)
				bounded(f, f.Run(), 2, 2)
			})
			w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
				f.Note = "another scope each time"
				n := 0
				f.Srv.On(f.Call.Op).Always().Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
					n++
					scope := fmt.Sprintf("repository:%s:pull,%s repository:x%d:pull", f.Name, []string{"push", "metadata_read", "metadata_write", "delete"}[n%4], n)
					rw.Header().Set("WWW-Authenticate", acrsuite.Challenge(f.Srv.Endpoint()+"/oauth2/token", f.Srv.Host(), scope)+`,error="insufficient_scope"`)
					rw.WriteHeader(http.StatusUnauthorized)
				})
				bounded(f, f.Run(), 2, 2)
			})
			w.Over(acrsuite.CallsOf(acrsuite.ListCall, acrsuite.ReadCall, acrsuite.WriteCall, acrsuite.DeleteCall, acrsuite.DownloadCall), func(f *acrsuite.Fixture) {
				f.Note = "401 and 503 in turn"
				n := 0
				f.Srv.On(f.Call.Op).Always().Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
					if n++; n%2 == 0 {
						rw.WriteHeader(http.StatusServiceUnavailable)
						return
					}
					rw.Header().Set("WWW-Authenticate", acrsuite.Challenge(f.Srv.Endpoint()+"/oauth2/token", f.Srv.Host(), "repository:"+f.Name+":pull")+`,error="invalid_token"`)
					rw.WriteHeader(http.StatusUnauthorized)
				})
				bounded(f, f.Run(), 5, 2)
			})
			status := acrsuite.InTurn(http.StatusTooManyRequests, http.StatusServiceUnavailable)
			after := acrsuite.InTurn[[]time.Duration](nil, nil, []time.Duration{time.Second})
			w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
				status, after := status(), after()
				f.Note = fmt.Sprint(status, " for ever, Retry-After ", after)
				f.Srv.On(f.Call.Op).Always().Status(status, after...)
				began := time.Now()
				bounded(f, f.Run(), 5, 1)
				if took := time.Since(began); took > 3*time.Minute {
					f.Errorf("took %v", took)
				}
			})
			a := w.Attacker(func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "/again", http.StatusTemporaryRedirect)
			})
			w.Over(acrsuite.CallsOf(acrsuite.LoginCall, acrsuite.ListCall, acrsuite.ReadCall, acrsuite.DownloadCall), func(f *acrsuite.Fixture) {
				if f.Call.Op == "ExchangeEntraToken" {
					return // no redirect is followed there
				}
				f.Note = "redirect in a circle"
				f.Srv.On(f.Call.Op).Always().Do(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
					http.Redirect(rw, r, r.URL.RequestURI(), http.StatusTemporaryRedirect)
				})
				f.MustFail(f.Run(), acr.ErrUntrusted)
				f.AtMost(4, f.Call.Op)
			})
			w.Over(acrsuite.CallsOf(acrsuite.DownloadCall), func(f *acrsuite.Fixture) {
				f.Note = "redirect in a circle elsewhere"
				f.Srv.On("GetBlob").Always().Redirect(http.StatusTemporaryRedirect, a.URL+"/blob")
				f.MustFail(f.Run(), acr.ErrUntrusted)
				if n := a.Hits.Swap(0); n != 3 {
					f.Errorf("%d redirects were followed", n)
				}
			})
		})
	})
}

// absurdRetryAfter: what cannot be meant is ignored, and what is too long is told and not waited for.
func absurdRetryAfter(t *testing.T) {
	w := acrsuite.NewWorld(t, acrtest.WithMemoryNetwork())
	for value, told := range map[string]bool{
		"86400": true, "9223372036": true, "1e30": true, "99999999999999999999": true,
		"Fri, 31 Dec 9999 23:59:59 GMT": true,
		"-5":                            false, "soon": false, "": false, "0": false, "Fri, 31 Dec 1999 23:59:59 GMT": false,
	} {
		w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
			f.Note = "Retry-After: " + value
			fault := f.Srv.On(f.Call.Op).Status(http.StatusServiceUnavailable).Header("Retry-After", value)
			if told {
				fault.Always()
			}
			began := time.Now()
			err := f.Run()
			took := time.Since(began)
			if f.Call.Op == "CancelUpload" {
				return // it does what it can, and has nothing to tell
			}
			if !told {
				f.MustWork(err)
			} else if e, ok := errors.AsType[*acr.Error](err); !ok || e.RetryAfter <= time.Minute || took > time.Second {
				f.Errorf("%v after %v, want an error with the wait that was asked for", err, took)
			}
			if took > time.Minute {
				f.Errorf("took %v", took)
			}
		})
	}
}

// bounded demands a typed error after at most n requests of the call's operation, and at most so many token requests for each scope.
func bounded(f *acrsuite.Fixture, err error, n, tokens int) {
	f.T.Helper()
	if f.Call.Op != "CancelUpload" {
		f.MustFail(err)
	}
	f.AtMost(n, f.Call.Op)
	asked := map[string]int{}
	for _, r := range f.Srv.Ledger().Requests("GetAccessToken") {
		if asked[r.Scope]++; asked[r.Scope] > tokens && f.Call.Kind != acrsuite.ExamineCall && f.Call.Op != "GetAccessToken" {
			f.Errorf("%d token requests for %q", asked[r.Scope], r.Scope)
		}
	}
}
