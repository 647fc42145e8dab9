package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// locatedOps are the operations whose Location says where an upload goes on.
var locatedOps = []string{"StartUpload", "UploadChunk", "GetUploadStatus"}

// TestAttacksByLink: a server's word on where the next request goes.
func TestAttacksByLink(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A11 upload at another host", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			a := w.Attacker(nil)
			located(w, func(path string) string { return a.URL + path }, []error{acr.ErrUntrusted}, a)
			located(w, func(path string) string { return "//" + a.Host() + path }, []error{acr.ErrUntrusted}, a)
		}
		t.Run("by session and chunk", func(t *testing.T) {
			t.Parallel()
			misledToHost(t)
		})
	})
	acrsuite.Row(t, "A12 upload without TLS", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		located(w, func(path string) string { return "http://" + w.Srv.Host() + path }, []error{acr.ErrUntrusted})
		plain := acrsuite.PlainAttacker(t)
		located(w, func(path string) string { return plain.URL + path }, []error{acr.ErrUntrusted}, plain)
		t.Run("by session and chunk", func(t *testing.T) {
			t.Parallel()
			misledToScheme(t)
		})
	})
	acrsuite.Row(t, "A14 upload at another path", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		for _, path := range []string{
			"/acr/v1/_catalog", "/oauth2/token", "/oauth2/exchange", "/v2/other/repository/blobs/uploads/1?_state=x", "/v2/", "/v2/SELF/manifests/v1", "/v2/SELF/blobs/uploads/",
			"/v2/SELF/blobs/uploads/../../../other/blobs/uploads/1", "/v2/SELF/blobs/uploads/%2e%2e/%2e%2e/manifests/v1", "/v2/SELF/blobs/uploads/x/%2E%2E/y",
		} {
			c := []string{"BlobWriter.Write", "Repository.ResumeUpload", "Repository.UploadBlob in chunks"}
			for _, method := range c {
				f := w.Fixture(acrsuite.CallNamed(t, method))
				f.Note = path
				misplace(f, func(string) string { return strings.ReplaceAll(path, "SELF", f.Name) }, []error{acr.ErrUntrusted})
			}
		}
		located(w, func(string) string { return "/acr/v1/_catalog" }, []error{acr.ErrUntrusted})
		t.Run("by session and chunk", func(t *testing.T) {
			t.Parallel()
			misledToPath(t)
		})
	})
	acrsuite.Row(t, "A34 absurd least size of a chunk", absurdLeast)
	acrsuite.Row(t, "A15 next page elsewhere", func(t *testing.T) {
		plain := acrsuite.PlainAttacker(t)
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			a := w.Attacker(nil)
			w.Over(acrsuite.CallsOf(acrsuite.ListCall), func(f *acrsuite.Fixture) {
				linked(f, []*acrsuite.Attacker{a, plain}, func(path string) []string {
					return []string{
						a.URL + path + "?last=x", "//" + a.Host() + path, plain.URL + path, "http://" + f.Srv.Host() + path, "https://169.254.169.254" + path,
						"/oauth2/token", "/v2/other/tags/list?last=x", "/acr/v1/other/_tags", path + "/../x", "https://" + f.Srv.StorageHost() + path,
					}
				})
			})
		}
	})
	acrsuite.Row(t, "A17 user information in a link", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		a := w.Attacker(nil)
		plain := acrsuite.PlainAttacker(t)
		userinfo := func(path string) []string {
			return []string{"https://" + w.Srv.Host() + "@" + a.Host() + path, "https://evil@" + w.Srv.Host() + path, "https://u:p@" + w.Srv.Host() + path, "http://" + w.Srv.Host() + "@" + plain.Host() + path}
		}
		w.Over(acrsuite.CallsOf(acrsuite.ListCall), func(f *acrsuite.Fixture) { linked(f, []*acrsuite.Attacker{a, plain}, userinfo) })
		for i := range userinfo("") {
			located(w, func(path string) string { return userinfo(path)[i] }, []error{acr.ErrUntrusted}, a, plain)
		}
		w.Over(blobCalls(t), func(f *acrsuite.Fixture) {
			for _, target := range userinfo("/blob") {
				f.Srv.ClearFaults()
				f.Srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, target)
				f.MustFail(f.Run(), acr.ErrUntrusted)
				f.Untouched(a, plain)
			}
		})
	})
}

// located rewrites the locations that every upload is given.
func located(w *acrsuite.World, rewrite func(path string) string, want []error, attackers ...*acrsuite.Attacker) {
	w.Over(acrsuite.CallsOf(acrsuite.UploadCall), func(f *acrsuite.Fixture) { misplace(f, rewrite, want, attackers...) })
	// A mount that the registry declines leaves a session, which the client ends.
	f := w.Fixture(acrsuite.CallNamed(w.T, "Repository.MountBlob"))
	f.Source = "no/such"
	f.Srv.On("StartUpload").Always().RewriteHeader("Location", rewrite)
	f.MustFail(f.Run(), append(want, acr.ErrNotMounted)...)
	f.Untouched(attackers...)
	// So may a checkpoint that somebody has meddled with.
	f = w.Fixture(acrsuite.CallNamed(w.T, "Repository.ResumeUpload"))
	f.Checkpoint.Location = rewrite(strings.TrimPrefix(f.Checkpoint.Location, f.Srv.Endpoint()))
	f.MustFail(f.Run(), want...)
	f.Untouched(attackers...)
	f.AtMost(0, "GetUploadStatus")
}

// misplace rewrites the locations of one call's upload.
func misplace(f *acrsuite.Fixture, rewrite func(path string) string, want []error, attackers ...*acrsuite.Attacker) {
	given := map[string]bool{}
	f.Srv.On(locatedOps...).Always().RewriteHeader("Location", func(l string) string {
		path := strings.TrimPrefix(l, f.Srv.Endpoint())
		given[strings.SplitN(rewrite(path), "?", 2)[0]] = true
		return rewrite(path)
	})
	switch err := f.Run(); f.Call.Method {
	case "Repository.UploadBlob", "Repository.MountBlob": // one request, of which the location is of no use
		f.MustWork(err)
	default:
		f.MustFail(err, want...)
	}
	f.Untouched(attackers...)
	f.AtMost(0, "UploadChunk", "CompleteUpload")
	f.Srv.Ledger().None(f.T, func(r acrtest.Request) bool { return given[r.Path] && r.Method != http.MethodPost })
}

// linked puts each of the links on the first page of the fixture's list.
func linked(f *acrsuite.Fixture, attackers []*acrsuite.Attacker, links func(path string) []string) {
	f.MustWork(f.Run())
	all := f.Srv.Ledger().Requests(f.Call.Op)
	if len(all) == 0 {
		return
	}
	for _, next := range links(all[0].Path) {
		f.Note = next
		f.Srv.ClearFaults()
		f.Srv.Ledger().Reset()
		f.Srv.On(f.Call.Op).Always().Link(next)
		f.MustFail(f.Run(), acr.ErrUntrusted)
		f.AtMost(1, f.Call.Op)
		f.AtMost(0, acrsuite.TokenOperations...)
		f.Untouched(attackers...)
	}
}
