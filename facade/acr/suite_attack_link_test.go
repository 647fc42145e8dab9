package acr_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("A11", "A12", "A14", "A15", "A17")

// locatedOps are the operations whose Location says where an upload goes on.
var locatedOps = []string{"StartUpload", "UploadChunk", "GetUploadStatus"}

// TestAttacksByLink: a server's word on where the next request goes.
func TestAttacksByLink(t *testing.T) {
	t.Parallel()
	row(t, "A11 upload at another host", refused, func(t *testing.T) {
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			a := w.attacker(nil)
			located(w, func(path string) string { return a.url + path }, []error{acr.ErrUntrusted}, a)
			located(w, func(path string) string { return "//" + a.host() + path }, []error{acr.ErrUntrusted}, a)
		}
	})
	row(t, "A12 upload without TLS", refused, func(t *testing.T) {
		w := newWorld(t)
		located(w, func(path string) string { return "http://" + w.srv.Host() + path }, []error{acr.ErrUntrusted})
		plain := plainAttacker(t)
		located(w, func(path string) string { return plain.url + path }, []error{acr.ErrUntrusted}, plain)
	})
	row(t, "A14 upload at another path", refused, func(t *testing.T) {
		w := newWorld(t)
		for _, path := range []string{
			"/acr/v1/_catalog", "/oauth2/token", "/oauth2/exchange", "/v2/other/repository/blobs/uploads/1?_state=x", "/v2/", "/v2/SELF/manifests/v1", "/v2/SELF/blobs/uploads/",
			"/v2/SELF/blobs/uploads/../../../other/blobs/uploads/1", "/v2/SELF/blobs/uploads/%2e%2e/%2e%2e/manifests/v1", "/v2/SELF/blobs/uploads/x/%2E%2E/y",
		} {
			c := []string{"BlobWriter.Write", "Repository.ResumeUpload", "Repository.UploadBlob in chunks"}
			for _, method := range c {
				f := w.fixture(callNamed(t, method))
				f.note = path
				misplace(f, func(string) string { return strings.ReplaceAll(path, "SELF", f.name) }, []error{acr.ErrUntrusted})
			}
		}
		located(w, func(string) string { return "/acr/v1/_catalog" }, []error{acr.ErrUntrusted})
	})
	row(t, "A15 next page elsewhere", refused, func(t *testing.T) {
		plain := plainAttacker(t)
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			a := w.attacker(nil)
			w.over(callsOf(listCall), func(f *fixture) {
				linked(f, []*attacker{a, plain}, func(path string) []string {
					return []string{
						a.url + path + "?last=x", "//" + a.host() + path, plain.url + path, "http://" + f.srv.Host() + path, "https://169.254.169.254" + path,
						"/oauth2/token", "/v2/other/tags/list?last=x", "/acr/v1/other/_tags", path + "/../x", "https://" + f.srv.StorageHost() + path,
					}
				})
			})
		}
	})
	row(t, "A17 user information in a link", refused, func(t *testing.T) {
		w := newWorld(t)
		a := w.attacker(nil)
		plain := plainAttacker(t)
		userinfo := func(path string) []string {
			return []string{"https://" + w.srv.Host() + "@" + a.host() + path, "https://evil@" + w.srv.Host() + path, "https://u:p@" + w.srv.Host() + path, "http://" + w.srv.Host() + "@" + plain.host() + path}
		}
		w.over(callsOf(listCall), func(f *fixture) { linked(f, []*attacker{a, plain}, userinfo) })
		for i := range userinfo("") {
			located(w, func(path string) string { return userinfo(path)[i] }, []error{acr.ErrUntrusted}, a, plain)
		}
		w.over(blobCalls(t), func(f *fixture) {
			for _, target := range userinfo("/blob") {
				f.srv.ClearFaults()
				f.srv.On("GetBlob", "HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, target)
				f.mustFail(f.run(), acr.ErrUntrusted)
				f.untouched(a, plain)
			}
		})
	})
}

// located rewrites the locations that every upload is given.
func located(w *world, rewrite func(path string) string, want []error, attackers ...*attacker) {
	w.over(callsOf(uploadCall), func(f *fixture) { misplace(f, rewrite, want, attackers...) })
	// A mount that the registry declines leaves a session, which the client ends.
	f := w.fixture(callNamed(w.t, "Repository.MountBlob"))
	f.source = "no/such"
	f.srv.On("StartUpload").Always().RewriteHeader("Location", rewrite)
	f.mustFail(f.run(), append(want, acr.ErrNotMounted)...)
	f.untouched(attackers...)
	// So may a checkpoint that somebody has meddled with.
	f = w.fixture(callNamed(w.t, "Repository.ResumeUpload"))
	f.checkpoint.Location = rewrite(strings.TrimPrefix(f.checkpoint.Location, f.srv.Endpoint()))
	f.mustFail(f.run(), want...)
	f.untouched(attackers...)
	f.atMost(0, "GetUploadStatus")
}

// misplace rewrites the locations of one call's upload.
func misplace(f *fixture, rewrite func(path string) string, want []error, attackers ...*attacker) {
	given := map[string]bool{}
	f.srv.On(locatedOps...).Always().RewriteHeader("Location", func(l string) string {
		path := strings.TrimPrefix(l, f.srv.Endpoint())
		given[strings.SplitN(rewrite(path), "?", 2)[0]] = true
		return rewrite(path)
	})
	switch err := f.run(); f.call.method {
	case "Repository.UploadBlob", "Repository.MountBlob": // one request, of which the location is of no use
		f.mustWork(err)
	default:
		f.mustFail(err, want...)
	}
	f.untouched(attackers...)
	f.atMost(0, "UploadChunk", "CompleteUpload")
	f.srv.Ledger().None(f.t, func(r acrtest.Request) bool { return given[r.Path] && r.Method != http.MethodPost })
}

// linked puts each of the links on the first page of the fixture's list.
func linked(f *fixture, attackers []*attacker, links func(path string) []string) {
	f.mustWork(f.run())
	all := f.srv.Ledger().Requests(f.call.op)
	if len(all) == 0 {
		return
	}
	for _, next := range links(all[0].Path) {
		f.note = next
		f.srv.ClearFaults()
		f.srv.Ledger().Reset()
		f.srv.On(f.call.op).Always().Link(next)
		f.mustFail(f.run(), acr.ErrUntrusted)
		f.atMost(1, f.call.op)
		f.atMost(0, tokenOperations...)
		f.untouched(attackers...)
	}
}
