package images_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// memory is a source and target of somebody else: it has no other methods than oras-go's interfaces ask for.
type memory struct {
	mu    sync.Mutex
	blobs map[digest.Digest][]byte
	tags  map[string]ocispec.Descriptor
}

func newMemory() *memory {
	return &memory{blobs: map[digest.Digest][]byte{}, tags: map[string]ocispec.Descriptor{}}
}

// memory is a source of what is in stock, under the tag v1.
func (s *stock) memory(root ocispec.Descriptor) *memory {
	return &memory{blobs: s.blobs, tags: map[string]ocispec.Descriptor{"v1": root}}
}

func (m *memory) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, errdef.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memory) Exists(_ context.Context, d ocispec.Descriptor) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.blobs[d.Digest]
	return ok, nil
}

func (m *memory) Push(_ context.Context, d ocispec.Descriptor, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.blobs[d.Digest]; ok {
		return errdef.ErrAlreadyExists
	}
	m.blobs[d.Digest] = b
	return nil
}

func (m *memory) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.tags[reference]
	if !ok {
		return d, errdef.ErrNotFound
	}
	return d, nil
}

func (m *memory) Tag(_ context.Context, d ocispec.Descriptor, reference string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tags[reference] = d
	return nil
}

// A copy from and to what oras-go's interfaces describe and nothing else.
func TestCopyForeignTargets(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	from, to := s.memory(root), newMemory()
	_, client := newRegistry(t)
	ctx := t.Context()
	r := images.Of(client.Repository("team/app"))
	if _, err := images.Copy(ctx, from, "v1", r, "v1", nil); err != nil {
		t.Fatal(err)
	}
	s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"v1": root})
	for range 2 {
		if _, err := images.Copy(ctx, r, "v1", to, "v2", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range s.below(root) {
		if !bytes.Equal(to.blobs[d], s.blobs[d]) {
			t.Errorf("%s", d)
		}
	}
	if to.tags["v2"].Digest != root.Digest {
		t.Error(to.tags)
	}
	dir := t.TempDir()
	if _, err := images.Copy(ctx, to, "v2", openLayout(t, dir, &images.LayoutOptions{Create: true}), "v3", nil); err != nil {
		t.Fatal(err)
	}
	s.holds(dir, root)
}

// A50, A54 and their like: what manifests may say.
func TestCopyHostileManifests(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A50 index without end", testCopyHostileManifests)
}

func testCopyHostileManifests(t *testing.T) {
	manifest := func(s *stock, edit func(*ocispec.Manifest)) ocispec.Descriptor {
		m := ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: s.blob(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux"}`)),
			Layers: []ocispec.Descriptor{s.blob(ocispec.MediaTypeImageLayer, []byte("layer"))},
		}
		edit(&m)
		return s.json(m.MediaType, m)
	}
	deep := func(s *stock, levels int) ocispec.Descriptor {
		d := s.image("amd64", "layer")
		for range levels {
			d = s.index(d)
		}
		return d
	}
	for name, c := range map[string]struct {
		root func(s *stock) ocispec.Descriptor
		want error // nil: it is copied as it is
		opts []acrtest.Option
	}{
		"eight indexes in one another": {root: func(s *stock) ocispec.Descriptor { return deep(s, 8) }},
		"nine indexes in one another":  {root: func(s *stock) ocispec.Descriptor { return deep(s, 9) }, want: images.ErrTooMany},
		"ten thousand and one manifests": {root: func(s *stock) ocispec.Descriptor {
			var children []ocispec.Descriptor
			for i := range 10_001 {
				children = append(children, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 10})
			}
			return s.index(children...)
		}, want: images.ErrTooMany},
		"one image a thousand times": {root: func(s *stock) ocispec.Descriptor {
			image := s.image("amd64", "layer")
			list := make([]ocispec.Descriptor, 1000)
			for i := range list {
				list[i] = image
			}
			return s.index(list...)
		}},
		"a config that is an index": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) { m.Config = s.index() })
		}},
		"a layer that is an index": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) { m.Layers = append(m.Layers, s.index()) })
		}},
		"an index of layers, as BuildKit's caches are": {root: func(s *stock) ocispec.Descriptor {
			return s.index(s.blob(ocispec.MediaTypeImageLayerGzip, []byte("cached")), s.blob("application/vnd.buildkit.cacheconfig.v0", []byte("{}")))
		}, opts: []acrtest.Option{acrtest.WithoutBlobCheck()}},
		"urls and data that are wrong": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) {
				m.Layers[0].URLs, m.Layers[0].Data = []string{"https://169.254.169.254/latest"}, []byte("other")
			})
		}},
		"titles that lead elsewhere": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) {
				m.Layers[0].Annotations = map[string]string{ocispec.AnnotationTitle: "../../../etc/passwd\x1b[31m"}
			})
		}},
		"a layer that is shorter than stated": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) { m.Layers[0].Size++ })
		}, want: acr.ErrSizeMismatch},
		"a layer that is longer than stated": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) { m.Layers[0].Size-- })
		}, want: acr.ErrSizeMismatch},
		"a negative size": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) { m.Layers[0].Size = -1 })
		}, want: acr.ErrManifestMalformed},
		"a digest that leads elsewhere": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../../etc/passwd" })
		}, want: acr.ErrManifestMalformed},
		"a digest of another algorithm": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.SHA384.FromString("x") })
		}, want: acr.ErrManifestMalformed},
		"a child with a wrong size": {root: func(s *stock) ocispec.Descriptor {
			d := s.image("amd64", "layer")
			d.Size++
			return s.index(d)
		}, want: acr.ErrSizeMismatch},
		"a layer that is not there": {root: func(s *stock) ocispec.Descriptor {
			return manifest(s, func(m *ocispec.Manifest) { m.Layers = append(m.Layers, describe("nowhere")) })
		}, want: images.ErrIncomplete},
		"a document that is no manifest": {root: func(s *stock) ocispec.Descriptor {
			return s.blob(ocispec.MediaTypeImageManifest, []byte("[]"))
		}, want: acr.ErrManifestMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStock(t)
			root := c.root(s)
			s.name(root, "v1")
			from := openLayout(t, s.dir(), nil)
			srv, client := newRegistry(t, c.opts...)
			dir := t.TempDir()
			_, err := images.Copy(t.Context(), from, "v1", openLayout(t, dir, &images.LayoutOptions{Create: true}), "v1", nil)
			_, err2 := images.Copy(t.Context(), from, "v1", images.Of(client.Repository("team/app")), "v1", nil)
			if !errors.Is(err, c.want) || !errors.Is(err2, c.want) {
				t.Fatalf("into a layout: %v\ninto a registry: %v\nwant %v", err, err2, c.want)
			}
			for _, err := range []error{err, err2} {
				if e, ok := errors.AsType[*images.CopyError](err); err != nil && (!ok || e.Side != images.FromSource && !errors.Is(c.want, acr.ErrSizeMismatch)) {
					t.Errorf("it does not say that the source is wrong: %v", err)
				}
				if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
					t.Errorf("%q", err)
				}
			}
			if c.want != nil {
				if tags := srv.Tags("team/app"); len(tags) != 0 {
					t.Errorf("tags %q", tags)
				}
				return
			}
			s.holds(dir, root)
		})
	}
}

