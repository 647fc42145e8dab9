package acr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

var _ = expect("A41", "A44", "A59")

// evilNames are no names of repositories.
var evilNames = []string{
	"", ".", "..", "a/../b", "a/./b", "a//b", "/a", "a/", "%2e", "%2e%2e", "a%2fb", "a?b", "a#b", "A", "é", strings.Repeat("a", 300), "a\nb", "a\r\nX: y", "a\x00b", "@evil/x",
	"a@b", "a:b", "https://evil/x", `a\b`, "a b", "-a", "a-", "_a", "a..b", "a;b", "a&b", "..%2f..", "\u202ea",
}

// evilReferences are neither tags nor digests.
var evilReferences = []string{
	".", "..", "", "a/b", "../v1", "%2e%2e", "a?b", "a#b", "-a", ".a", strings.Repeat("a", 129), "a\nb", "v1\r\nX: y", "a\x00b", "é", "a b", "@v1", "sha256:", "sha256:../../x", "sha256:" + strings.Repeat("A", 64),
	"sha256:" + strings.Repeat("a", 63), "sha1:" + strings.Repeat("a", 40), "md5:" + strings.Repeat("a", 32), "sha512:" + strings.Repeat("a", 64), ":" + strings.Repeat("a", 64), "sha256:" + strings.Repeat("a", 64) + "/..",
}

// evilDigests are no digests.
var evilDigests = append([]string{"v1", "latest", strings.Repeat("a", 64)}, evilReferences...)

// TestAttacksByArgument: names, tags, digests and credentials that come from elsewhere and would mean something else on the wire. Nothing
// is sent for them.
func TestAttacksByArgument(t *testing.T) {
	t.Parallel()
	row(t, "A41 dots for a tag, digest or repository", refused, func(t *testing.T) {
		w := newWorld(t)
		bad(w, "tag", evilReferences, func(f *fixture, s string) { f.tag = s })
		bad(w, "digest", evilDigests, func(f *fixture, s string) {
			f.image, f.blob, f.loose, f.fresh, f.deleted = digest.Digest(s), digest.Digest(s), digest.Digest(s), digest.Digest(s), digest.Digest(s)
		})
	})
	row(t, "A59 names of repositories", refused, func(t *testing.T) {
		w := newWorld(t)
		bad(w, "name", evilNames, func(f *fixture, s string) { f.name = s })
		bad(w, "from", evilNames, func(f *fixture, s string) { f.source = s })
		f := w.fixture(callNamed(t, "Repository.UploadBlob"))
		for _, name := range evilNames {
			_, err := f.repository().UploadBlob(f.ctx, strings.NewReader("x"), &acr.UploadOptions{Digest: digest.FromString("x"), MountFrom: []string{name}})
			f.mustFail(err, acr.ErrInvalidName)
		}
		f.untouched()
		if n := f.srv.Ledger().Count(); n != 0 {
			f.errorf("%d requests were sent", n)
		}
	})
	row(t, "A44 line breaks in tokens, scopes, locations and tags", refused, func(t *testing.T) {
		w := newWorld(t)
		for _, broken := range []string{`ab\r\nX-Evil: 1`, `ab\ncd`, `ab\u0000cd`, `ab cd`, `ab\u007f`, `é`} {
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.note = broken
			f.srv.On("GetAccessToken").Always().ReplyBody(`{"access_token":"` + broken + `"}`)
			f.mustFail(f.run(), acr.ErrBadTokenReply)
			f.atMost(0, "GetManifest")
			f = w.fixture(callNamed(t, "Client.Login"))
			f.srv.On("ExchangeEntraToken").Always().ReplyBody(`{"refresh_token":"` + broken + `"}`)
			f.mustFail(f.run(), acr.ErrBadTokenReply)
		}
		for _, broken := range []string{"a\r\nb", "a\nb", "a\x00b"} {
			if _, err := acr.NewClientWithPassword("registry.azurecr.io", "user", broken, nil); err == nil {
				t.Errorf("password %q was taken", broken)
			}
			if _, err := acr.NewClientWithPassword("registry.azurecr.io", broken, "password", nil); err == nil {
				t.Errorf("user name %q was taken", broken)
			}
			if _, err := acr.NewClientWithRefreshToken("registry.azurecr.io", broken, nil); err == nil {
				t.Errorf("refresh token %q was taken", broken)
			}
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			c, err := acr.NewClient(f.srv.Endpoint(), fixedToken(broken), f.clientOptions())
			if err != nil {
				t.Fatal(err)
			}
			f.client = c
			if err := f.run(); err == nil {
				f.errorf("an Entra token %q was taken", broken)
			}
			if n := f.srv.Ledger().Count(); n != 0 {
				f.errorf("%d requests were sent", n)
			}
		}
		// A server's header with a NUL or a lone CR ends the exchange; net/http refuses it.
		w.unheld = true
		for _, header := range []string{"Location: /v2/a/blobs/uploads/x\x00y", "Location: /v2/a/blobs/uploads/x\ry", "WWW-Authenticate: Bearer scope=\"a\x00b\""} {
			f := w.fixture(callNamed(t, "BlobWriter.Write"))
			f.options = []option{once}
			f.client = f.newClient()
			f.srv.On("StartUpload").Always().Raw("HTTP/1.1 202 Accepted\r\n" + header + "\r\nContent-Length: 0\r\n\r\n")
			if err := f.run(); err == nil {
				f.errorf("%q was taken", header)
			}
			f.atMost(0, "UploadChunk", "CompleteUpload")
			f.untouched()
		}
	})
}

// bad makes each call that takes the argument with each of the values.
func bad(w *world, argument string, values []string, set func(f *fixture, value string)) {
	w.over(callsOf(), func(f *fixture) {
		if !f.call.has(argument) {
			return
		}
		for _, v := range values {
			if v == "" && argument != "name" && f.call.method == "Repository.PutManifest" {
				continue // the digest is computed then
			}
			if v == "" && f.call.kind == examineCall {
				continue // those steps are left out then
			}
			f.note = argument + " " + v[:min(len(v), 20)]
			g := *f
			set(&g, v)
			err := g.run()
			if e, ok := errors.AsType[*acr.ArgumentError](err); !ok || !printableLine(e.Error()) {
				f.errorf("%v", err)
			}
			if n := f.srv.Ledger().Count(); n != 0 {
				f.errorf("%d requests were sent", n)
				f.srv.Ledger().Reset()
			}
		}
	})
}

// printableLine tells whether a text is one line without control and bidirectional characters.
func printableLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x200e && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	})
}
