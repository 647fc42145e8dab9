package content_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// Two ways to the fixture's manifest.
var (
	pinnedManifest = func(f *acrsuite.Fixture) (*acr.Manifest, error) {
		return f.Repository().GetManifest(f.Ctx, f.Image.String())
	}
	taggedManifest = func(f *acrsuite.Fixture) (*acr.Manifest, error) { return f.Repository().GetManifest(f.Ctx, f.Tag) }
)

// TestSuiteManifests: what a registry can do to a manifest on its way.
func TestSuiteManifests(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F19 manifest cut short", func(t *testing.T) {
		cuts := map[string]func(*acrtest.Fault){
			"reset": func(f *acrtest.Fault) { f.ResetAfter(40) }, "FIN": func(f *acrtest.Fault) { f.Truncate(40) }, "no reply": func(f *acrtest.Fault) { f.DropReply() },
			"a clean end": func(f *acrtest.Fault) { f.TruncateClean(40) }, "nothing": func(f *acrtest.Fault) { f.TruncateClean(0) },
		}
		for name, cut := range cuts {
			bubble(t, func(w *acrsuite.World) {
				w.Over(manifestCalls(t), func(f *acrsuite.Fixture) {
					f.Note = name
					f.Srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
					cut(f.Srv.On("GetManifest").Nth(1))
					f.MustWork(f.Run())
					f.AtMost(2, "GetManifest")
					f.Srv.ClearFaults()
					f.Srv.Ledger().Reset()
					f.Srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
					cut(f.Srv.On("GetManifest").Always())
					began := time.Now()
					if err := f.Run(); err == nil {
						f.Errorf("succeeded with manifests that are always cut short")
					}
					f.AtMost(2*5, "GetManifest") // five tries for a lost connection, and once more for a body that broke off
					if took := time.Since(began); took > time.Minute {
						f.Errorf("took %v", took)
					}
				})
			})
		}
	})
	acrsuite.Row(t, "F20 digest header missing", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			w.Over(append(acrsuite.CallsOf(acrsuite.ReadCall, acrsuite.DownloadCall, acrsuite.UploadCall), manifestCalls(t)...), func(f *acrsuite.Fixture) {
				f.Srv.On("GetManifest", "HeadManifest", "GetBlob", "HeadBlob", "PutManifest", "CompleteUpload", "StartUpload").Always().WithoutHeader("Docker-Content-Digest")
				f.MustWork(f.Run())
			})
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Srv.On("GetManifest", "HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
			m, err := taggedManifest(f)
			if f.MustWork(err); err == nil && m.Descriptor.Digest != f.Image {
				f.Errorf("digest %s, want %s", m.Descriptor.Digest, f.Image)
			}
			d, err := f.Repository().HeadManifest(f.Ctx, f.Tag)
			if f.MustWork(err); d.Digest != f.Image || d.Size != m.Descriptor.Size || d.MediaType != m.Descriptor.MediaType {
				f.Errorf("%+v, want %+v", d, m.Descriptor)
			}
		})
	})
	acrsuite.Row(t, "F21 parameters of a content type", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			for _, suffix := range []string{"; charset=utf-8", ";charset=UTF-8", " ; charset=\"utf-8\"; version=1"} {
				w.Over(manifestCalls(t), func(f *acrsuite.Fixture) {
					f.Note = suffix
					f.Srv.On("GetManifest", "HeadManifest").Always().RewriteHeader("Content-Type", func(v string) string { return v + suffix })
					f.MustWork(f.Run())
					m, err := taggedManifest(f)
					if f.MustWork(err); err == nil && (m.Descriptor.Digest != f.Image || m.Descriptor.MediaType != ocispec.MediaTypeImageManifest) {
						f.Errorf("%+v", m.Descriptor)
					}
				})
			}
		})
		bubble(t, func(w *acrsuite.World) { // of pages, properties and errors
			w.Over(acrsuite.CallsOf(acrsuite.ListCall, acrsuite.ReadCall), func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Always().Header("Content-Type", "text/json; charset=iso-8859-1; x=y")
				f.WorksOrTyped(f.Run())
			})
		})
	})
	acrsuite.Row(t, "A45 other content under its own digest", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Srv.On("GetManifest").Always().ReplyBody(acrsuite.ImageManifest).Digest(digest.FromString(acrsuite.ImageManifest).String())
			m, err := pinnedManifest(f)
			withheld(f, m, err)
			f.Srv.ClearFaults()
			f.Srv.On("HeadManifest").Always().Digest(digest.FromString(acrsuite.ImageManifest).String())
			_, err = f.Repository().HeadManifest(f.Ctx, f.Image.String())
			f.MustFail(err, acr.ErrDigestMismatch)
		})
		otherBlob(t, func(d *acrsuite.Delivery, other digest.Digest) digest.Digest { return other })
	})
	acrsuite.Row(t, "A46 other content under the digest asked for", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Srv.On("GetManifest").Always().ReplyBody(acrsuite.ImageManifest).Digest(f.Image.String())
			m, err := pinnedManifest(f)
			withheld(f, m, err)
			m, err = taggedManifest(f)
			withheld(f, m, err)
			_, err = f.Repository().Tag(f.Ctx, f.Image.String(), "again", nil)
			f.MustFail(err, acr.ErrDigestMismatch)
			f.AtMost(0, "PutManifest")
		})
		otherBlob(t, func(d *acrsuite.Delivery, _ digest.Digest) digest.Digest { return d.Digest })
	})
	acrsuite.Row(t, "A47 digest of the header is not that of the content", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Srv.On("GetManifest").Always().Digest(digest.FromString("x").String())
			m, err := taggedManifest(f)
			withheld(f, m, err)
			f.Srv.ClearFaults()
			f.Srv.On("GetManifest").Always().FlipByte(3)
			m, err = taggedManifest(f)
			withheld(f, m, err)
		})
	})
	acrsuite.Row(t, "A48 digests that cannot be checked", uncheckable)
	acrsuite.Row(t, "A49 one document, two readings", func(t *testing.T) {
		const image, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
		bubble(t, func(w *acrsuite.World) {
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			for _, c := range []struct{ contentType, body string }{
				{index, acrsuite.ImageManifest},
				{image, `{"schemaVersion":2,"mediaType":"` + index + `","layers":[]}`},
				{image, `{"schemaVersion":2,"layers":[],"manifests":[]}`},
				{index, `{"schemaVersion":2,"layers":[],"manifests":[]}`},
				{image, `{"schemaVersion":2,"manifests":[]}`},
				{index, `{"schemaVersion":2,"layers":[]}`},
				{index, `{"schemaVersion":2,"config":{},"manifests":[]}`},
				{acr.MediaTypeDockerManifest, `{"schemaVersion":2,"manifests":[]}`},
				{image, `{"schemaVersion":2,"layers":[],"layers":[{}]}`},
				{image, `{"schemaVersion":2,"layers":[],"Layers":[{}]}`},
				{image, `{"schemaVersion":2,"layers":[{"digest":"sha256:a","digest":"sha256:b"}]}`},
				{image, `{"schemaVersion":2,"mediaType":"` + image + `","mediaType":"` + index + `"}`},
				{image, `{"schemaVersion":2,"\u006cayers":[],"layers":[]}`},
				{image, `{"schemaVersion":2,"layers":[]}{"schemaVersion":2,"layers":[{}]}`},
				{image, `{"schemaVersion":1,"fsLayers":[],"layers":[]}`},
				{"application/json", `{"schemaVersion":2,"mediaType":"` + index + `","layers":[]}`},
				{"application/json", `{"schemaVersion":2,"layers":[]}`},
			} {
				f.Note = c.contentType + " " + c.body
				f.Srv.ClearFaults()
				f.Srv.On("GetManifest").Always().ReplyBody(c.body).Header("Content-Type", c.contentType).Digest(digest.FromString(c.body).String())
				m, err := taggedManifest(f)
				if f.MustFail(err, acr.ErrManifestMalformed); m != nil {
					f.Errorf("given all the same")
				}
				_, err = f.Repository().Tag(f.Ctx, f.Tag, "again", nil)
				f.MustFail(err, acr.ErrManifestMalformed)
				f.AtMost(0, "PutManifest")
			}
		})
	})
}

