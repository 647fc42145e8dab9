package acr_test

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
)

var _ = expect("A33", "A36")

// TestAttacksOnPatience: servers that never end. Time is that of a bubble.
func TestAttacksOnPatience(t *testing.T) {
	t.Parallel()
	row(t, "A33 token endpoint that hardly moves", refused, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			script := inTurn(
				func(f *acrtest.Fault) { f.Slow(1) }, // a byte a second
				func(f *acrtest.Fault) { f.Stall() },
				func(f *acrtest.Fault) { f.StallAfter(20) },
			)
			newWorld(t, acrtest.WithMemoryNetwork()).over(callsOf(), func(f *fixture) {
				script()(f.srv.On(tokenOperations...).Always())
				ctx, cancel := context.WithTimeout(f.ctx, 7*time.Second)
				defer cancel()
				began := time.Now()
				err := f.runWith(ctx)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 7*time.Second+100*time.Millisecond {
					f.errorf("with 7 s: %v after %v", err, time.Since(began))
				}
				f.client = f.newClient()
				f.srv.Ledger().Reset()
				began = time.Now()
				if err := f.run(); err == nil || time.Since(began) > 95*time.Second { // a token request has 90 s for all its tries
					f.errorf("without a limit: %v after %v", err, time.Since(began))
				}
				if f.call.kind != examineCall {
					f.atMost(5, tokenOperations...)
				}
			})
		})
	})
	row(t, "A36 refusals without end", refused, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, acrtest.WithMemoryNetwork())
			w.over(callsOf(), func(f *fixture) {
				f.note = "401 for ever"
				f.srv.On(f.call.op).Always().Status(http.StatusUnauthorized).
					Header("WWW-Authenticate", challenge(f.srv.Endpoint()+"/oauth2/token", f.srv.Host(), "repository:"+f.name+":pull")+`,error="invalid_token"`)
				bounded(f, f.run(), 2, 2)
			})
			w.over(callsOf(), func(f *fixture) {
				f.note = "another scope each time"
				n := 0
				f.srv.On(f.call.op).Always().Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
					n++
					scope := fmt.Sprintf("repository:%s:pull,%s repository:x%d:pull", f.name, []string{"push", "metadata_read", "metadata_write", "delete"}[n%4], n)
					rw.Header().Set("WWW-Authenticate", challenge(f.srv.Endpoint()+"/oauth2/token", f.srv.Host(), scope)+`,error="insufficient_scope"`)
					rw.WriteHeader(http.StatusUnauthorized)
				})
				bounded(f, f.run(), 2, 2)
			})
			w.over(callsOf(listCall, readCall, writeCall, deleteCall, downloadCall), func(f *fixture) {
				f.note = "401 and 503 in turn"
				n := 0
				f.srv.On(f.call.op).Always().Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
					if n++; n%2 == 0 {
						rw.WriteHeader(http.StatusServiceUnavailable)
						return
					}
					rw.Header().Set("WWW-Authenticate", challenge(f.srv.Endpoint()+"/oauth2/token", f.srv.Host(), "repository:"+f.name+":pull")+`,error="invalid_token"`)
					rw.WriteHeader(http.StatusUnauthorized)
				})
				bounded(f, f.run(), 5, 2)
			})
			status := inTurn(http.StatusTooManyRequests, http.StatusServiceUnavailable)
			after := inTurn[[]time.Duration](nil, nil, []time.Duration{time.Second})
			w.over(callsOf(), func(f *fixture) {
				status, after := status(), after()
				f.note = fmt.Sprint(status, " for ever, Retry-After ", after)
				f.srv.On(f.call.op).Always().Status(status, after...)
				began := time.Now()
				bounded(f, f.run(), 5, 1)
				if took := time.Since(began); took > 3*time.Minute {
					f.errorf("took %v", took)
				}
			})
			a := w.attacker(func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "/again", http.StatusTemporaryRedirect)
			})
			w.over(callsOf(loginCall, listCall, readCall, downloadCall), func(f *fixture) {
				if f.call.op == "ExchangeEntraToken" {
					return // no redirect is followed there
				}
				f.note = "redirect in a circle"
				f.srv.On(f.call.op).Always().Do(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
					http.Redirect(rw, r, r.URL.RequestURI(), http.StatusTemporaryRedirect)
				})
				f.mustFail(f.run(), acr.ErrUntrusted)
				f.atMost(4, f.call.op)
			})
			w.over(callsOf(downloadCall), func(f *fixture) {
				f.note = "redirect in a circle elsewhere"
				f.srv.On("GetBlob").Always().Redirect(http.StatusTemporaryRedirect, a.url+"/blob")
				f.mustFail(f.run(), acr.ErrUntrusted)
				if n := a.hits.Swap(0); n != 3 {
					f.errorf("%d redirects were followed", n)
				}
			})
		})
	})
}

// bounded demands a typed error after at most n requests of the call's operation, and at most so many token requests for each scope.
func bounded(f *fixture, err error, n, tokens int) {
	f.t.Helper()
	if f.call.op != "CancelUpload" {
		f.mustFail(err)
	}
	f.atMost(n, f.call.op)
	asked := map[string]int{}
	for _, r := range f.srv.Ledger().Requests("GetAccessToken") {
		if asked[r.Scope]++; asked[r.Scope] > tokens && f.call.kind != examineCall && f.call.op != "GetAccessToken" {
			f.errorf("%d token requests for %q", asked[r.Scope], r.Scope)
		}
	}
}
