package signin_test

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
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestFaultsOfSignIn: token endpoints that fail, tokens that end.
func TestFaultsOfSignIn(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F47 token endpoint fails once", func(t *testing.T) {
		faults := []func(*acrtest.Fault){
			func(f *acrtest.Fault) { f.Status(http.StatusServiceUnavailable) }, func(f *acrtest.Fault) { f.ResetAfter(0) },
			func(f *acrtest.Fault) { f.DropReply() }, func(f *acrtest.Fault) { f.ResetAfter(200) },
		}
		for i := range 2 { // each call meets each of them, in one of its requests
			acrsuite.InBubble(t, func(_ *testing.T, w *acrsuite.World) {
				w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
					faults[2*i](f.Srv.On("ExchangeEntraToken"))
					faults[2*i+1](f.Srv.On("GetAccessToken"))
					f.MustWork(f.Run())
				})
			})
		}
	})
	acrsuite.Row(t, "F48 fifty calls at once", func(t *testing.T) {
		acrsuite.InBubble(t, func(_ *testing.T, w *acrsuite.World) {
			w.Over([]acrsuite.Call{acrsuite.CallNamed(t, "Repository.HeadManifest"), acrsuite.CallNamed(t, "Repository.Tags"), acrsuite.CallNamed(t, "Client.Repositories")}, func(f *acrsuite.Fixture) {
				f.Srv.On(acrsuite.TokenOperations...).Always().DelayReply(time.Second)
				var calls sync.WaitGroup
				for range 50 {
					calls.Go(func() { f.MustWork(f.Run()) })
				}
				calls.Wait()
				f.AtMost(1, "ExchangeEntraToken")
				f.AtMost(1, "GetAccessToken")
			})
		})
	})
	acrsuite.Row(t, "F49 those who wait for a token leave", func(t *testing.T) {
		for _, leaver := range []string{"leader", "follower", "all"} {
			acrsuite.InBubble(t, func(_ *testing.T, w *acrsuite.World) {
				w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
					f.Note = leaver + " leaves"
					if f.Call.Kind == acrsuite.DeleteCall || f.Call.Method == "Repository.ResumeUpload" || f.Call.Method == "Repository.RestoreManifest" {
						return // made twice at the same time they are in each other's way
					}
					f.Srv.On(acrsuite.TokenOperations...).Always().DelayReply(10 * time.Second)
					first, leave1 := context.WithCancel(f.Ctx)
					second, leave2 := context.WithCancel(f.Ctx)
					defer leave1()
					defer leave2()
					done := make(chan error, 1)
					go func() { done <- f.RunWith(first) }()
					synctest.Wait()
					var other error
					var both sync.WaitGroup
					both.Go(func() { other = f.RunWith(second) })
					synctest.Wait()
					began := time.Now()
					if leaver != "follower" {
						leave1()
						if err := <-done; !errors.Is(err, context.Canceled) || time.Since(began) > 100*time.Millisecond {
							f.Errorf("the leader left with %v after %v", err, time.Since(began))
						}
					}
					if leaver != "leader" {
						leave2()
					}
					both.Wait()
					if (leaver == "leader") != (other == nil) || other != nil && (!errors.Is(other, context.Canceled) || time.Since(began) > 100*time.Millisecond) {
						f.Errorf("the follower ended with %v after %v", other, time.Since(began))
					}
					if leaver == "follower" {
						f.MustWork(<-done)
					}
					if leaver == "all" { // and the next one is not the worse for it
						f.MustWork(f.Run())
					} else {
						f.AtMost(1, "ExchangeEntraToken")
					}
				})
			})
		}
	})
	acrsuite.Row(t, "F50 alternating scopes", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		f := w.Fixture(acrsuite.CallNamed(t, "Repository.HeadManifest"))
		for range 50 {
			_, err := f.Repository().HeadManifest(f.Ctx, f.Tag)
			f.MustWork(err)
			_, err = f.Repository().Properties(f.Ctx)
			f.MustWork(err)
		}
		f.AtMost(1, "ExchangeEntraToken")
		f.AtMost(2, "GetAccessToken")
		// More scopes than are kept: the one in use stays, and whoever comes back is served.
		for i := range 270 {
			_, err := f.Client.Repository(fmt.Sprintf("no/such%d", i)).HeadManifest(f.Ctx, "v1")
			if !errors.Is(err, acr.ErrNotFound) {
				f.Errorf("%v", err)
			}
			_, err = f.Repository().HeadManifest(f.Ctx, f.Tag)
			f.MustWork(err)
		}
		f.AtMost(1, "ExchangeEntraToken")
		f.AtMost(272, "GetAccessToken")
		_, err := f.Client.Repository("no/such0").HeadManifest(f.Ctx, "v1")
		if !errors.Is(err, acr.ErrNotFound) {
			f.Errorf("%v", err)
		}
		if n := f.Srv.Ledger().Count("GetAccessToken"); n != 273 {
			f.Errorf("%d tokens were asked for, want 273: the one unused for longest is not kept", n)
		}
	})
	acrsuite.Row(t, "F51 revoked access token", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
			if f.Call.Kind == acrsuite.LoginCall {
				return // a request for a token carries no access token
			}
			revoked := f.Srv.On(f.Call.Op).Revoke()
			f.MustWork(f.Run())
			if revoked.Hits() != 1 {
				f.Errorf("%d tokens were revoked", revoked.Hits())
			}
			f.AtMost(1, "ExchangeEntraToken")
		})
	})
	acrsuite.Row(t, "F52 revoked refresh token", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
			_, err := f.Client.Login(f.Ctx) // a refresh token is at hand
			f.MustWork(err)
			f.Srv.RevokeRefreshTokens()
			f.MustWork(f.Run())
			f.AtMost(2, "ExchangeEntraToken")
		})
		w.Sign = acrsuite.ByRefresh // one that was given cannot be exchanged anew
		f := w.Fixture(acrsuite.CallNamed(t, "Repository.HeadManifest"))
		f.Srv.RevokeRefreshTokens()
		f.MustFail(f.Run(), acr.ErrRevoked, acr.ErrExpired)
		f.AtMost(1, "GetAccessToken")
	})
	acrsuite.Row(t, "F53 rejected Entra token", func(t *testing.T) {
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
		w := acrsuite.NewWorld(t)
		refuse := func(f *acrsuite.Fixture, name string) {
			r := refusals[name]
			f.Note = name
			f.Srv.On("ExchangeEntraToken").Always().Status(r.status).Code("UNAUTHORIZED", r.message)
			f.MustFail(f.Run(), r.want)
			if f.Call.Kind != acrsuite.ExamineCall {
				f.AtMost(1, "ExchangeEntraToken")
			}
		}
		next := acrsuite.InTurn("ARM", "audience", "role", "firewall")
		w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) { refuse(f, next()) })
		for name := range refusals {
			refuse(w.Fixture(acrsuite.CallNamed(t, "Client.Ping")), name)
		}
		// A claims challenge goes to the credential, once.
		const claims = `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
		w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
			f.Note = "claims"
			f.Srv.On("ExchangeEntraToken").Status(http.StatusUnauthorized).
				Header("WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
			f.MustWork(f.Run())
			asked := f.Cred.Requests()
			if len(asked) != 2 || asked[0].Claims != "" || asked[1].Claims != claims || !asked[1].EnableCAE {
				f.Errorf("the credential was asked for %+v", asked)
			}
		})
	})
	acrsuite.Row(t, "F54 clocks six hours apart", func(t *testing.T) {
		for _, skew := range []time.Duration{6 * time.Hour, -6 * time.Hour} {
			acrsuite.InBubble(t, func(t *testing.T, w *acrsuite.World) {
				w.Srv.Advance(skew)
				w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
					f.Note = fmt.Sprint(skew)
					f.MustWork(f.Run())
					f.AtMost(1, "ExchangeEntraToken")
				})
				// Nor does the token end sooner or later for it.
				f := w.Fixture(acrsuite.CallNamed(t, "Repository.HeadManifest"))
				for range 60 {
					f.MustWork(f.Run())
					time.Sleep(4 * time.Minute) // of the bubble
				}
				f.AtMost(5, "GetAccessToken") // 4 h in lives of 48 min
				f.Srv.Ledger().None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
			})
		}
	})
	acrsuite.Row(t, "F55 tokens that do not say when they end", func(t *testing.T) {
		acrsuite.InBubble(t, func(t *testing.T, w *acrsuite.World) {
			m := &acrsuite.Mask{Base: w.Spy}
			w.Transport.Transport = m
			for name, face := range map[string]func(string) string{
				"opaque": func(id string) string { return "opaque-" + id },
				"no exp": func(id string) string {
					return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte("{}")) + "." + id
				},
			} {
				m.Wear(face)
				w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
					f.Note = name
					f.MustWork(f.Run())
				})
				f := w.Fixture(acrsuite.CallNamed(t, "Repository.HeadManifest"))
				for range 60 {
					f.MustWork(f.Run())
					time.Sleep(time.Minute) // of the bubble
				}
				// An hour in lives of five minutes, renewed at 80 %.
				f.AtMost(16, "GetAccessToken")
				if n := f.Srv.Ledger().Count("GetAccessToken"); n < 12 {
					f.Errorf("%d tokens in an hour: they were believed to live longer than five minutes", n)
				}
			}
		})
	})
	acrsuite.Row(t, "F56 token that ends during an upload", slowUpload)
}

// slowUpload sends a blob for longer than a token lives: each chunk begins with a minute of life at least, and a token that ends all the
// same is renewed without losing the session.
func slowUpload(t *testing.T) {
	acrsuite.InBubble(t, func(t *testing.T, w *acrsuite.World) {
		f := w.Fixture(acrsuite.CallNamed(t, "BlobWriter.Write"))
		content := []byte(strings.Repeat("slow upload ", 34_000))
		var end atomic.Int64 // of the token in use
		f.Srv.On(acrsuite.UploadRequests...).Always().When(func(r *http.Request) bool {
			ends := lifeOf(r)
			end.Store(ends.Unix())
			if left := ends.Sub(f.Srv.Now()); left < time.Minute {
				f.Errorf("%s was sent with a token that lives for %v", r.Method, left)
			}
			return false
		}).Delay(0)
		early := f.Srv.On("GetAccessToken").Always().When(func(*http.Request) bool { // it cannot be renewed ahead of its last minute
			return end.Load()-f.Srv.Now().Unix() > 60
		}).Status(http.StatusServiceUnavailable)
		src := &slowReader{r: strings.NewReader(string(content)), wait: 7 * time.Second, most: 512}
		desc, err := f.Repository().UploadBlob(f.Ctx, src, &acr.UploadOptions{ChunkSize: 512})
		f.MustWork(err)
		if want := digest.FromBytes(content); desc.Digest != want || !f.Srv.HasBlob(f.Name, want) {
			f.Errorf("uploaded %s, want %s", desc.Digest, want)
		}
		f.AtMost(1, "StartUpload")
		f.Srv.Ledger().None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
		if n := f.Srv.Ledger().Count("GetAccessToken") - early.Hits(); n < 2 || early.Hits() == 0 {
			f.Errorf("%d tokens, %d refused: the upload was too fast", n, early.Hits())
		}

		// The token is over without warning, for a chunk, the status and the commit.
		for _, method := range []string{"BlobWriter.Write", "Repository.ResumeUpload", "BlobWriter.Commit"} {
			f = w.Fixture(acrsuite.CallNamed(t, method))
			f.Note = "over at " + f.Call.Op
			over := f.Srv.On(f.Call.Op).Revoke()
			f.MustWork(f.Run())
			if over.Hits() != 1 {
				f.Errorf("%d tokens were revoked", over.Hits())
			}
			f.AtMost(1, "StartUpload")
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
