package attack_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// blobCalls are those that a redirect may lead to storage.
func blobCalls(t *testing.T) []acrsuite.Call {
	t.Helper()
	return append(acrsuite.CallsOf(acrsuite.DownloadCall), acrsuite.CallNamed(t, "Repository.HeadBlob"))
}

// TestAttacksByRedirect: where requests with a credential, or with content, may be sent on to.
func TestAttacksByRedirect(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A05 blob at a subdomain of the registry", func(t *testing.T) {
		for _, strict := range []bool{false, true} {
			w := acrsuite.NewWorld(t, acrtest.WithLoginServer("suite.azurecr.io"))
			var content []byte
			evil := w.Attacker(serve(&content))
			w.Use(named(t, w.Srv, "evil.suite.azurecr.io:443", evil.Host()))
			w.Options = []acrsuite.Option{func(o *acr.ClientOptions) { o.StrictStorage = strict }}
			w.Over(blobCalls(t), func(f *acrsuite.Fixture) {
				content = f.Content
				f.Srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, "https://evil.suite.azurecr.io/blob")
				err := f.Run()
				if strict {
					f.MustFail(err, acr.ErrUntrusted)
					f.Untouched(evil)
					return
				}
				f.MustWork(err)
				withoutCredential(f, evil)
			})
		}
	})
	acrsuite.Row(t, "A06 blob at another port of the registry", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			var content []byte
			a := w.Attacker(serve(&content))
			w.Over(blobCalls(t), func(f *acrsuite.Fixture) {
				content = f.Content
				f.Srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, a.ByAddress()+"/blob")
				f.MustWork(f.Run())
				withoutCredential(f, a)
			})
		}
	})
	acrsuite.Row(t, "A07 blob without TLS", func(t *testing.T) {
		plain := acrsuite.PlainAttacker(t)
		for _, by := range acrsuite.BothWays {
			acrsuite.NewWorldBy(t, by).Over(blobCalls(t), func(f *acrsuite.Fixture) {
				for _, target := range []string{plain.URL + "/blob", "http://" + f.Srv.Host() + "/blob", "http://" + f.Srv.StorageHost() + "/blob"} {
					f.Srv.ClearFaults()
					f.Srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, target)
					f.MustFail(f.Run(), acr.ErrUntrusted)
					f.Untouched(plain)
				}
			})
		}
	})
	acrsuite.Row(t, "A08 blob at an address of the machine", forbiddenAddresses)
	acrsuite.Row(t, "A13 redirect of content", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			a := w.Attacker(nil)
			w.Over(acrsuite.CallsOf(acrsuite.WriteCall, acrsuite.DeleteCall, acrsuite.UploadCall), func(f *acrsuite.Fixture) {
				for i, target := range []string{a.URL + "/x", "/v2/" + f.Name + "/elsewhere"} {
					if i > 0 {
						f = f.Fixture(f.Call)
					}
					f.Note = target
					f.Srv.On(f.Call.Op).Always().Redirect(http.StatusTemporaryRedirect+i, target)
					if err := f.Run(); f.Call.Op == "CancelUpload" {
						f.MustWork(err) // it does what it can, and has nothing to tell
					} else {
						f.MustFail(err, acr.ErrUntrusted)
					}
					f.AtMost(1, f.Call.Op)
					f.Untouched(a)
					f.Srv.Ledger().None(t, func(r acrtest.Request) bool { return strings.HasSuffix(r.Path, "/elsewhere") })
				}
			})
		}
		t.Run("a chunk", func(t *testing.T) {
			t.Parallel()
			redirectedChunk(t)
		})
	})
	acrsuite.Row(t, "A16 redirect there and back", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			back := ""
			a := w.Attacker(func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, back, http.StatusTemporaryRedirect)
			})
			w.Over(blobCalls(t), func(f *acrsuite.Fixture) {
				back = f.Srv.Endpoint() + "/v2/" + f.Name + "/blobs/" + f.Blob.String()
				f.Srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, a.URL+"/there")
				f.MustFail(f.Run())
				withoutCredential(f, a)
				signed := 0
				for _, r := range f.Srv.Ledger().Requests("GetBlob", "HeadBlob") {
					if r.Credential != acrtest.NoCredential {
						signed++
					}
				}
				// Each request to the registry with a credential was sent on once, and came back without it.
				if all := f.Srv.Ledger().Count("GetBlob", "HeadBlob"); signed == 0 || all < 2*signed {
					f.Errorf("%d of %d requests had a credential", signed, all)
				}
			})
		}
	})
}

// withoutCredential demands that requests came to the attacker, and no credential with any of them.
func withoutCredential(f *acrsuite.Fixture, a *acrsuite.Attacker) {
	f.T.Helper()
	if hits, bare := a.Hits.Swap(0), a.Bare.Swap(0); hits == 0 || bare != hits {
		f.Errorf("%d requests off the origin, %d of them bare", hits, bare)
	}
	f.Srv.Ledger().NoCredentialLeaked(f.T)
}

// serve answers with the content, as storage does.
func serve(content *[]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(*content))
	}
}

// named is a transport for which one more name leads to a listener of this machine.
func named(t *testing.T, srv *acrtest.Server, name, address string) *http.Transport {
	t.Helper()
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the attacker has a certificate of his name; ours is of another
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == name {
				addr = address
			}
			return srv.DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func forbiddenAddresses(t *testing.T) {
	forbidden := []string{
		"169.254.169.254", "168.63.129.16", "0.0.0.0", "224.0.0.1", "100.100.100.200", "255.255.255.255",
		"[fe80::1]", "[::]", "[ff02::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]",
	}
	for _, by := range acrsuite.BothWays {
		i := 0
		acrsuite.NewWorldBy(t, by).Over(blobCalls(t), func(f *acrsuite.Fixture) {
			for range 3 {
				host := forbidden[i%len(forbidden)]
				i++
				f.Srv.ClearFaults()
				f.Note = host
				f.Srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, "https://"+host+"/metadata/instance")
				f.MustFail(f.Run(), acr.ErrUntrusted)
				f.Untouched()
			}
		})
	}
	// A registry that is not of this machine may not send anyone to it: neither by address, nor by a name that resolves to it.
	w := acrsuite.NewWorld(t, acrtest.WithLoginServer("suite.azurecr.io"))
	a := w.Attacker(nil)
	tr := named(t, w.Srv, "rebind.example:443", a.Host())
	w.Transport = &http.Client{Transport: tr}
	w.Spy = nil
	w.Over(blobCalls(t), func(f *acrsuite.Fixture) {
		for _, host := range []string{"127.0.0.1", "[::1]", "localhost", "x.localhost", "rebind.example"} {
			f.Srv.ClearFaults()
			f.Note = host
			f.Srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, "https://"+host+"/")
			f.MustFail(f.Run(), acr.ErrUntrusted)
			f.Untouched(a)
		}
	})
}
