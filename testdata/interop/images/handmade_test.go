package images_test

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/types/ref"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	dockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// maker makes images of a kind whose own program cannot run here.
type maker struct {
	t *testing.T
	fixture.Layout

	entries []ocispec.Descriptor
}

// image adds an image and returns its descriptor with a platform.
func (m *maker) image(mediaType, configType, architecture string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	m.t.Helper()
	platform := &ocispec.Platform{OS: "linux", Architecture: architecture}
	d := m.JSON(m.t, mediaType, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType, Layers: layers,
		Config: m.JSON(m.t, configType, ocispec.Image{Platform: *platform, RootFS: ocispec.RootFS{Type: "layers"}}),
	})
	d.Platform = platform
	return d
}

// layer adds a layer.
func (m *maker) layer(mediaType, content string) ocispec.Descriptor {
	return m.Blob(m.t, mediaType, []byte(content))
}

func (m *maker) index(mediaType string, manifests ...ocispec.Descriptor) ocispec.Descriptor {
	m.t.Helper()
	return m.JSON(m.t, mediaType, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType, Manifests: manifests})
}

// name enters a manifest in index.json.
func (m *maker) name(d ocispec.Descriptor, name string) {
	m.t.Helper()
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	m.entries = append(m.entries, d)
	m.Names(m.t, m.entries...)
}

// Kinds of images that are made here as their programs make them, taken around and back, and copied by regclient afterwards.
func TestHandmade(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(m *maker) ocispec.Descriptor{
		"docker list": func(m *maker) ocispec.Descriptor {
			return m.index(dockerList, m.image(dockerManifest, dockerConfig, "amd64", m.layer(dockerLayer, "a")),
				m.image(dockerManifest, dockerConfig, "arm64", m.layer(dockerLayer, "b")))
		},
		"foreign layers": func(m *maker) ocispec.Descriptor {
			foreign := m.layer(dockerForeign, "of Windows")
			foreign.URLs = []string{"https://mcr.example.invalid/layer"}
			return m.image(dockerManifest, dockerConfig, "amd64", foreign, m.layer(dockerLayer, "b"))
		},
		"BuildKit": buildKit,
		"cosign": func(m *maker) ocispec.Descriptor {
			root := m.index(ocispec.MediaTypeImageIndex, m.image(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, "amd64"))
			for _, suffix := range []string{".sig", ".att", ".sbom"} {
				m.name(m.image(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, "", m.layer("application/vnd.dev.cosign.simplesigning.v1+json", suffix)),
					"sha256-"+root.Digest.Encoded()+suffix)
			}
			return root
		},
		"sha512": func(m *maker) ocispec.Descriptor {
			long := m.BlobOf(m.t, digest.SHA512, ocispec.MediaTypeImageLayer, []byte("a layer with a long digest"))
			return m.image(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, "amd64", long)
		},
		"nested indexes": func(m *maker) ocispec.Descriptor {
			d := m.image(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, "amd64", m.layer(ocispec.MediaTypeImageLayer, "deep"))
			for range 5 {
				d = m.index(ocispec.MediaTypeImageIndex, d)
			}
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &maker{t: t, Layout: fixture.Empty(t)}
			root := build(m)
			m.name(root, "v1")
			dir, _ := around(t, open(t, m.Dir), "v1")

			srv := acrtest.New(t)
			back(t, dir, newClient(t, srv).Repository("back/app"), root)
			user, password := srv.Admin()
			rc := regclient.New(regclient.WithConfigHost(config.Host{Name: srv.Host(), RegCert: string(srv.CA()), User: user, Pass: password}))
			theirs := t.TempDir()
			if err := rc.ImageCopy(t.Context(), must[ref.Ref](t)(ref.New(srv.Host()+"/back/app:v1")), must[ref.Ref](t)(ref.New("ocidir://"+theirs+":v1")),
				regclient.ImageWithReferrers(), regclient.ImageWithDigestTags()); err != nil {
				t.Fatal(err)
			}
			sameBlobs(t, m.Dir, theirs, name == "foreign layers")
		})
	}
}

// buildKit is an index as BuildKit writes it: for each image an attestation that only annotations tie to it.
func buildKit(m *maker) ocispec.Descriptor {
	m.t.Helper()
	var manifests []ocispec.Descriptor
	for _, architecture := range []string{"amd64", "arm64"} {
		image := m.image(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, architecture, m.layer(ocispec.MediaTypeImageLayerGzip, architecture))
		statement := m.layer("application/vnd.in-toto+json", `{"predicateType":"https://slsa.dev/provenance/v0.2","subject":"`+architecture+`"}`)
		statement.Annotations = map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}
		attestation := m.image(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, "unknown", statement)
		attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
		attestation.Annotations = map[string]string{
			"vnd.docker.reference.digest": string(image.Digest), "vnd.docker.reference.type": "attestation-manifest",
		}
		manifests = append(manifests, image, attestation)
	}
	return m.index(ocispec.MediaTypeImageIndex, manifests...)
}

// sameBlobs demands that every blob of a layout is in another one. Layers that are not to be distributed may be missing.
func sameBlobs(t *testing.T, dir, other string, foreign bool) {
	t.Helper()
	missing := 0
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(other, name))
		if err != nil || string(got) != string(want) {
			missing++
			if !foreign || missing > 1 {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What "docker save" writes since version 25: a layout that may lack platforms, with a manifest.json beside index.json.
func TestDockerSave(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := &maker{t: t, Layout: fixture.Empty(t)}
	amd64 := m.image(dockerManifest, dockerConfig, "amd64", m.layer(dockerLayer, "a"))
	arm64 := m.image(dockerManifest, dockerConfig, "arm64", m.layer(dockerLayer, "b"))
	root := m.index(dockerList, amd64, arm64)
	entry := root
	entry.Annotations = map[string]string{"io.containerd.image.name": "docker.io/library/app:v1", ocispec.AnnotationRefName: "v1"}
	m.Names(t, entry)
	if err := os.Remove(filepath.Join(m.Dir, "blobs", "sha256", arm64.Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"manifest.json": `[{"Config":"blobs/sha256/x","RepoTags":["app:v1"],"Layers":[]}]`, "repositories": "{}"} {
		if err := os.WriteFile(filepath.Join(m.Dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	saved := filepath.Join(t.TempDir(), "saved.tar")
	f := must[*os.File](t)(os.Create(saved))
	w := tar.NewWriter(f)
	if err := errors.Join(w.AddFS(os.DirFS(m.Dir)), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}

	to := newClient(t, acrtest.New(t)).Repository("team/app")
	for _, reference := range []string{"v1", "docker.io/library/app:v1"} {
		if _, err := images.Push(ctx, saved, reference, to, "v1", nil); !errors.Is(err, images.ErrIncomplete) {
			t.Errorf("%s: %v", reference, err)
		}
		opts := &images.CopyOptions{Platforms: []ocispec.Platform{*amd64.Platform}}
		report, err := images.Push(ctx, saved, reference, to, "v1", opts)
		if err != nil || report.Root.Digest != amd64.Digest {
			t.Errorf("%s: %v", reference, err)
		}
	}
	around(t, images.Of(to), "v1")
}
