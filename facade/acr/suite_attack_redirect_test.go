package acr_test

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
)

var _ = expect("A05", "A06", "A07", "A08", "A13", "A16")

// blobCalls are those that a redirect may lead to storage.
func blobCalls(t *testing.T) []call {
	t.Helper()
	return append(callsOf(downloadCall), callNamed(t, "Repository.StatBlob"))
}

// TestAttacksByRedirect: where requests with a credential, or with content, may be sent on to.
func TestAttacksByRedirect(t *testing.T) {
	t.Parallel()
	row(t, "A05 blob at a subdomain of the registry", refused, func(t *testing.T) {
		for _, strict := range []bool{false, true} {
			w := newWorld(t, acrtest.WithLoginServer("suite.azurecr.io"))
			var content []byte
			evil := w.attacker(serve(&content))
			w.use(named(t, w.srv, "evil.suite.azurecr.io:443", evil.host()))
			w.options = []option{func(o *acr.ClientOptions) { o.StrictStorage = strict }}
			w.over(blobCalls(t), func(f *fixture) {
				content = f.content
				f.srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, "https://evil.suite.azurecr.io/blob")
				err := f.run()
				if strict {
					f.mustFail(err, acr.ErrUntrusted)
					f.untouched(evil)
					return
				}
				f.mustWork(err)
				withoutCredential(f, evil)
			})
		}
	})
	row(t, "A06 blob at another port of the registry", refused, func(t *testing.T) {
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			var content []byte
			a := w.attacker(serve(&content))
			w.over(blobCalls(t), func(f *fixture) {
				content = f.content
				f.srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, a.byAddress()+"/blob")
				f.mustWork(f.run())
				withoutCredential(f, a)
			})
		}
	})
	row(t, "A07 blob without TLS", refused, func(t *testing.T) {
		plain := plainAttacker(t)
		for _, by := range bothWays {
			newWorldBy(t, by).over(blobCalls(t), func(f *fixture) {
				for _, target := range []string{plain.url + "/blob", "http://" + f.srv.Host() + "/blob", "http://" + f.srv.StorageHost() + "/blob"} {
					f.srv.ClearFaults()
					f.srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, target)
					f.mustFail(f.run(), acr.ErrUntrusted)
					f.untouched(plain)
				}
			})
		}
	})
	row(t, "A08 blob at an address of the machine", refused, forbiddenAddresses)
	row(t, "A13 redirect of content", refused, func(t *testing.T) {
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			a := w.attacker(nil)
			w.over(callsOf(writeCall, deleteCall, uploadCall), func(f *fixture) {
				for i, target := range []string{a.url + "/x", "/v2/" + f.name + "/elsewhere"} {
					if i > 0 {
						f = f.fixture(f.call)
					}
					f.note = target
					f.srv.On(f.call.op).Always().Redirect(http.StatusTemporaryRedirect+i, target)
					if err := f.run(); f.call.op == "CancelUpload" {
						f.mustWork(err) // it does what it can, and has nothing to tell
					} else {
						f.mustFail(err, acr.ErrUntrusted)
					}
					f.atMost(1, f.call.op)
					f.untouched(a)
					f.srv.Ledger().None(t, func(r acrtest.Request) bool { return strings.HasSuffix(r.Path, "/elsewhere") })
				}
			})
		}
	})
	row(t, "A16 redirect there and back", refused, func(t *testing.T) {
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			back := ""
			a := w.attacker(func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, back, http.StatusTemporaryRedirect)
			})
			w.over(blobCalls(t), func(f *fixture) {
				back = f.srv.Endpoint() + "/v2/" + f.name + "/blobs/" + f.blob.String()
				f.srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, a.url+"/there")
				f.mustFail(f.run())
				withoutCredential(f, a)
				signed := 0
				for _, r := range f.srv.Ledger().Requests("GetBlob", "HeadBlob") {
					if r.Credential != acrtest.NoCredential {
						signed++
					}
				}
				// Each request to the registry with a credential was sent on once, and came back without it.
				if all := f.srv.Ledger().Count("GetBlob", "HeadBlob"); signed == 0 || all < 2*signed {
					f.errorf("%d of %d requests had a credential", signed, all)
				}
			})
		}
	})
}

// withoutCredential demands that requests came to the attacker, and no credential with any of them.
func withoutCredential(f *fixture, a *attacker) {
	f.t.Helper()
	if hits, bare := a.hits.Swap(0), a.bare.Swap(0); hits == 0 || bare != hits {
		f.errorf("%d requests off the origin, %d of them bare", hits, bare)
	}
	f.srv.Ledger().NoCredentialLeaked(f.t)
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
	for _, by := range bothWays {
		i := 0
		newWorldBy(t, by).over(blobCalls(t), func(f *fixture) {
			for range 3 {
				host := forbidden[i%len(forbidden)]
				i++
				f.srv.ClearFaults()
				f.note = host
				f.srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, "https://"+host+"/metadata/instance")
				f.mustFail(f.run(), acr.ErrUntrusted)
				f.untouched()
			}
		})
	}
	// A registry that is not of this machine may not send anyone to it: neither by address, nor by a name that resolves to it.
	w := newWorld(t, acrtest.WithLoginServer("suite.azurecr.io"))
	a := w.attacker(nil)
	tr := named(t, w.srv, "rebind.example:443", a.host())
	w.transport = &http.Client{Transport: tr}
	w.spy = nil
	w.over(blobCalls(t), func(f *fixture) {
		for _, host := range []string{"127.0.0.1", "[::1]", "localhost", "x.localhost", "rebind.example"} {
			f.srv.ClearFaults()
			f.note = host
			f.srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, "https://"+host+"/")
			f.mustFail(f.run(), acr.ErrUntrusted)
			f.untouched(a)
		}
	})
}
