package images_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/images"
)

// stock is content of which a test makes layouts, archives and repositories.
type stock struct {
	t       testing.TB
	blobs   map[digest.Digest][]byte
	entries []ocispec.Descriptor
}

func newStock(t testing.TB) *stock {
	return &stock{t: t, blobs: map[digest.Digest][]byte{}}
}

func (s *stock) blob(mediaType string, content []byte) ocispec.Descriptor {
	return s.blobOf(digest.SHA256, mediaType, content)
}

func (s *stock) blobOf(a digest.Algorithm, mediaType string, content []byte) ocispec.Descriptor {
	d := a.FromBytes(content)
	s.blobs[d] = content
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (s *stock) json(mediaType string, v any) ocispec.Descriptor {
	s.t.Helper()
	return s.blob(mediaType, marshal(s.t, v))
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// image adds an image for a platform with the layers.
func (s *stock) image(architecture string, layers ...string) ocispec.Descriptor {
	s.t.Helper()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	platform := ocispec.Platform{Architecture: architecture, OS: "linux"}
	m.Config = s.json(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: platform, RootFS: ocispec.RootFS{Type: "layers"}})
	for _, layer := range layers {
		m.Layers = append(m.Layers, s.blob(ocispec.MediaTypeImageLayer, []byte(layer)))
	}
	d := s.json(m.MediaType, m)
	d.Platform = &platform
	return d
}

// index adds an index of manifests.
func (s *stock) index(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	s.t.Helper()
	return s.json(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests,
	})
}

// referrer adds an artifact that refers to the subject.
func (s *stock) referrer(subject ocispec.Descriptor, artifactType, text string) ocispec.Descriptor {
	s.t.Helper()
	subject = ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return s.json(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config:  s.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:  []ocispec.Descriptor{s.blob("text/plain", []byte(text))},
		Subject: &subject,
	})
}

// name enters a manifest in index.json; an empty name enters it without one.
func (s *stock) name(d ocispec.Descriptor, name string) {
	if name != "" {
		d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	}
	s.entries = append(s.entries, d)
}

// multi adds an index of two images, each with referrers, and names it "v1".
func (s *stock) multi() (index ocispec.Descriptor, images []ocispec.Descriptor) {
	s.t.Helper()
	images = []ocispec.Descriptor{
		s.image("amd64", "shared layer", "layer for amd64"), s.image("arm64", "shared layer", "layer for arm64"),
	}
	index = s.index(images...)
	s.name(index, "v1")
	return index, images
}

// files are the files of a layout.
func (s *stock) files() map[string][]byte {
	s.t.Helper()
	files := map[string][]byte{
		ocispec.ImageLayoutFile: marshal(s.t, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}),
		ocispec.ImageIndexFile: marshal(s.t, ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: s.entries,
		}),
	}
	for d, content := range s.blobs {
		files[path.Join("blobs", d.Algorithm().String(), d.Encoded())] = content
	}
	return files
}

// dir writes a layout into a new directory.
func (s *stock) dir() string {
	s.t.Helper()
	dir := s.t.TempDir()
	for name, content := range s.files() {
		writeFile(s.t, filepath.Join(dir, filepath.FromSlash(name)), content)
	}
	return dir
}

// archive writes a layout as a tar archive. edit may change or skip (nil) a header.
func (s *stock) archive(edit func(*tar.Header) *tar.Header) string {
	s.t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	files := s.files()
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names) // oci-layout and index.json last
	for _, name := range names {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if edit != nil {
			if h = edit(h); h == nil {
				continue
			}
		}
		if err := w.WriteHeader(h); err != nil {
			s.t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(files[name]); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), "image.tar")
	writeFile(s.t, file, b.Bytes())
	return file
}

func writeFile(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openLayout opens a layout for the time of the test.
func openLayout(t testing.TB, dir string, opts *images.LayoutOptions) *images.Layout {
	t.Helper()
	l, err := images.OpenLayout(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// holds demands that a layout directory has every blob of the stock that is needed, byte for byte.
func (s *stock) holds(dir string, needed ...ocispec.Descriptor) {
	s.t.Helper()
	for _, d := range s.below(needed...) {
		got, err := os.ReadFile(filepath.Join(dir, "blobs", d.Algorithm().String(), d.Encoded()))
		if err != nil || !bytes.Equal(got, s.blobs[d]) {
			s.t.Errorf("%s is not there as it should be: %v", d, err)
		}
	}
}

// below is the manifests and everything that they name, subjects aside.
func (s *stock) below(needed ...ocispec.Descriptor) []digest.Digest {
	s.t.Helper()
	var found []digest.Digest
	for len(needed) > 0 {
		d := needed[0]
		needed = needed[1:]
		if slices.Contains(found, d.Digest) {
			continue
		}
		found = append(found, d.Digest)
		if !strings.Contains(d.MediaType, "manifest") && !strings.Contains(d.MediaType, "index") {
			continue
		}
		var m struct {
			Config            *ocispec.Descriptor
			Layers, Manifests []ocispec.Descriptor
		}
		if err := json.Unmarshal(s.blobs[d.Digest], &m); err != nil {
			s.t.Fatal(err)
		}
		if m.Config != nil {
			needed = append(needed, *m.Config)
		}
		needed = append(needed, slices.Concat(m.Layers, m.Manifests)...)
	}
	return found
}

// readAll reads content of a layout or repository to its end.
func readAll(r io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	if e := r.Close(); err == nil {
		err = e
	}
	return b, err
}