// withheld demands that the content is not the digest's, and was not given to anyone.
func withheld(f *acrsuite.Fixture, m *acr.Manifest, err error) {
	f.T.Helper()
	if f.MustFail(err, acr.ErrDigestMismatch); m != nil {
		f.Errorf("given all the same")
	}
}

// otherBlob serves another blob of the same size, whose link or header names the given digest.
func otherBlob(t *testing.T, stated func(d *acrsuite.Delivery, other digest.Digest) digest.Digest) {
	t.Helper()
	acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
		content := append([]byte("something else"), d.Want[14:]...)
		other := d.Srv.SeedBlob(t, d.Name, content)
		d.Srv.On("GetBlob").Always().Digest(stated(d, other).String())
		d.Srv.On("GetBlobContent").Always().Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Docker-Content-Digest", stated(d, other).String())
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
		})
		d.Names(d.Fails(acr.ErrDigestMismatch))
	})
}

// uncheckable goes through digests that are none, or of which only a reader of another kind would know what they are of.
func uncheckable(t *testing.T) {
	long := strings.Repeat("a", 64)
	bad := []string{
		"sha256:" + strings.ToUpper(long), "SHA256:" + long, "sha256:" + long[1:], "sha256:" + long + "a", "sha1:" + long[:40], "md5:" + long[:32],
		"sha256:../../x", "sha256:" + long[:61] + "/..", "sha512:" + long, "sha384:" + long + long[:32], "sha256:", ":" + long, "sha256", "sha256:" + long[:63] + "g", "blake3:" + long,
		"sha256:" + long + "\n", "sha256+b64:" + long, "sha256::" + long[1:],
	}
	bubble(t, func(w *acrsuite.World) {
		for _, text := range bad { // asked for: refused before anything is sent
			w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
				if !f.Call.Has("digest") {
					return
				}
				f.Note = text
				f.Blob, f.Image, f.Loose, f.Fresh, f.Deleted = digest.Digest(text), digest.Digest(text), digest.Digest(text), digest.Digest(text), digest.Digest(text)
				f.MustFail(f.Run(), acr.ErrInvalidArgument)
				f.AtMost(0)
			})
		}
		f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
		for _, text := range bad {
			if !strings.Contains(text, ":") {
				continue // a tag
			}
			f.Note = text
			f.Srv.Ledger().Reset()
			for _, reference := range []string{text, "v1@" + text} {
				if _, err := f.Repository().GetManifest(f.Ctx, reference); err == nil || f.Srv.Ledger().Count() > 0 {
					f.Errorf("%q: %v after %d requests", reference, err, f.Srv.Ledger().Count())
				}
			}
			for _, path := range []error{f.Repository().Artifact(text).Delete(f.Ctx), f.Repository().DeleteManifest(f.Ctx, digest.Digest(text))} {
				f.MustFail(path, acr.ErrInvalidArgument)
			}
			f.AtMost(0)
		}
		for _, text := range bad { // stated by the registry: not passed over
			if strings.ContainsAny(text, "\n") {
				continue // no header
			}
			f.Note = "stated " + text
			f.Srv.ClearFaults()
			f.Srv.On("GetManifest", "HeadManifest").Always().Digest(text)
			for _, get := range []func(*acrsuite.Fixture) (*acr.Manifest, error){pinnedManifest, taggedManifest} {
				m, err := get(f)
				withheld(f, m, err)
			}
			_, err := f.Repository().HeadManifest(f.Ctx, f.Tag)
			f.MustFail(err, acr.ErrDigestMismatch)
			f.Srv.ClearFaults()
			f.Srv.On("GetTagProperties").Always().ReplyBody(fmt.Sprintf(`{"registry":"x","imageName":%q,"tag":{"name":"v1","digest":%q}}`, f.Name, text))
			_, err = f.Artifact().Digest(f.Ctx)
			f.MustFail(err, acr.ErrMalformedReply, acr.ErrInvalidArgument, acr.ErrDigestMismatch)
			f.AtMost(0, "DeleteManifest")
			f.MustFail(f.Artifact().Delete(f.Ctx), acr.ErrMalformedReply, acr.ErrInvalidArgument, acr.ErrDigestMismatch)
		}
	})
}
