package acr_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F47", "F48", "F49", "F50", "F51", "F52", "F53", "F54", "F55", "F56")

// inBubble runs test in a bubble of its own, with a world whose network is in memory.
func inBubble(t *testing.T, test func(t *testing.T, w *world), opts ...acrtest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newWorld(t, append([]acrtest.Option{acrtest.WithMemoryNetwork()}, opts...)...))
	})
}

// TestFaultsOfSignIn: token endpoints that fail, tokens that end.
func TestFaultsOfSignIn(t *testing.T) {
	t.Parallel()
	row(t, "F47 token endpoint fails once", survived, func(t *testing.T) {
		faults := []func(*acrtest.Fault){
			func(f *acrtest.Fault) { f.Status(http.StatusServiceUnavailable) }, func(f *acrtest.Fault) { f.ResetAfter(0) },
			func(f *acrtest.Fault) { f.DropReply() }, func(f *acrtest.Fault) { f.ResetAfter(200) },
		}
		for i := range 2 { // each call meets each of them, in one of its requests
			inBubble(t, func(_ *testing.T, w *world) {
				w.over(steadyCalls(), func(f *fixture) {
					faults[2*i](f.srv.On("ExchangeEntraToken"))
					faults[2*i+1](f.srv.On("GetAccessToken"))
					f.mustWork(f.run())
				})
			})
		}
	})
	row(t, "F48 fifty calls at once", survived, func(t *testing.T) {
		inBubble(t, func(_ *testing.T, w *world) {
			w.over([]call{callNamed(t, "Repository.HeadManifest"), callNamed(t, "Repository.Tags"), callNamed(t, "Client.Repositories")}, func(f *fixture) {
				f.srv.On(tokenOperations...).Always().DelayReply(time.Second)
				var calls sync.WaitGroup
				for range 50 {
					calls.Go(func() { f.mustWork(f.run()) })
				}
				calls.Wait()
				f.atMost(1, "ExchangeEntraToken")
				f.atMost(1, "GetAccessToken")
			})
		})
	})
	row(t, "F49 those who wait for a token leave", survived, func(t *testing.T) {
		for _, leaver := range []string{"leader", "follower", "all"} {
			inBubble(t, func(_ *testing.T, w *world) {
				w.over(steadyCalls(), func(f *fixture) {
					f.note = leaver + " leaves"
					if f.call.kind == deleteCall || f.call.method == "Repository.ResumeUpload" || f.call.method == "Repository.RestoreManifest" {
						return // made twice at the same time they are in each other's way
					}
					f.srv.On(tokenOperations...).Always().DelayReply(10 * time.Second)
					first, leave1 := context.WithCancel(f.ctx)
					second, leave2 := context.WithCancel(f.ctx)
					defer leave1()
					defer leave2()
					done := make(chan error, 1)
					go func() { done <- f.runWith(first) }()
					synctest.Wait()
					var other error
					var both sync.WaitGroup
					both.Go(func() { other = f.runWith(second) })
					synctest.Wait()
					began := time.Now()
					if leaver != "follower" {
						leave1()
						if err := <-done; !errors.Is(err, context.Canceled) || time.Since(began) > 100*time.Millisecond {
							f.errorf("the leader left with %v after %v", err, time.Since(began))
						}
					}
					if leaver != "leader" {
						leave2()
					}
					both.Wait()
					if (leaver == "leader") != (other == nil) || other != nil && (!errors.Is(other, context.Canceled) || time.Since(began) > 100*time.Millisecond) {
						f.errorf("the follower ended with %v after %v", other, time.Since(began))
					}
					if leaver == "follower" {
						f.mustWork(<-done)
					}
					if leaver == "all" { // and the next one is not the worse for it
						f.mustWork(f.run())
					} else {
						f.atMost(1, "ExchangeEntraToken")
					}
				})
			})
		}
	})
	row(t, "F50 alternating scopes", survived, func(t *testing.T) {
		w := newWorld(t)
		f := w.fixture(callNamed(t, "Repository.HeadManifest"))
		for range 50 {
			_, err := f.repository().HeadManifest(f.ctx, f.tag)
			f.mustWork(err)
			_, err = f.repository().Properties(f.ctx)
			f.mustWork(err)
		}
		f.atMost(1, "ExchangeEntraToken")
		f.atMost(2, "GetAccessToken")
		// More scopes than are kept: the one in use stays, and whoever comes back is served.
		for i := range 270 {
			_, err := f.client.Repository(fmt.Sprintf("no/such%d", i)).HeadManifest(f.ctx, "v1")
			if !errors.Is(err, acr.ErrNotFound) {
				f.errorf("%v", err)
			}
			_, err = f.repository().HeadManifest(f.ctx, f.tag)
			f.mustWork(err)
		}
		f.atMost(1, "ExchangeEntraToken")
		f.atMost(272, "GetAccessToken")
		_, err := f.client.Repository("no/such0").HeadManifest(f.ctx, "v1")
		if !errors.Is(err, acr.ErrNotFound) {
			f.errorf("%v", err)
		}
		if n := f.srv.Ledger().Count("GetAccessToken"); n != 273 {
			f.errorf("%d tokens were asked for, want 273: the one unused for longest is not kept", n)
		}
	})
	row(t, "F51 revoked access token", survived, func(t *testing.T) {
		w := newWorld(t)
		w.over(steadyCalls(), func(f *fixture) {
			if f.call.op == "ExchangeEntraToken" {
				return // it comes before any access token
			}
			revoked := f.srv.On(f.call.op).Revoke()
			f.mustWork(f.run())
			if revoked.Hits() != 1 {
				f.errorf("%d tokens were revoked", revoked.Hits())
			}
			f.atMost(1, "ExchangeEntraToken")
		})
	})
	row(t, "F52 revoked refresh token", survived, func(t *testing.T) {
		w := newWorld(t)
		w.over(steadyCalls(), func(f *fixture) {
			_, err := f.client.Login(f.ctx) // a refresh token is at hand
			f.mustWork(err)
			f.srv.RevokeRefreshTokens()
			f.mustWork(f.run())
			f.atMost(2, "ExchangeEntraToken")
		})
		w.sign = byRefresh // one that was given cannot be exchanged anew
		f := w.fixture(callNamed(t, "Repository.HeadManifest"))
		f.srv.RevokeRefreshTokens()
		f.mustFail(f.run(), acr.ErrRevoked, acr.ErrExpired)
		f.atMost(1, "GetAccessToken")
	})
	row(t, "F53 rejected Entra token", cleanError, func(t *testing.T) {
		refusals := map[string]struct {
			status  int
			message string
			want    error
		}{
			"ARM":      {401, "arm aad token disallowed", acr.ErrARMAudienceDisabled},
			"audience": {401, "retrieving permissions failed", acr.ErrWrongAudience},
			"role":     {403, "retrieving permissions failed", acr.ErrNoRole},
			"firewall": {403, "client with IP '203.0.113.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.", acr.ErrFirewall},
		}
		w := newWorld(t)
		refuse := func(f *fixture, name string) {
			r := refusals[name]
			f.note = name
			f.srv.On("ExchangeEntraToken").Always().Status(r.status).Code("UNAUTHORIZED", r.message)
			f.mustFail(f.run(), r.want)
			if f.call.kind != examineCall {
				f.atMost(1, "ExchangeEntraToken")
			}
		}
		next := inTurn("ARM", "audience", "role", "firewall")
		w.over(callsOf(), func(f *fixture) { refuse(f, next()) })
		for name := range refusals {
			refuse(w.fixture(callNamed(t, "Client.Ping")), name)
		}
		// A claims challenge goes to the credential, once.
		const claims = `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
		w.over(steadyCalls(), func(f *fixture) {
			f.note = "claims"
			f.srv.On("ExchangeEntraToken").Status(http.StatusUnauthorized).
				Header("WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
			f.mustWork(f.run())
			asked := f.cred.requests()
			if len(asked) != 2 || asked[0].Claims != "" || asked[1].Claims != claims || !asked[1].EnableCAE {
				f.errorf("the credential was asked for %+v", asked)
			}
		})
	})
	row(t, "F54 clocks six hours apart", survived, func(t *testing.T) {
		for _, skew := range []time.Duration{6 * time.Hour, -6 * time.Hour} {
			inBubble(t, func(t *testing.T, w *world) {
				w.srv.Advance(skew)
				w.over(steadyCalls(), func(f *fixture) {
					f.note = fmt.Sprint(skew)
					f.mustWork(f.run())
					f.atMost(1, "ExchangeEntraToken")
				})
				// Nor does the token end sooner or later for it.
				f := w.fixture(callNamed(t, "Repository.HeadManifest"))
				for range 60 {
					f.mustWork(f.run())
					time.Sleep(4 * time.Minute) // of the bubble
				}
				f.atMost(5, "GetAccessToken") // 4 h in lives of 48 min
				f.srv.Ledger().None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
			})
		}
	})
	row(t, "F55 tokens that do not say when they end", survived, func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *world) {
			m := &mask{base: w.spy}
			w.transport.Transport = m
			for name, face := range map[string]func(string) string{
				"opaque": func(id string) string { return "opaque-" + id },
				"no exp": func(id string) string {
					return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte("{}")) + "." + id
				},
			} {
				m.wear(face)
				w.over(steadyCalls(), func(f *fixture) {
					f.note = name
					f.mustWork(f.run())
				})
				f := w.fixture(callNamed(t, "Repository.HeadManifest"))
				for range 60 {
					f.mustWork(f.run())
					time.Sleep(time.Minute) // of the bubble
				}
				// An hour in lives of five minutes, renewed at 80 %.
				f.atMost(16, "GetAccessToken")
				if n := f.srv.Ledger().Count("GetAccessToken"); n < 12 {
					f.errorf("%d tokens in an hour: they were believed to live longer than five minutes", n)
				}
			}
		})
	})
	row(t, "F56 token that ends during an upload", survived, slowUpload)
}

// slowUpload sends a blob for longer than a token lives: each chunk begins with a minute of life at least, and a token that ends all the
// same is renewed without losing the session.
func slowUpload(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		f := w.fixture(callNamed(t, "BlobWriter.Write"))
		content := []byte(strings.Repeat("slow upload ", 34_000))
		var end atomic.Int64 // of the token in use
		f.srv.On(uploadRequests...).Always().When(func(r *http.Request) bool {
			ends := lifeOf(r)
			end.Store(ends.Unix())
			if left := ends.Sub(f.srv.Now()); left < time.Minute {
				f.errorf("%s was sent with a token that lives for %v", r.Method, left)
			}
			return false
		}).Delay(0)
		early := f.srv.On("GetAccessToken").Always().When(func(*http.Request) bool { // it cannot be renewed ahead of its last minute
			return end.Load()-f.srv.Now().Unix() > 60
		}).Status(http.StatusServiceUnavailable)
		src := &slowReader{r: strings.NewReader(string(content)), wait: 7 * time.Second, most: 512}
		desc, err := f.repository().UploadBlob(f.ctx, src, &acr.UploadOptions{ChunkSize: 512})
		f.mustWork(err)
		if want := digest.FromBytes(content); desc.Digest != want || !f.srv.HasBlob(f.name, want) {
			f.errorf("uploaded %s, want %s", desc.Digest, want)
		}
		f.atMost(1, "StartUpload")
		f.srv.Ledger().None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
		if n := f.srv.Ledger().Count("GetAccessToken") - early.Hits(); n < 2 || early.Hits() == 0 {
			f.errorf("%d tokens, %d refused: the upload was too fast", n, early.Hits())
		}

		// The token is over without warning, for a chunk, the status and the commit.
		for _, method := range []string{"BlobWriter.Write", "Repository.ResumeUpload", "BlobWriter.Commit"} {
			f = w.fixture(callNamed(t, method))
			f.note = "over at " + f.call.op
			over := f.srv.On(f.call.op).Revoke()
			f.mustWork(f.run())
			if over.Hits() != 1 {
				f.errorf("%d tokens were revoked", over.Hits())
			}
			f.atMost(1, "StartUpload")
		}
	})
}

// lifeOf is when the token of a request ends.
func lifeOf(r *http.Request) time.Time {
	var claims struct{ Exp int64 }
	if parts := strings.Split(r.Header.Get("Authorization"), "."); len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(payload, &claims) // else it is over
		}
	}
	return time.Unix(claims.Exp, 0)
}

// slowReader gives little at a time.
type slowReader struct {
	r    *strings.Reader
	wait time.Duration
	most int
}

// Read implements io.Reader.
func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.wait) // of the bubble
	return s.r.Read(p[:min(len(p), s.most)])
}
