package acr_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

const indexManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

// TestGetManifestVerifies: nothing is given as good that is not what was asked for, or that two readers could read differently.
func TestGetManifestVerifies(t *testing.T) {
	t.Parallel()
	const image, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	good := digest.FromString(acrsuite.ImageManifest)
	for _, test := range []struct {
		name      string
		reference string
		body      string
		header    []string
		want      error // nil: it is given
		digest    digest.Digest
	}{
		{name: "by tag", reference: "v1", body: acrsuite.ImageManifest, header: []string{"Content-Type", image, "Docker-Content-Digest", string(good)}, digest: good},
		{name: "by digest", reference: string(good), body: acrsuite.ImageManifest, header: []string{"Content-Type", image, "Docker-Content-Digest", string(good)}, digest: good},
		{name: "F20 no digest header", reference: "v1", body: acrsuite.ImageManifest, header: []string{"Content-Type", image}, digest: good},
		{name: "F21 parameters", reference: "v1", body: acrsuite.ImageManifest, header: []string{"Content-Type", image + "; charset=utf-8"}, digest: good},
		{name: "no media type but its own", reference: "v1", body: acrsuite.ImageManifest, header: []string{"Content-Type", "application/json"}, digest: good},
		{name: "sha512", reference: digest.SHA512.FromString(acrsuite.ImageManifest).String(), body: acrsuite.ImageManifest, header: []string{"Content-Type", image}, digest: digest.SHA512.FromString(acrsuite.ImageManifest)},
		{name: "a kind of its own", reference: "v1", body: "not even JSON", header: []string{"Content-Type", "application/vnd.example.thing"}, digest: digest.FromString("not even JSON")},
		{name: "A45 other bytes", reference: string(good), body: indexManifest, header: []string{"Content-Type", index, "Docker-Content-Digest", digest.FromString(indexManifest).String()}, want: acr.ErrDigestMismatch},
		{name: "A46 other bytes under the digest asked for", reference: string(good), body: indexManifest, header: []string{"Content-Type", index, "Docker-Content-Digest", string(good)}, want: acr.ErrDigestMismatch},
		{name: "A47 header and body differ", reference: "v1", body: acrsuite.ImageManifest, header: []string{"Content-Type", image, "Docker-Content-Digest", digest.FromString("x").String()}, want: acr.ErrDigestMismatch},
		{name: "A48 a digest that cannot be checked", reference: "v1", body: acrsuite.ImageManifest, header: []string{"Content-Type", image, "Docker-Content-Digest", "md5:d41d8cd98f00b204e9800998ecf8427e"}, want: acr.ErrDigestMismatch},
		{name: "A49 Content-Type of an index", reference: "v1", body: acrsuite.ImageManifest, header: []string{"Content-Type", index}, want: acr.ErrManifestMalformed},
		{name: "A49 layers and manifests", reference: "v1", body: `{"schemaVersion":2,"layers":[],"manifests":[]}`, header: []string{"Content-Type", image}, want: acr.ErrManifestMalformed},
		{name: "A49 manifests in an image", reference: "v1", body: `{"schemaVersion":2,"manifests":[]}`, header: []string{"Content-Type", image}, want: acr.ErrManifestMalformed},
		{name: "A49 layers in an index", reference: "v1", body: `{"schemaVersion":2,"layers":[]}`, header: []string{"Content-Type", index}, want: acr.ErrManifestMalformed},
		{name: "A49 a key twice", reference: "v1", body: `{"schemaVersion":2,"layers":[],"layers":[]}`, header: []string{"Content-Type", image}, want: acr.ErrManifestMalformed},
		{name: "A49 a key twice but for case", reference: "v1", body: `{"schemaVersion":2,"config":{"digest":"a","Digest":"b"}}`, header: []string{"Content-Type", image}, want: acr.ErrManifestMalformed},
		{name: "annotations that differ in case", reference: "v1", body: `{"annotations":{"a":"1","A":"2"}}`, header: []string{"Content-Type", image}, digest: digest.FromString(`{"annotations":{"a":"1","A":"2"}}`)},
		{name: "no JSON", reference: "v1", body: "<html>", header: []string{"Content-Type", image}, want: acr.ErrManifestMalformed},
		{name: "of no type at all", reference: "v1", body: `{"schemaVersion":2}`, header: []string{"Content-Type", "application/octet-stream"}, want: acr.ErrManifestMalformed},
		{name: "schema 1", reference: "v1", body: `{"schemaVersion":1}`, header: []string{"Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws"}, want: acr.ErrManifestMalformed},
		{name: "A27 too large by its header", reference: "v1", body: acrsuite.ImageManifest + strings.Repeat(" ", 4<<20), header: []string{"Content-Type", image}, want: acr.ErrTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, test.body, test.header...) }}
			m, err := s.Client(t).Repository("a/b").GetManifest(t.Context(), test.reference)
			if !errors.Is(err, test.want) || (test.want == nil) != (err == nil) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err != nil {
				t.Log(err)
				acrsuite.OneLine(t, err)
				if m != nil {
					t.Error("given all the same")
				}
				return
			}
			if m.Descriptor.Digest != test.digest || m.Descriptor.Size != int64(len(test.body)) || string(m.Content) != test.body {
				t.Errorf("%+v", m.Descriptor)
			}
		})
	}
}