// A54: what a descriptor says beside digest and size is data. Its urls are not requested, its data does not stand for the
// content, and its annotations reach no terminal as they are.
func TestCopyDescriptorsAreData(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A54 descriptors that say more than a digest", testCopyDescriptorsAreData)
}

func testCopyDescriptorsAreData(t *testing.T) {
	srv, client := newRegistry(t)
	elsewhere, err := srv.Canary(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was requested", r.URL) }))
	if err != nil {
		t.Fatal(err)
	}
	const hostile = "../../../etc/passwd\x1b[31m\r\n"
	s := newStock(t)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "a/b" + hostile,
		Config:      s.blob(ocispec.MediaTypeImageConfig, []byte("{}")),
		Layers:      []ocispec.Descriptor{s.blob(ocispec.MediaTypeImageLayer, []byte("layer")), describe("nowhere")},
		Annotations: map[string]string{hostile: hostile},
	}
	m.Layers[0].URLs, m.Layers[0].Data = []string{elsewhere + "/layer"}, []byte("other")
	m.Layers[1].URLs, m.Layers[1].Data = []string{elsewhere + "/nowhere"}, []byte("nowhere") // which would be right
	for i := range m.Layers {
		m.Layers[i].Annotations = map[string]string{ocispec.AnnotationTitle: hostile}
	}
	lacking := s.json(m.MediaType, m)
	s.name(lacking, "lacking")
	m.Layers = m.Layers[:1]
	root := s.json(m.MediaType, m)
	s.name(root, "v1")
	from, to, dir := openLayout(t, s.dir(), nil), images.Of(client.Repository("team/app")), t.TempDir()
	ctx := t.Context()
	if _, err := images.Copy(ctx, from, "lacking", to, "lacking", nil); !errors.Is(err, images.ErrIncomplete) || strings.ContainsAny(err.Error(), "\x1b\r\n") {
		t.Errorf("%q", err)
	}
	if _, err := images.Copy(ctx, from, "v1", to, "v1", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Pull(ctx, client.Repository("team/app"), "v1", dir, nil); err != nil {
		t.Fatal(err)
	}
	s.holds(dir, root)
	if tree, err := images.Tree(ctx, to, "v1"); err != nil || strings.ContainsAny(tree.String(), "\x1b\r\n") {
		t.Errorf("%q, %v", tree, err)
	}
	for f, err := range images.Files(ctx, to, "v1") {
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(f.Content); err != nil || string(content) != "layer" || f.Name != hostile {
			t.Errorf("%q of %q, %v", content, f.Name, err)
		}
	}
}

// Layers that are not to be distributed stay behind, unless they are there and asked for.
func TestCopyForeignLayers(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: acr.MediaTypeDockerManifest,
		Config: s.blob("application/vnd.docker.container.image.v1+json", []byte(`{"os":"windows"}`)),
		Layers: []ocispec.Descriptor{s.blob(foreign, []byte("windows base")), s.blob("application/vnd.docker.image.rootfs.diff.tar.gzip", []byte("layer"))},
	}
	m.Layers[0].URLs = []string{"https://example.com/base"}
	root := s.json(m.MediaType, m)
	s.name(root, "v1")
	from := openLayout(t, s.dir(), nil)
	srv, client := newRegistry(t, nil...)
	report, err := images.Copy(t.Context(), from, "v1", images.Of(client.Repository("team/app")), "v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if srv.HasBlob("team/app", m.Layers[0].Digest) || report.Nodes[len(report.Nodes)-1].Action != images.Leave {
		t.Errorf("the layer was copied: %s", marshal(t, report))
	}
	if _, err := images.Copy(t.Context(), from, "v1", images.Of(client.Repository("team/all")), "v1", &images.CopyOptions{Foreign: true}); err != nil || !srv.HasBlob("team/all", m.Layers[0].Digest) {
		t.Errorf("the layer was not copied: %v", err)
	}
}

