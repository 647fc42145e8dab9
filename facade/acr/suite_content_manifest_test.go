package acr_test

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
)

var _ = expect("F19", "F20", "F21", "A45", "A46", "A47", "A48", "A49")

// Two ways to the fixture's manifest.
var (
	pinnedManifest = func(f *fixture) (*acr.Manifest, error) { return f.repository().GetManifest(f.ctx, f.image.String()) }
	taggedManifest = func(f *fixture) (*acr.Manifest, error) { return f.repository().GetManifest(f.ctx, f.tag) }
)

// TestSuiteManifests: what a registry can do to a manifest on its way.
func TestSuiteManifests(t *testing.T) {
	t.Parallel()
	row(t, "F19 manifest cut short", survived, func(t *testing.T) {
		cuts := map[string]func(*acrtest.Fault){
			"reset": func(f *acrtest.Fault) { f.ResetAfter(40) }, "FIN": func(f *acrtest.Fault) { f.Truncate(40) }, "no reply": func(f *acrtest.Fault) { f.DropReply() },
			"a clean end": func(f *acrtest.Fault) { f.TruncateClean(40) }, "nothing": func(f *acrtest.Fault) { f.TruncateClean(0) },
		}
		for name, cut := range cuts {
			bubble(t, func(w *world) {
				w.over(manifestCalls(t), func(f *fixture) {
					f.note = name
					f.srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
					cut(f.srv.On("GetManifest").Nth(1))
					f.mustWork(f.run())
					f.atMost(2, "GetManifest")
					f.srv.ClearFaults()
					f.srv.Ledger().Reset()
					f.srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
					cut(f.srv.On("GetManifest").Always())
					began := time.Now()
					if err := f.run(); err == nil {
						f.errorf("succeeded with manifests that are always cut short")
					}
					f.atMost(2*5, "GetManifest") // five tries for a lost connection, and once more for a body that broke off
					if took := time.Since(began); took > time.Minute {
						f.errorf("took %v", took)
					}
				})
			})
		}
	})
	row(t, "F20 digest header missing", survived, func(t *testing.T) {
		bubble(t, func(w *world) {
			w.over(append(callsOf(readCall, downloadCall, uploadCall), manifestCalls(t)...), func(f *fixture) {
				f.srv.On("GetManifest", "HeadManifest", "GetBlob", "HeadBlob", "PutManifest", "CompleteUpload", "StartUpload").Always().WithoutHeader("Docker-Content-Digest")
				f.mustWork(f.run())
			})
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.srv.On("GetManifest", "HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
			m, err := taggedManifest(f)
			if f.mustWork(err); err == nil && m.Descriptor.Digest != f.image {
				f.errorf("digest %s, want %s", m.Descriptor.Digest, f.image)
			}
			d, err := f.repository().HeadManifest(f.ctx, f.tag)
			if f.mustWork(err); d.Digest != f.image || d.Size != m.Descriptor.Size || d.MediaType != m.Descriptor.MediaType {
				f.errorf("%+v, want %+v", d, m.Descriptor)
			}
		})
	})
	row(t, "F21 parameters of a content type", survived, func(t *testing.T) {
		bubble(t, func(w *world) {
			for _, suffix := range []string{"; charset=utf-8", ";charset=UTF-8", " ; charset=\"utf-8\"; version=1"} {
				w.over(manifestCalls(t), func(f *fixture) {
					f.note = suffix
					f.srv.On("GetManifest", "HeadManifest").Always().RewriteHeader("Content-Type", func(v string) string { return v + suffix })
					f.mustWork(f.run())
					m, err := taggedManifest(f)
					if f.mustWork(err); err == nil && (m.Descriptor.Digest != f.image || m.Descriptor.MediaType != ocispec.MediaTypeImageManifest) {
						f.errorf("%+v", m.Descriptor)
					}
				})
			}
		})
		bubble(t, func(w *world) { // of pages, properties and errors
			w.over(callsOf(listCall, readCall), func(f *fixture) {
				f.srv.On(f.call.op).Always().Header("Content-Type", "text/json; charset=iso-8859-1; x=y")
				f.worksOrTyped(f.run())
			})
		})
	})
	row(t, "A45 other content under its own digest", refused, func(t *testing.T) {
		bubble(t, func(w *world) {
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.srv.On("GetManifest").Always().ReplyBody(imageManifest).Digest(digest.FromString(imageManifest).String())
			m, err := pinnedManifest(f)
			f.withheld(m, err)
			f.srv.ClearFaults()
			f.srv.On("HeadManifest").Always().Digest(digest.FromString(imageManifest).String())
			_, err = f.repository().HeadManifest(f.ctx, f.image.String())
			f.mustFail(err, acr.ErrDigestMismatch)
		})
		otherBlob(t, func(d *delivery, other digest.Digest) digest.Digest { return other })
	})
	row(t, "A46 other content under the digest asked for", refused, func(t *testing.T) {
		bubble(t, func(w *world) {
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.srv.On("GetManifest").Always().ReplyBody(imageManifest).Digest(f.image.String())
			m, err := pinnedManifest(f)
			f.withheld(m, err)
			m, err = taggedManifest(f)
			f.withheld(m, err)
			_, err = f.repository().Tag(f.ctx, f.image.String(), "again", nil)
			f.mustFail(err, acr.ErrDigestMismatch)
			f.atMost(0, "PutManifest")
		})
		otherBlob(t, func(d *delivery, _ digest.Digest) digest.Digest { return d.dgst })
	})
	row(t, "A47 digest of the header is not that of the content", refused, func(t *testing.T) {
		bubble(t, func(w *world) {
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.srv.On("GetManifest").Always().Digest(digest.FromString("x").String())
			m, err := taggedManifest(f)
			f.withheld(m, err)
			f.srv.ClearFaults()
			f.srv.On("GetManifest").Always().FlipByte(3)
			m, err = taggedManifest(f)
			f.withheld(m, err)
		})
	})
	row(t, "A48 digests that cannot be checked", refused, uncheckable)
	row(t, "A49 one document, two readings", refused, func(t *testing.T) {
		const image, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
		bubble(t, func(w *world) {
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			for _, c := range []struct{ contentType, body string }{
				{index, imageManifest},
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
				f.note = c.contentType + " " + c.body
				f.srv.ClearFaults()
				f.srv.On("GetManifest").Always().ReplyBody(c.body).Header("Content-Type", c.contentType).Digest(digest.FromString(c.body).String())
				m, err := taggedManifest(f)
				if f.mustFail(err, acr.ErrManifestMalformed); m != nil {
					f.errorf("given all the same")
				}
				_, err = f.repository().Tag(f.ctx, f.tag, "again", nil)
				f.mustFail(err, acr.ErrManifestMalformed)
				f.atMost(0, "PutManifest")
			}
		})
	})
}

// withheld demands that the content is not the digest's, and was not given to anyone.
func (f *fixture) withheld(m *acr.Manifest, err error) {
	f.t.Helper()
	if f.mustFail(err, acr.ErrDigestMismatch); m != nil {
		f.errorf("given all the same")
	}
}

// otherBlob serves another blob of the same size, whose link or header names the given digest.
func otherBlob(t *testing.T, stated func(d *delivery, other digest.Digest) digest.Digest) {
	t.Helper()
	deliveries(t, everyForm, func(d *delivery) {
		content := append([]byte("something else"), d.want[14:]...)
		other := d.srv.SeedBlob(t, d.name, content)
		d.srv.On("GetBlob").Always().Digest(stated(d, other).String())
		d.srv.On("GetBlobContent").Always().Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Docker-Content-Digest", stated(d, other).String())
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
		})
		d.names(d.fails(acr.ErrDigestMismatch))
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
	bubble(t, func(w *world) {
		for _, text := range bad { // asked for: refused before anything is sent
			w.over(callsOf(), func(f *fixture) {
				if !f.call.has("digest") {
					return
				}
				f.note = text
				f.blob, f.image, f.loose, f.fresh, f.deleted = digest.Digest(text), digest.Digest(text), digest.Digest(text), digest.Digest(text), digest.Digest(text)
				f.mustFail(f.run(), acr.ErrInvalidDigest)
				f.atMost(0)
			})
		}
		f := w.fixture(callNamed(t, "Repository.GetManifest"))
		for _, text := range bad {
			if !strings.Contains(text, ":") {
				continue // a tag
			}
			f.note = text
			f.srv.Ledger().Reset()
			for _, reference := range []string{text, "v1@" + text} {
				if _, err := f.repository().GetManifest(f.ctx, reference); err == nil || f.srv.Ledger().Count() > 0 {
					f.errorf("%q: %v after %d requests", reference, err, f.srv.Ledger().Count())
				}
			}
			for _, path := range []error{f.repository().Artifact(text).Delete(f.ctx), f.repository().DeleteManifest(f.ctx, digest.Digest(text))} {
				f.mustFail(path, acr.ErrInvalidDigest, acr.ErrInvalidReference)
			}
			f.atMost(0)
		}
		for _, text := range bad { // stated by the registry: not passed over
			if strings.ContainsAny(text, "\n") {
				continue // no header
			}
			f.note = "stated " + text
			f.srv.ClearFaults()
			f.srv.On("GetManifest", "HeadManifest").Always().Digest(text)
			for _, get := range []func(*fixture) (*acr.Manifest, error){pinnedManifest, taggedManifest} {
				m, err := get(f)
				f.withheld(m, err)
			}
			_, err := f.repository().HeadManifest(f.ctx, f.tag)
			f.mustFail(err, acr.ErrDigestMismatch)
			f.srv.ClearFaults()
			f.srv.On("GetTagProperties").Always().ReplyBody(fmt.Sprintf(`{"registry":"x","imageName":%q,"tag":{"name":"v1","digest":%q}}`, f.name, text))
			_, err = f.artifact().Digest(f.ctx)
			f.mustFail(err, acr.ErrMalformedReply, acr.ErrInvalidDigest, acr.ErrDigestMismatch)
			f.atMost(0, "DeleteManifest")
			f.mustFail(f.artifact().Delete(f.ctx), acr.ErrMalformedReply, acr.ErrInvalidDigest, acr.ErrDigestMismatch)
		}
	})
}