// TestGetManifestBounds: what has no end, or grows when it is unpacked, is not held in memory.
func TestGetManifestBounds(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func() *http.Response{
		"A27 endless": func() *http.Response {
			r := acrsuite.Answer(200, "", "Content-Type", ocispec.MediaTypeImageManifest)
			r.Body, r.ContentLength = io.NopCloser(endless{}), -1
			return r
		},
		"A31 gzip": func() *http.Response { // as net/http hands it on, unpacked while it is read
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			_, _ = io.CopyN(w, endless{}, 100<<20)
			_ = w.Close()
			unpacked, err := gzip.NewReader(&packed)
			if err != nil {
				t.Error(err)
			}
			r := acrsuite.Answer(200, "", "Content-Type", ocispec.MediaTypeImageManifest)
			r.Body, r.ContentLength, r.Uncompressed = io.NopCloser(unpacked), -1, true
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return body() }}
			if _, err := s.Client(t).Repository("a/b").GetManifest(t.Context(), "v1"); !errors.Is(err, acr.ErrTooLarge) {
				t.Errorf("%v", err)
			}
			if n := len(s.Requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// cut is a body that breaks off.
type cut struct{ rest io.Reader }

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.rest.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TestGetManifestCutShort: F19, a manifest that breaks off is asked for once more.
func TestGetManifestCutShort(t *testing.T) {
	t.Parallel()
	tries := 0
	s := &acrsuite.Scripted{}
	s.Answer = func(*http.Request) *http.Response {
		r := acrsuite.Answer(200, acrsuite.ImageManifest, "Content-Type", ocispec.MediaTypeImageManifest)
		if tries++; tries == 1 {
			r.Body = io.NopCloser(&cut{strings.NewReader(acrsuite.ImageManifest[:20])})
		}
		return r
	}
	m, err := s.Client(t).Repository("a/b").GetManifest(t.Context(), "v1")
	if err != nil || string(m.Content) != acrsuite.ImageManifest || len(s.Requests()) != 2 {
		t.Errorf("%v after %q", err, s.Requests())
	}
}

// TestGetManifestAccepts: every media type is asked for, whatever the reference.
func TestGetManifestAccepts(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
		for _, mediaType := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, acr.MediaTypeDockerManifest, acr.MediaTypeDockerManifestList} {
			if !strings.Contains(r.Header.Get("Accept"), mediaType) {
				t.Errorf("%s %s: Accept lacks %s", r.Method, r.URL.Path, mediaType)
			}
		}
		return acrsuite.Answer(200, acrsuite.ImageManifest, "Content-Type", ocispec.MediaTypeImageManifest, "Docker-Content-Digest", digest.FromString(acrsuite.ImageManifest).String())
	}}
	r := s.Client(t).Repository("a/b")
	m, err := r.GetManifest(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := m.Image()
	if err != nil || image.Config.Size != 2 {
		t.Errorf("%v %v", image, err)
	}
	if _, err := m.Index(); !errors.Is(err, acr.ErrManifestMalformed) {
		t.Errorf("%v", err)
	}
	d, err := r.HeadManifest(t.Context(), "v1")
	if err != nil || d.Digest != m.Descriptor.Digest || d.MediaType != m.Descriptor.MediaType {
		t.Errorf("%+v %v", d, err)
	}
	_, err = r.HeadManifest(t.Context(), acrsuite.GoodDigest.String())
	if !errors.Is(err, acr.ErrDigestMismatch) {
		t.Errorf("%v", err)
	}
}

