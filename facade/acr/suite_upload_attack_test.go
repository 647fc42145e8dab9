package acr_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

var _ = expect("A11", "A12", "A13", "A14", "A34")

// TestSuiteUploadAttack: a registry that wants chunks elsewhere, or of an absurd size.
func TestSuiteUploadAttack(t *testing.T) {
	t.Parallel()
	row(t, "A11 Location at another host", refused, func(t *testing.T) {
		misled(t, acr.ErrUntrusted, func(u *upload, a *attacker, location string) []string {
			return []string{
				a.url + location,
				a.byAddress() + location,
				"//" + a.host() + location,
				"https://127.0.0.1.attacker.example" + location,
				"https://127.0.0.1" + location, // the default port
				"https://" + u.srv.StorageHost() + location,
			}
		})
	})
	row(t, "A12 Location without TLS", refused, func(t *testing.T) {
		misled(t, acr.ErrUntrusted, func(u *upload, _ *attacker, location string) []string {
			return []string{"http://" + u.srv.Host() + location, "HTTP://" + u.srv.Host() + location, "ftp://" + u.srv.Host() + location}
		})
	})
	row(t, "A13 redirect of a chunk", refused, testRedirectedChunk)
	row(t, "A14 Location at another path", refused, func(t *testing.T) {
		misled(t, acr.ErrUntrusted, func(u *upload, _ *attacker, location string) []string {
			session := location[len("/v2/"+u.name):]
			return []string{
				"/oauth2/token",
				"/acr/v1/" + u.name,
				"/v2/" + u.source1() + session,
				"/v2/" + u.name + "/../" + u.source1() + session,
				"/v2/" + u.name + "/manifests/latest",
				"/v2/" + u.name + "/blobs/uploads/",
				"/v2/" + u.name + "/blobs/uploads/../../manifests/latest",
				"/v2/" + u.name + "/blobs/uploads/%2e%2e/%2e%2e/manifests/latest",
				"/v2/" + u.name + "/blobs/uploads/..%2f..%2fmanifests/latest",
				"/",
			}
		})
	})
	row(t, "A34 absurd least size of a chunk", refused, func(t *testing.T) {
		for _, least := range []string{"9000000000000000000", "-1", "99999999999999999999999", "0", "x", "-9223372036854775808"} {
			uploads(t, everySource, func(u *upload) {
				u.note = least
				u.srv.On("StartUpload").Header("OCI-Chunk-Min-Length", least)
				u.srv.On("UploadChunk").Always().Header("OCI-Chunk-Min-Length", least)
				u.arrives()
				u.resentAtMost(0)
			})
		}
		uploads(t, []string{asReader}, func(u *upload) {
			u.tune = nil
			u.want = make([]byte, 64<<20+5<<20)
			u.dgst = digest.FromBytes(u.want)
			u.srv.On("StartUpload").Header("OCI-Chunk-Min-Length", "9000000000000000000")
			u.arrives()
			for _, q := range u.srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
				if q.BytesIn > 64<<20 {
					u.errorf("a chunk of %d bytes", q.BytesIn)
				}
			}
		})
	})
}

// source1 is the other repository.
func (u *upload) source1() string { return u.fixture.source }

// misled replies to the start and to chunks with bad locations, and demands that nothing is sent there: no request, no byte.
func misled(t *testing.T, want error, locations func(u *upload, a *attacker, location string) []string) {
	t.Helper()
	const honest = "/v2/x/blobs/uploads/0"
	count := 0
	uploads(t, onePerKind[:1], func(u *upload) { count = len(locations(u, u.attacker(nil), "/v2/"+u.name+honest[5:])) })
	for n := range count {
		for _, op := range []string{"StartUpload", "UploadChunk"} {
			hows := onePerKind
			if op != "StartUpload" {
				hows = hows[:2]
			}
			uploads(t, hows, func(u *upload) {
				a := u.attacker(nil)
				u.srv.On(op).RewriteHeader("Location", func(l string) string {
					bad := locations(u, a, l)[n]
					u.note = op + " to " + bad
					return bad
				})
				u.lost = 1 // nobody knows where it is
				u.fails(want)
				if op == "StartUpload" {
					u.count(0, "UploadChunk")
				} else {
					u.count(1, "UploadChunk")
				}
				u.count(0, "CompleteUpload")
				u.unseen(a)
			})
		}
	}
}

// unseen demands that the attacker saw nothing, and that no credential went astray.
func (u *upload) unseen(a *attacker) {
	u.t.Helper()
	if n := a.hits.Load(); n > 0 {
		u.errorf("%d requests came to the attacker", n)
	}
	if s := u.strangers(); len(s) > 0 {
		u.errorf("sent to strangers: %v", s)
	}
	u.srv.Ledger().NoCredentialLeaked(u.t)
}

func testRedirectedChunk(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, op := range []string{"StartUpload", "UploadChunk", "CompleteUpload", "GetUploadStatus"} {
			for _, home := range []bool{false, true} { // to the registry itself too
				hows := onePerKind
				if status != http.StatusTemporaryRedirect || home {
					hows = hows[:1]
				}
				uploads(t, hows, func(u *upload) {
					u.note = fmt.Sprintf("%d of %s", status, op)
					a := u.attacker(nil)
					target := a.url + "/elsewhere"
					if home {
						target = u.srv.Endpoint() + "/v2/" + u.name + "/blobs/uploads/elsewhere"
					}
					if op == "GetUploadStatus" {
						u.srv.On("UploadChunk").Do(forget(0))
					}
					u.srv.On(op).Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
						_, _ = io.Copy(io.Discard, r.Body) // as if it were taken
						w.Header().Set("Location", target)
						w.WriteHeader(status)
					})
					u.fails(acr.ErrUntrusted)
					u.count(1, op)
					u.unseen(a)
					for _, q := range u.srv.Ledger().Requests() {
						if q.Operation == "" || q.Reference == "elsewhere" {
							u.errorf("followed: %s", q)
						}
					}
				})
			}
		}
	}
	uploads(t, onePerKind, func(u *upload) { // of a blob that goes with the first request
		u.tune = nil
		a := u.attacker(nil)
		u.srv.On("StartUpload").Redirect(307, a.url+"/elsewhere")
		u.fails(acr.ErrUntrusted)
		u.count(1, "StartUpload")
		u.unseen(a)
	})
}
