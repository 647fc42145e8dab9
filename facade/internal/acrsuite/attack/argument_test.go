package attack_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// evilNames are no names of repositories.
var evilNames = []string{
	"", ".", "..", "a/../b", "a/./b", "a//b", "/a", "a/", "%2e", "%2e%2e", "a%2fb", "a?b", "a#b", "A", "é", strings.Repeat("a", 300), "a\nb", "a\r\nX: y", "a\x00b", "@evil/x",
	"a@b", "a:b", "https://evil/x", `a\b`, "a b", "-a", "a-", "_a", "a..b", "a;b", "a&b", "..%2f..", "\u202ea",
	"a___b", "_catalog", "a/_tags", "http://x",
}

// evilReferences are neither tags nor digests.
var evilReferences = []string{
	".", "..", "", "a/b", "../v1", "%2e%2e", "a?b", "a#b", "-a", ".a", strings.Repeat("a", 129), "a\nb", "v1\r\nX: y", "a\x00b", "é", "a b", "@v1", "sha256:", "sha256:../../x", "sha256:" + strings.Repeat("A", 64),
	"sha256:" + strings.Repeat("a", 63), "sha1:" + strings.Repeat("a", 40), "md5:" + strings.Repeat("a", 32), "sha512:" + strings.Repeat("a", 64), ":" + strings.Repeat("a", 64), "sha256:" + strings.Repeat("a", 64) + "/..",
	"sha256:" + strings.Repeat("a", 65), "SHA256:" + strings.Repeat("a", 64), "sha384:" + strings.Repeat("a", 96),
}

// evilDigests are no digests.
var evilDigests = append([]string{"v1", "latest", strings.Repeat("a", 64)}, evilReferences...)

// TestAttacksByArgument: names, tags, digests and credentials that come from elsewhere and would mean something else on the wire. Nothing
// is sent for them.
func TestAttacksByArgument(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A41 dots for a tag, digest or repository", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		bad(w, "tag", evilReferences, func(f *acrsuite.Fixture, s string) { f.Tag = s })
		bad(w, "digest", evilDigests, func(f *acrsuite.Fixture, s string) {
			f.Image, f.Blob, f.Loose, f.Fresh, f.Deleted = digest.Digest(s), digest.Digest(s), digest.Digest(s), digest.Digest(s), digest.Digest(s)
		})
	})
	acrsuite.Row(t, "A59 names of repositories", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		bad(w, "name", evilNames, func(f *acrsuite.Fixture, s string) { f.Name = s })
		bad(w, "from", evilNames, func(f *acrsuite.Fixture, s string) { f.Source = s })
		f := w.Fixture(acrsuite.CallNamed(t, "Repository.UploadBlob"))
		for _, name := range evilNames {
			_, err := f.Repository().UploadBlob(f.Ctx, strings.NewReader("x"), &acr.UploadOptions{Digest: digest.FromString("x"), MountFrom: []string{name}})
			f.MustFail(err, acr.ErrInvalidArgument)
		}
		f.Untouched()
		if n := f.Srv.Ledger().Count(); n != 0 {
			f.Errorf("%d requests were sent", n)
		}
	})
	acrsuite.Row(t, "F91 no context", func(t *testing.T) {
		acrsuite.NewWorld(t).Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
			if f.Call.Op == "CancelUpload" {
				return // of a writer, which has the context that it was opened with
			}
			f.MustFail(f.RunWith(nil), acr.ErrInvalidArgument) //nolint:staticcheck // as somebody may do
			if n := len(f.Sent()); n != 0 {
				f.Errorf("%d requests were sent", n)
			}
		})
	})
	acrsuite.Row(t, "A44 line breaks in tokens, scopes, locations and tags", func(t *testing.T) {
		w := acrsuite.NewWorld(t)
		for _, broken := range []string{`ab\r\nX-Evil: 1`, `ab\ncd`, `ab\u0000cd`, `ab cd`, `ab\u007f`, `é`} {
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Note = broken
			f.Srv.On("GetAccessToken").Always().ReplyBody(`{"access_token":"` + broken + `"}`)
			f.MustFail(f.Run(), acr.ErrBadTokenReply)
			f.AtMost(0, "GetManifest")
			f = w.Fixture(acrsuite.CallNamed(t, "Client.Login"))
			f.Srv.On("ExchangeEntraToken").Always().ReplyBody(`{"refresh_token":"` + broken + `"}`)
			f.MustFail(f.Run(), acr.ErrBadTokenReply)
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
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			c, err := acr.NewClient(f.Srv.Endpoint(), fixedToken(broken), f.ClientOptions())
			if err != nil {
				t.Fatal(err)
			}
			f.Client = c
			if err := f.Run(); err == nil {
				f.Errorf("an Entra token %q was taken", broken)
			}
			if n := f.Srv.Ledger().Count(); n != 0 {
				f.Errorf("%d requests were sent", n)
			}
		}
		// A server's header with a NUL or a lone CR ends the exchange; net/http refuses it.
		w.Unheld = true
		for _, header := range []string{"Location: /v2/a/blobs/uploads/x\x00y", "Location: /v2/a/blobs/uploads/x\ry", "WWW-Authenticate: Bearer scope=\"a\x00b\""} {
			f := w.Fixture(acrsuite.CallNamed(t, "BlobWriter.Write"))
			f.Options = []acrsuite.Option{acrsuite.Once}
			f.Client = f.NewClient()
			f.Srv.On("StartUpload").Always().Raw("HTTP/1.1 202 Accepted\r\n" + header + "\r\nContent-Length: 0\r\n\r\n")
			if err := f.Run(); err == nil {
				f.Errorf("%q was taken", header)
			}
			f.AtMost(0, "UploadChunk", "CompleteUpload")
			f.Untouched()
		}
	})
}

// argumentNames are the names that an ArgumentError has for each kind of argument.
var argumentNames = map[string][]string{
	"name": {"repository"}, "from": {"repository"}, "tag": {"reference", "tag"}, "digest": {"digest", "reference"},
}

// bad makes each call that takes the argument with each of the values.
func bad(w *acrsuite.World, argument string, values []string, set func(f *acrsuite.Fixture, value string)) {
	w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
		if !f.Call.Has(argument) {
			return
		}
		for _, v := range values {
			if v == "" && argument != "name" && strings.HasPrefix(f.Call.Method, "Repository.Put") {
				continue // the digest is computed then
			}
			if v == "" && f.Call.Kind == acrsuite.ExamineCall {
				continue // those steps are left out then
			}
			f.Note = argument + " " + v[:min(len(v), 20)]
			g := *f
			set(&g, v)
			err := g.Run()
			if e, ok := errors.AsType[*acr.ArgumentError](err); !ok || !acrsuite.PrintableLine(e.Error()) || !slices.Contains(argumentNames[argument], e.Argument) {
				f.Errorf("%v", err)
			}
			if n := f.Srv.Ledger().Count(); n != 0 {
				f.Errorf("%d requests were sent", n)
				f.Srv.Ledger().Reset()
			}
		}
	})
}
