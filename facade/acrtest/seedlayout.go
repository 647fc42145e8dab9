package acrtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// SeedLayout stores in a repository everything that the index of the OCI image layout in dir refers
// to. Manifests get the tags in org.opencontainers.image.ref.name. Symbolic links that
// lead out of dir are not followed.
func (s *Server) SeedLayout(t testing.TB, repository, dir string) {
	if t != nil {
		t.Helper()
	}
	if err := s.seeder.seedLayout(repository, dir); err != nil {
		s.failSeed(t, "SeedLayout", dir, err)
	}
}

// maxIndexDepth bounds how deep indexes may lie in each other.
const maxIndexDepth = 8

func (s *seeder) seedLayout(name, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	raw, err := root.ReadFile(ocispec.ImageIndexFile)
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	for _, d := range index.Manifests {
		tag := d.Annotations[ocispec.AnnotationRefName]
		if err := s.seedLayoutManifest(root, name, d, tag, 0); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) seedLayoutManifest(root *os.Root, name string, d ocispec.Descriptor, tag string, depth int) error {
	if depth > maxIndexDepth {
		return fmt.Errorf("indexes are nested more than %d deep", maxIndexDepth)
	}
	f, err := openBlob(root, d.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 4<<20+1))
	if err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	var m struct {
		Config    *ocispec.Descriptor  `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, b := range blobs {
		if err := s.seedLayoutBlob(root, name, b.Digest); err != nil {
			return err
		}
	}
	for _, child := range m.Manifests {
		if err := s.seedLayoutManifest(root, name, child, "", depth+1); err != nil {
			return err
		}
	}
	push := store.Push{MediaType: d.MediaType, Content: raw, Digest: d.Digest, AllowMissing: s.allowMissing}
	if tag != "" {
		if !tagGrammar.MatchString(tag) {
			return fmt.Errorf("%q is not a tag", tag)
		}
		push.Tags = []string{tag}
	}
	if !isName(name) {
		return fmt.Errorf("%q is not a repository name", name)
	}
	_, err = s.store.PutManifest(name, push)
	return err
}

func (s *seeder) seedLayoutBlob(root *os.Root, name string, d digest.Digest) error {
	f, err := openBlob(root, d)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := s.store.PutBlob(name, f, d); err != nil {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	return nil
}

func openBlob(root *os.Root, d digest.Digest) (*os.File, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", d, err)
	}
	return root.Open(path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()))
}
