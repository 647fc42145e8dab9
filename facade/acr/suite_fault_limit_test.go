package acr_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F57", "F58", "F59", "F60", "F61", "F62")

// TestFaultsOfLimits: refusals for good, for a while, and servers that are down.
func TestFaultsOfLimits(t *testing.T) {
	t.Parallel()
	row(t, "F57 denied", cleanError, func(t *testing.T) {
		inBubble(t, func(_ *testing.T, w *world) {
			for message, want := range map[string]error{
				"client with IP '203.0.113.7' is not allowed access.": acr.ErrFirewall,
				"requested access to the resource is denied":          acr.ErrDenied,
			} {
				w.over(callsOf(), func(f *fixture) {
					if f.call.op == "CancelUpload" {
						return // which has nothing to tell
					}
					f.note = message
					f.srv.On(f.call.op).Always().Status(http.StatusForbidden).Code("DENIED", message)
					began := time.Now()
					err := f.run()
					head := f.call.op == "HeadManifest" || f.call.op == "HeadBlob" // whose answer has no body to say why
					switch {
					case head:
						f.mustFail(err, acr.ErrMissingAction)
					case errors.Is(want, acr.ErrDenied):
						f.mustFail(err, acr.ErrMissingAction, acr.ErrCatalogRole, acr.ErrNoRole, acr.ErrNotMounted)
						if f.call.op != "ExchangeEntraToken" && f.call.kind != examineCall {
							f.mustFail(err, acr.ErrDenied)
						}
					default:
						f.mustFail(err, want, acr.ErrNotMounted)
					}
					if f.call.kind != examineCall { // which asks with and without a token
						f.atMost(1, f.call.op)
					}
					if time.Since(began) > 0 {
						f.errorf("waited %v", time.Since(began))
					}
					if !head && errors.Is(want, acr.ErrFirewall) && !strings.Contains(err.Error(), "203.0.113.7") {
						f.errorf("the address is not in %q", err)
					}
				})
			}
		})
		// What an identity may not do is found out by one token and one request.
		for name, opts := range map[string][]acrtest.Option{"ABAC": {acrtest.WithABAC(), acrtest.WithEntraActions("other/* content/read")}, "no right": {acrtest.WithEntraActions("other/* content/read")}} {
			newWorld(t, opts...).over([]call{callNamed(t, "Repository.GetManifest"), callNamed(t, "Repository.PutManifest"), callNamed(t, "Repository.DeleteManifest"), callNamed(t, "Repository.UploadBlob")}, func(f *fixture) {
				f.note = name
				want := acr.ErrMissingAction
				if name == "ABAC" {
					want = acr.ErrABAC
				}
				f.mustFail(f.run(), want)
				f.atMost(2, f.call.op)
				f.atMost(2, "GetAccessToken")
			})
		}
		w := newWorld(t)
		w.sign = byAnonymous
		w.over(callsOf(writeCall, deleteCall), func(f *fixture) {
			if err := f.run(); !errors.Is(err, acr.ErrAnonymous) {
				f.errorf("%v", err)
			}
			f.atMost(2, f.call.op)
		})
	})
	row(t, "F58 Retry-After in all its forms", survived, func(t *testing.T) {
		const asked = 7 * time.Second
		forms := map[string]func(f *fixture) (key, value string){
			"seconds": func(*fixture) (string, string) { return "Retry-After", "7" },
			"date": func(f *fixture) (string, string) {
				return "Retry-After", f.srv.Now().Add(asked + time.Second).UTC().Format(http.TimeFormat) // to the second
			},
			"ms":   func(*fixture) (string, string) { return "Retry-After-Ms", "7000" },
			"x-ms": func(*fixture) (string, string) { return "X-Ms-Retry-After-Ms", "7000" },
		}
		wait := func(f *fixture, status int, name string) {
			f.note = fmt.Sprint(status, " ", name)
			key, value := forms[name](f)
			f.srv.On(f.call.op).Status(status).Header(key, value)
			began := time.Now()
			f.mustWork(f.run())
			if took := time.Since(began); f.call.op != "CancelUpload" && (took < asked || took > 3*asked) {
				f.errorf("waited %v, asked %v", took, asked)
			}
		}
		inBubble(t, func(t *testing.T, w *world) {
			for status, form := range map[int]func() string{
				http.StatusTooManyRequests: inTurn("seconds", "date", "ms", "x-ms"), http.StatusServiceUnavailable: inTurn("ms", "x-ms", "seconds", "date"),
			} {
				w.over(steadyCalls(), func(f *fixture) { wait(f, status, form()) })
				for _, method := range []string{"Client.Login", "Repository.GetManifest", "BlobWriter.Write", "BlobWriter.Commit"} { // each in all its forms
					for name := range forms {
						wait(w.fixture(callNamed(t, method)), status, name)
					}
				}
			}
		})
	})
	row(t, "F59 Retry-After of a day", cleanError, func(t *testing.T) {
		inBubble(t, func(_ *testing.T, w *world) {
			for _, ops := range [][]string{nil, tokenOperations} {
				w.over(steadyCalls(), func(f *fixture) {
					f.note = fmt.Sprint(ops)
					if ops == nil && f.call.op == "CancelUpload" {
						return // which has nothing to tell
					}
					on := ops
					if on == nil {
						on = []string{f.call.op}
					}
					f.srv.On(on...).Always().Status(http.StatusTooManyRequests, 24*time.Hour)
					began := time.Now()
					err := f.run()
					if e, ok := errors.AsType[*acr.Error](err); !ok || e.RetryAfter != 24*time.Hour || !errors.Is(err, acr.ErrThrottled) {
						f.errorf("%v", err)
					}
					if time.Since(began) > 0 {
						f.errorf("waited %v", time.Since(began))
					}
					f.atMost(1, f.call.op)
				})
			}
		})
	})
	row(t, "F60 a hundred workers and a server that is down", cleanError, func(t *testing.T) {
		inBubble(t, func(_ *testing.T, w *world) {
			for _, script := range []func(*acrtest.Fault){func(f *acrtest.Fault) { f.Status(http.StatusServiceUnavailable) }, func(f *acrtest.Fault) { f.DropReply() }} {
				var all []*fixture // one client for all of them
				w.over(slices.DeleteFunc(callsOf(readCall, listCall, downloadCall), func(c call) bool { return c.prepare != nil || len(c.also) > 0 }), func(f *fixture) {
					if len(all) > 0 {
						f.client = all[0].client
					}
					f.mustWork(f.run()) // tokens are at hand
					all = append(all, f)
				})
				w.srv.Ledger().Reset()
				w.transport.CloseIdleConnections() // net/http itself sends again what a kept connection has lost, once
				script(w.srv.On().Always())
				var workers sync.WaitGroup
				for i := range 100 {
					f := all[i%len(all)]
					workers.Go(func() {
						if err := f.run(); err == nil {
							f.errorf("succeeded")
						}
					})
				}
				workers.Wait()
				all[0].atMost(110)
			}
		})
	})
	row(t, "F61 servers in the way that speak HTML", survived, func(t *testing.T) {
		const page = "<html><head><title>502 Bad Gateway</title></head><body>\n<h1>nginx\x1b[31m</h1></body></html>"
		inBubble(t, func(_ *testing.T, w *world) {
			status := inTurn(http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout)
			w.over(steadyCalls(), func(f *fixture) {
				f.srv.On(f.call.op).Status(status()).Body("text/html", page)
				f.mustWork(f.run())
			})
			w.over(callsOf(), func(f *fixture) {
				f.note = "for ever"
				f.srv.On(f.call.op).Always().Status(http.StatusBadGateway).Body("text/html", page)
				err := f.run()
				if f.call.op == "CancelUpload" {
					return
				}
				f.mustFail(err)
				if text := fmt.Sprint(err); strings.Contains(text, "<") || !printableLine(text) {
					f.errorf("shows a page: %q", text)
				}
			})
		})
	})
	row(t, "F62 a resolver that does not answer", cleanError, func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *world) {
			tr := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				select { // a dial goes on without its request, in the hope of another one; dialers have a limit of their own
				case <-ctx.Done():
				case <-time.After(10 * time.Second):
				}
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no answer", Name: addr, IsTimeout: true}}
			}}
			t.Cleanup(func() {
				time.Sleep(time.Minute) // of the bubble
				tr.CloseIdleConnections()
			})
			for _, base := range []http.RoundTripper{tr, &spy{base: tr, login: w.srv.Host()}} {
				w.transport = &http.Client{Transport: base}
				for _, c := range callsOf() {
					if c.prepare != nil {
						continue // the call is the same with nothing prepared
					}
					f := w.fixture(c)
					ctx, cancel := context.WithTimeout(f.ctx, 3*time.Second)
					began := time.Now()
					err := f.runWith(ctx)
					cancel()
					if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 3100*time.Millisecond {
						f.errorf("%v after %v", err, took)
					}
				}
			}
		})
	})
}