// TestHeadManifestIncomplete: where the answer to a HEAD leaves something out, the manifest says it.
func TestHeadManifestIncomplete(t *testing.T) {
	t.Parallel()
	for _, less := range []func(*http.Response){
		func(r *http.Response) { r.ContentLength = 0 },
		func(r *http.Response) { r.ContentLength = -1 },
		func(r *http.Response) { r.Header.Del("Docker-Content-Digest") },
		func(r *http.Response) { r.Header.Del("Content-Type") },
	} {
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			resp := acrsuite.Answer(200, acrsuite.ImageManifest, "Content-Type", ocispec.MediaTypeImageManifest, "Docker-Content-Digest", digest.FromString(acrsuite.ImageManifest).String())
			if r.Method == http.MethodHead {
				less(resp)
			}
			return resp
		}}
		d, err := s.Client(t).Repository("a").HeadManifest(t.Context(), "v1")
		want := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(acrsuite.ImageManifest), Size: int64(len(acrsuite.ImageManifest))}
		if diff := cmp.Diff(want, d); diff != "" || err != nil || len(s.Requests()) != 2 {
			t.Errorf("%v after %q\n%s", err, s.Requests(), diff)
		}
	}
}

// TestHeadManifestOfAnother: a registry that states another digest than the one asked for is not asked again until it fits.
func TestHeadManifestOfAnother(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
		stated := digest.FromString(acrsuite.ImageManifest)
		if r.Method == http.MethodHead {
			stated = acrsuite.GoodDigest
		}
		return acrsuite.Answer(200, acrsuite.ImageManifest, "Content-Type", ocispec.MediaTypeImageManifest, "Docker-Content-Digest", stated.String())
	}}
	d, err := s.Client(t).Repository("a").HeadManifest(t.Context(), digest.FromString(acrsuite.ImageManifest).String())
	if !errors.Is(err, acr.ErrDigestMismatch) || d.Digest != "" || len(s.Requests()) != 1 {
		t.Errorf("%+v %v after %q", d, err, s.Requests())
	}
}

// TestHeadManifestOtherAlgorithm: a digest that cannot be compared with the one asked for is no mismatch; then the content decides.
func TestHeadManifestOtherAlgorithm(t *testing.T) {
	t.Parallel()
	want := digest.SHA512.FromString(acrsuite.ImageManifest)
	s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response {
		return acrsuite.Answer(200, acrsuite.ImageManifest, "Content-Type", ocispec.MediaTypeImageManifest, "Docker-Content-Digest", digest.FromString(acrsuite.ImageManifest).String())
	}}
	d, err := s.Client(t).Repository("a").HeadManifest(t.Context(), want.String())
	if err != nil || d.Digest != want || d.Size != int64(len(acrsuite.ImageManifest)) || len(s.Requests()) != 2 {
		t.Errorf("%+v %v after %q", d, err, s.Requests())
	}
}
