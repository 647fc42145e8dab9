package attack_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// misledToHost: locations at other hosts.
func misledToHost(t *testing.T) {
	misled(t, func(u *acrsuite.Upload, a *acrsuite.Attacker, location string) []string {
		return []string{
			a.URL + location,
			a.ByAddress() + location,
			"//" + a.Host() + location,
			"https://127.0.0.1.attacker.example" + location,
			"https://127.0.0.1" + location, // the default port
			"https://" + u.Srv.StorageHost() + location,
		}
	})
}

// misledToScheme: locations without TLS.
func misledToScheme(t *testing.T) {
	misled(t, func(u *acrsuite.Upload, _ *acrsuite.Attacker, location string) []string {
		return []string{
			"http://" + u.Srv.Host() + location, "HTTP://" + u.Srv.Host() + location, "ftp://" + u.Srv.Host() + location,
		}
	})
}

// misledToPath: locations at other paths of the registry.
func misledToPath(t *testing.T) {
	misled(t, func(u *acrsuite.Upload, _ *acrsuite.Attacker, location string) []string {
		session := location[len("/v2/"+u.Name):]
		return []string{
			"/oauth2/token",
			"/acr/v1/" + u.Name,
			"/v2/" + source1(u) + session,
			"/v2/" + u.Name + "/../" + source1(u) + session,
			"/v2/" + u.Name + "/manifests/latest",
			"/v2/" + u.Name + "/blobs/uploads/",
			"/v2/" + u.Name + "/blobs/uploads/../../manifests/latest",
			"/v2/" + u.Name + "/blobs/uploads/%2e%2e/%2e%2e/manifests/latest",
			"/v2/" + u.Name + "/blobs/uploads/..%2f..%2fmanifests/latest",
			"/",
		}
	})
}

// absurdLeast: chunks of an absurd least size.
func absurdLeast(t *testing.T) {
	for _, least := range []string{
		"9000000000000000000", "-1", "99999999999999999999999", "0", "x", "-9223372036854775808",
	} {
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Note = least
			u.Srv.On("StartUpload").Header("OCI-Chunk-Min-Length", least)
			u.Srv.On("UploadChunk").Always().Header("OCI-Chunk-Min-Length", least)
			u.Arrives()
			u.ResentAtMost(0)
		})
	}
	acrsuite.Uploads(t, []string{acrsuite.AsReader}, func(u *acrsuite.Upload) {
		u.Tune = nil
		u.Fill(64<<20 + 5<<20)
		u.Srv.On("StartUpload").Header("OCI-Chunk-Min-Length", "9000000000000000000")
		u.Arrives()
		for _, q := range u.Srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
			if q.BytesIn > 64<<20 {
				u.Errorf("a chunk of %d bytes", q.BytesIn)
			}
		}
	})
}

// source1 is the other repository.
func source1(u *acrsuite.Upload) string { return u.Fixture.Source }

// misled replies to the start and to chunks with bad locations, and demands that nothing is sent there: no request, no byte.
func misled(t *testing.T, locations func(u *acrsuite.Upload, a *acrsuite.Attacker, location string) []string) {
	t.Helper()
	const honest = "/v2/x/blobs/uploads/0"
	count := 0
	acrsuite.Uploads(t, acrsuite.OnePerKind[:1], func(u *acrsuite.Upload) { count = len(locations(u, u.Attacker(nil), "/v2/"+u.Name+honest[5:])) })
	for n := range count {
		for _, op := range []string{"StartUpload", "UploadChunk"} {
			hows := acrsuite.OnePerKind
			if op != "StartUpload" {
				hows = hows[:2]
			}
			acrsuite.Uploads(t, hows, func(u *acrsuite.Upload) {
				a := u.Attacker(nil)
				u.Srv.On(op).RewriteHeader("Location", func(l string) string {
					bad := locations(u, a, l)[n]
					u.Note = op + " to " + bad
					return bad
				})
				u.Lost = 1 // nobody knows where it is
				u.Fails(acr.ErrUntrusted)
				if op == "StartUpload" {
					u.Count(0, "UploadChunk")
				} else {
					u.Count(1, "UploadChunk")
				}
				u.Count(0, "CompleteUpload")
				unseen(u, a)
			})
		}
	}
}

// unseen demands that the attacker saw nothing, and that no credential went astray.
func unseen(u *acrsuite.Upload, a *acrsuite.Attacker) {
	u.T.Helper()
	if n := a.Hits.Load(); n > 0 {
		u.Errorf("%d requests came to the attacker", n)
	}
	if s := u.Strangers(); len(s) > 0 {
		u.Errorf("sent to strangers: %v", s)
	}
	u.Srv.Ledger().NoCredentialLeaked(u.T)
}

func redirectedChunk(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, op := range []string{"StartUpload", "UploadChunk", "CompleteUpload", "GetUploadStatus"} {
			for _, home := range []bool{false, true} { // to the registry itself too
				hows := acrsuite.OnePerKind
				if status != http.StatusTemporaryRedirect || home {
					hows = hows[:1]
				}
				acrsuite.Uploads(t, hows, func(u *acrsuite.Upload) {
					u.Note = fmt.Sprintf("%d of %s", status, op)
					a := u.Attacker(nil)
					target := a.URL + "/elsewhere"
					if home {
						target = u.Srv.Endpoint() + "/v2/" + u.Name + "/blobs/uploads/elsewhere"
					}
					if op == "GetUploadStatus" {
						u.Srv.On("UploadChunk").Do(acrsuite.Forget(0))
					}
					u.Srv.On(op).Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
						_, _ = io.Copy(io.Discard, r.Body) // as if it were taken
						w.Header().Set("Location", target)
						w.WriteHeader(status)
					})
					u.Fails(acr.ErrUntrusted)
					u.Count(1, op)
					unseen(u, a)
					for _, q := range u.Srv.Ledger().Requests() {
						if q.Operation == "" || q.Reference == "elsewhere" {
							u.Errorf("followed: %s", q)
						}
					}
				})
			}
		}
	}
	acrsuite.Uploads(t, acrsuite.OnePerKind, func(u *acrsuite.Upload) { // of a blob that goes with the first request
		u.Tune = nil
		a := u.Attacker(nil)
		u.Srv.On("StartUpload").Redirect(307, a.URL+"/elsewhere")
		u.Fails(acr.ErrUntrusted)
		u.Count(1, "StartUpload")
		unseen(u, a)
	})
}
