package signin_test

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
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestFaultsOfLimits: refusals for good, for a while, and servers that are down.
func TestFaultsOfLimits(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F57 denied", func(t *testing.T) {
		acrsuite.InBubble(t, func(_ *testing.T, w *acrsuite.World) {
			for message, want := range map[string]error{
				"client with IP '203.0.113.7' is not allowed access.": acr.ErrFirewall,
				"requested access to the resource is denied":          acr.ErrDenied,
			} {
				w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
					if f.Call.Op == "CancelUpload" {
						return // which has nothing to tell
					}
					f.Note = message
					f.Srv.On(f.Call.Op).Always().Status(http.StatusForbidden).Code("DENIED", message)
					began := time.Now()
					err := f.Run()
					head := f.Call.Op == "HeadManifest" || f.Call.Op == "HeadBlob" // whose answer has no body to say why
					switch {
					case head:
						f.MustFail(err, acr.ErrMissingAction)
					case errors.Is(want, acr.ErrDenied):
						f.MustFail(err, acr.ErrMissingAction, acr.ErrCatalogRole, acr.ErrNoRole, acr.ErrNotMounted)
						if f.Call.Op != "ExchangeEntraToken" && f.Call.Kind != acrsuite.ExamineCall {
							f.MustFail(err, acr.ErrDenied)
						}
					default:
						f.MustFail(err, want, acr.ErrNotMounted)
					}
					if f.Call.Kind != acrsuite.ExamineCall { // which asks with and without a token
						f.AtMost(1, f.Call.Op)
					}
					if time.Since(began) > 0 {
						f.Errorf("waited %v", time.Since(began))
					}
					if !head && errors.Is(want, acr.ErrFirewall) && !strings.Contains(err.Error(), "203.0.113.7") {
						f.Errorf("the address is not in %q", err)
					}
				})
			}
		})
		// What an identity may not do is found out by one token and one request.
		for name, opts := range map[string][]acrtest.Option{"ABAC": {acrtest.WithABAC(), acrtest.WithEntraActions("other/* content/read")}, "no right": {acrtest.WithEntraActions("other/* content/read")}} {
			acrsuite.NewWorld(t, opts...).Over([]acrsuite.Call{acrsuite.CallNamed(t, "Repository.GetManifest"), acrsuite.CallNamed(t, "Repository.PutManifest"), acrsuite.CallNamed(t, "Repository.DeleteManifest"), acrsuite.CallNamed(t, "Repository.UploadBlob")}, func(f *acrsuite.Fixture) {
				f.Note = name
				want := acr.ErrMissingAction
				if name == "ABAC" {
					want = acr.ErrABAC
				}
				f.MustFail(f.Run(), want)
				f.AtMost(2, f.Call.Op)
				f.AtMost(2, "GetAccessToken")
			})
		}
		w := acrsuite.NewWorld(t)
		w.Sign = acrsuite.ByAnonymous
		w.Over(acrsuite.CallsOf(acrsuite.WriteCall, acrsuite.DeleteCall), func(f *acrsuite.Fixture) {
			if strings.HasSuffix(f.Call.Method, ".QueryMetadata") {
				return // sent with POST, but it reads
			}
			if err := f.Run(); !errors.Is(err, acr.ErrAnonymous) {
				f.Errorf("%v", err)
			}
			f.AtMost(2, f.Call.Op)
		})
	})
	acrsuite.Row(t, "F58 Retry-After in all its forms", func(t *testing.T) {
		const asked = 7 * time.Second
		forms := map[string]func(f *acrsuite.Fixture) (key, value string){
			"seconds": func(*acrsuite.Fixture) (string, string) { return "Retry-After", "7" },
			"date": func(f *acrsuite.Fixture) (string, string) {
				return "Retry-After", f.Srv.Now().Add(asked + time.Second).UTC().Format(http.TimeFormat) // to the second
			},
			"ms":   func(*acrsuite.Fixture) (string, string) { return "Retry-After-Ms", "7000" },
			"x-ms": func(*acrsuite.Fixture) (string, string) { return "X-Ms-Retry-After-Ms", "7000" },
		}
		wait := func(f *acrsuite.Fixture, status int, name string) {
			f.Note = fmt.Sprint(status, " ", name)
			key, value := forms[name](f)
			f.Srv.On(f.Call.Op).Status(status).Header(key, value)
			began := time.Now()
			f.MustWork(f.Run())
			if took := time.Since(began); f.Call.Op != "CancelUpload" && (took < asked || took > 3*asked) {
				f.Errorf("waited %v, asked %v", took, asked)
			}
		}
		acrsuite.InBubble(t, func(t *testing.T, w *acrsuite.World) {
			for status, form := range map[int]func() string{
				http.StatusTooManyRequests: acrsuite.InTurn("seconds", "date", "ms", "x-ms"), http.StatusServiceUnavailable: acrsuite.InTurn("ms", "x-ms", "seconds", "date"),
			} {
				w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) { wait(f, status, form()) })
				for _, method := range []string{"Client.Login", "Repository.GetManifest", "BlobWriter.Write", "BlobWriter.Commit"} { // each in all its forms
					for name := range forms {
						wait(w.Fixture(acrsuite.CallNamed(t, method)), status, name)
					}
				}
			}
		})
	})
	acrsuite.Row(t, "F59 Retry-After of a day", func(t *testing.T) {
		acrsuite.InBubble(t, func(_ *testing.T, w *acrsuite.World) {
			for _, ops := range [][]string{nil, acrsuite.TokenOperations} {
				w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
					f.Note = fmt.Sprint(ops)
					if ops == nil && f.Call.Op == "CancelUpload" {
						return // which has nothing to tell
					}
					on := ops
					if on == nil {
						on = []string{f.Call.Op}
					}
					f.Srv.On(on...).Always().Status(http.StatusTooManyRequests, 24*time.Hour)
					began := time.Now()
					err := f.Run()
					if e, ok := errors.AsType[*acr.Error](err); !ok || e.RetryAfter != 24*time.Hour || !errors.Is(err, acr.ErrThrottled) {
						f.Errorf("%v", err)
					}
					if time.Since(began) > 0 {
						f.Errorf("waited %v", time.Since(began))
					}
					f.AtMost(1, f.Call.Op)
				})
			}
		})
	})
	acrsuite.Row(t, "F60 a hundred workers and a server that is down", func(t *testing.T) {
		acrsuite.InBubble(t, func(_ *testing.T, w *acrsuite.World) {
			for _, script := range []func(*acrtest.Fault){func(f *acrtest.Fault) { f.Status(http.StatusServiceUnavailable) }, func(f *acrtest.Fault) { f.DropReply() }} {
				var all []*acrsuite.Fixture // one client for all of them
				w.Over(slices.DeleteFunc(acrsuite.CallsOf(acrsuite.ReadCall, acrsuite.ListCall, acrsuite.DownloadCall), func(c acrsuite.Call) bool { return c.Prepare != nil || len(c.Also) > 0 }), func(f *acrsuite.Fixture) {
					if len(all) > 0 {
						f.Client = all[0].Client
					}
					f.MustWork(f.Run()) // tokens are at hand
					all = append(all, f)
				})
				w.Srv.Ledger().Reset()
				w.Transport.CloseIdleConnections() // net/http itself sends again what a kept connection has lost, once
				script(w.Srv.On().Always())
				var workers sync.WaitGroup
				for i := range 100 {
					f := all[i%len(all)]
					workers.Go(func() {
						if err := f.Run(); err == nil {
							f.Errorf("succeeded")
						}
					})
				}
				workers.Wait()
				all[0].AtMost(110)
			}
		})
	})
	acrsuite.Row(t, "F61 servers in the way that speak HTML", func(t *testing.T) {
		const page = "<html><head><title>502 Bad Gateway</title></head><body>\n<h1>nginx\x1b[31m</h1></body></html>"
		acrsuite.InBubble(t, func(_ *testing.T, w *acrsuite.World) {
			status := acrsuite.InTurn(http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout)
			w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Status(status()).Body("text/html", page)
				f.MustWork(f.Run())
			})
			w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
				f.Note = "for ever"
				f.Srv.On(f.Call.Op).Always().Status(http.StatusBadGateway).Body("text/html", page)
				err := f.Run()
				if f.Call.Op == "CancelUpload" {
					return
				}
				f.MustFail(err)
				if text := fmt.Sprint(err); strings.Contains(text, "<") || !acrsuite.PrintableLine(text) {
					f.Errorf("shows a page: %q", text)
				}
			})
		})
	})
	acrsuite.Row(t, "F62 a resolver that does not answer", func(t *testing.T) {
		acrsuite.InBubble(t, func(t *testing.T, w *acrsuite.World) {
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
			for _, base := range []http.RoundTripper{tr, &acrsuite.Spy{Base: tr, Login: w.Srv.Host()}} {
				w.Transport = &http.Client{Transport: base}
				for _, c := range acrsuite.CallsOf() {
					if c.Prepare != nil {
						continue // the call is the same with nothing prepared
					}
					f := w.Fixture(c)
					ctx, cancel := context.WithTimeout(f.Ctx, 3*time.Second)
					began := time.Now()
					err := f.RunWith(ctx)
					cancel()
					if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 3100*time.Millisecond {
						f.Errorf("%v after %v", err, took)
					}
				}
			}
		})
	})
}