// A source that lies: manifests under digests that are not theirs, in a circle.
func TestCopyLyingSource(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	a, b := describe("a"), describe("b")
	a.MediaType, b.MediaType = ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageIndex
	from := newMemory()
	for self, other := range map[digest.Digest]ocispec.Descriptor{a.Digest: b, b.Digest: a} {
		raw := marshal(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: a.MediaType, Manifests: []ocispec.Descriptor{other}})
		from.blobs[self] = raw
	}
	a.Size = int64(len(from.blobs[a.Digest]))
	from.tags["v1"] = a
	_, client := newRegistry(t)
	if _, err := images.Copy(t.Context(), from, "v1", images.Of(client.Repository("team/app")), "v1", nil); !errors.Is(err, acr.ErrDigestMismatch) {
		t.Errorf("%v", err)
	}
	// A layer with other bytes.
	root := s.image("amd64", "layer")
	liar := s.memory(root)
	liar.blobs[digest.FromString("layer")] = []byte("LAYER")
	dir := t.TempDir()
	for _, to := range []images.Target{images.Of(client.Repository("team/app")), openLayout(t, dir, &images.LayoutOptions{Create: true})} {
		_, err := images.Copy(t.Context(), liar, "v1", to, "v1", nil)
		if e, ok := errors.AsType[*images.CopyError](err); !errors.Is(err, acr.ErrDigestMismatch) || !ok || e.Side != images.FromSource || e.Descriptor.Digest != digest.FromString("layer") {
			t.Errorf("%v", err)
		}
	}
	noTemporaryFiles(t, dir)
	var index ocispec.Index
	if err := json.Unmarshal(readFile(t, filepath.Join(dir, "index.json")), &index); err != nil || len(index.Manifests) != 0 {
		t.Errorf("%+v, %v", index, err)
	}
}
