package acrtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// SeedImage stores an OCI image for linux/amd64 under a reference such as "samples/app:v1" and
// returns its digest. Without a tag the reference means "latest". Without layers the image gets one
// small layer that contains the reference, so that images of different references differ. The
// creation time is the registry's current time. SeedImage sends no request and adds nothing to the
// ledger.
//
// An invalid reference fails the test. In an example, where there is no test, pass nil for t: then
// the error is logged (see [WithLogger]) and the returned digest is empty. The other Seed methods
// treat t in the same way.
func (s *Server) SeedImage(t testing.TB, reference string, layers ...[]byte) digest.Digest {
	if t != nil {
		t.Helper()
	}
	name, tag, err := splitReference(reference)
	if err == nil {
		var m store.Manifest
		if m, err = s.seeder.seedImage(name, []string{tag}, "amd64", reference, layers); err == nil {
			return m.Digest
		}
	}
	s.failSeed(t, "SeedImage", reference, err)
	return ""
}

// SeedIndex stores an image for each architecture and an index of these images under the reference.
// It returns the digest of the index.
func (s *Server) SeedIndex(t testing.TB, reference string, architectures ...string) digest.Digest {
	if t != nil {
		t.Helper()
	}
	d, err := s.seeder.seedIndex(reference, architectures)
	if err != nil {
		s.failSeed(t, "SeedIndex", reference, err)
	}
	return d
}

// SeedReferrer stores an untagged artifact of the given type whose subject is the given digest,
// such as a signature or an SBOM. It returns the digest of the artifact. The subject need not
// exist. For the same subject and type the artifact is always the same: a second call pushes it
// again, which renews its time of update, and adds no second one.
func (s *Server) SeedReferrer(t testing.TB, repository string, subject digest.Digest, artifactType string) digest.Digest {
	if t != nil {
		t.Helper()
	}
	d, err := s.seeder.seedReferrer(repository, subject, artifactType)
	if err != nil {
		s.failSeed(t, "SeedReferrer", repository, err)
	}
	return d
}

// SeedBlob stores a blob in a repository and returns its digest.
func (s *Server) SeedBlob(t testing.TB, repository string, content []byte) digest.Digest {
	if t != nil {
		t.Helper()
	}
	d, err := s.seeder.seedBlob(repository, content)
	if err != nil {
		s.failSeed(t, "SeedBlob", repository, err)
	}
	return d.Digest
}

// SeedTags adds n tags named t000000, t000001 and so on to a repository. All of them point at one
// image, whose digest is returned. A hundred thousand tags take about a second; n must be between 0
// and ten million.
func (s *Server) SeedTags(t testing.TB, repository string, n int) digest.Digest {
	if t != nil {
		t.Helper()
	}
	d, err := s.seeder.seedTags(repository, n)
	if err != nil {
		s.failSeed(t, "SeedTags", repository, err)
	}
	return d
}

// SeedManifests stores n untagged artifacts in a repository and returns their digests. n must be
// between 0 and ten million.
//
// The artifacts are the same in each call: a second call pushes them again, which renews their time
// of update, and does not add n more. For manifests of different ages call [Server.SeedImage] with
// different references or layers, and [Server.Advance] in between.
func (s *Server) SeedManifests(t testing.TB, repository string, n int) []digest.Digest {
	if t != nil {
		t.Helper()
	}
	digests, err := s.seeder.seedManifests(repository, n)
	if err != nil {
		s.failSeed(t, "SeedManifests", repository, err)
	}
	return digests
}

// seeder puts content into the store without a request.
type seeder struct {
	store        *store.Store
	now          func() time.Time
	allowMissing bool // manifests may name blobs that are not there
}

func (s *seeder) seedImage(name string, tags []string, architecture, text string, layers [][]byte) (store.Manifest, error) {
	if len(layers) == 0 {
		layer, err := smallLayer(text)
		if err != nil {
			return store.Manifest{}, err
		}
		layers = [][]byte{layer}
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	config := ocispec.Image{Platform: ocispec.Platform{Architecture: architecture, OS: "linux"}, RootFS: ocispec.RootFS{Type: "layers"}}
	created := s.now().UTC()
	config.Created = &created
	for _, layer := range layers {
		d, err := s.seedBlob(name, layer)
		if err != nil {
			return store.Manifest{}, err
		}
		d.MediaType = ocispec.MediaTypeImageLayerGzip
		m.Layers = append(m.Layers, d)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID(layer, d.Digest))
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return store.Manifest{}, fmt.Errorf("encode the config: %w", err)
	}
	if m.Config, err = s.seedBlob(name, raw); err != nil {
		return store.Manifest{}, err
	}
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	return s.seedManifest(name, m.MediaType, m, tags...)
}

func (s *seeder) seedIndex(reference string, architectures []string) (digest.Digest, error) {
	name, tag, err := splitReference(reference)
	if err != nil {
		return "", err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for _, architecture := range architectures {
		m, err := s.seedImage(name, nil, architecture, reference+" for "+architecture, nil)
		if err != nil {
			return "", err
		}
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Content)), Platform: &ocispec.Platform{Architecture: architecture, OS: "linux"},
		})
	}
	m, err := s.seedManifest(name, index.MediaType, index, tag)
	return m.Digest, err
}

func (s *seeder) seedReferrer(name string, subject digest.Digest, artifactType string) (digest.Digest, error) {
	if err := subject.Validate(); err != nil {
		return "", err
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Subject: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 0},
	}
	if known, err := s.store.Manifest(name, subject); err == nil {
		m.Subject.MediaType, m.Subject.Size = known.MediaType, int64(len(known.Content))
	}
	if err := s.makeEmpty(name, &m); err != nil {
		return "", err
	}
	referrer, err := s.seedManifest(name, m.MediaType, m)
	return referrer.Digest, err
}

// maxSeeds bounds how many tags or manifests are seeded at once.
const maxSeeds = 10_000_000

func checkSeeds(n int) error {
	if n < 0 || n > maxSeeds {
		return fmt.Errorf("n is %d, but must be between 0 and %d", n, maxSeeds)
	}
	return nil
}

func (s *seeder) seedTags(name string, n int) (digest.Digest, error) {
	if err := checkSeeds(n); err != nil {
		return "", err
	}
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%06d", i)
	}
	m, err := s.seedImage(name, tags, "amd64", name, nil)
	return m.Digest, err
}

func (s *seeder) seedManifests(name string, n int) ([]digest.Digest, error) {
	if err := checkSeeds(n); err != nil {
		return nil, err
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.acrtest.seed"}
	if err := s.makeEmpty(name, &m); err != nil {
		return nil, err
	}
	digests := make([]digest.Digest, n)
	for i := range digests {
		m.Annotations = map[string]string{"seed": strconv.Itoa(i)}
		seeded, err := s.seedManifest(name, m.MediaType, m)
		if err != nil {
			return nil, err
		}
		digests[i] = seeded.Digest
	}
	return digests, nil
}

// makeEmpty gives an artifact the empty config and layer that the image spec has for those without
// content.
func (s *seeder) makeEmpty(name string, m *ocispec.Manifest) error {
	empty := ocispec.DescriptorEmptyJSON
	if _, err := s.seedBlob(name, empty.Data); err != nil {
		return err
	}
	m.Config, m.Layers = empty, []ocispec.Descriptor{empty}
	return nil
}

func (s *seeder) seedManifest(name, mediaType string, manifest any, tags ...string) (store.Manifest, error) {
	raw, err := json.Marshal(manifest)
	if err != nil {
		return store.Manifest{}, fmt.Errorf("encode the manifest: %w", err)
	}
	return s.store.PutManifest(name, store.Push{MediaType: mediaType, Content: raw, Tags: tags, AllowMissing: s.allowMissing})
}

func (s *seeder) seedBlob(name string, content []byte) (ocispec.Descriptor, error) {
	if !isName(name) {
		return ocispec.Descriptor{}, fmt.Errorf("%q is not a repository name", name)
	}
	b, err := s.store.PutBlob(name, bytes.NewReader(content), "")
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: b.Digest, Size: int64(len(content))}, err
}

// splitReference splits "name:tag"; without a tag it is latest.
func splitReference(reference string) (name, tag string, err error) {
	name, tag, ok := strings.Cut(reference, ":")
	if !ok {
		tag = "latest"
	}
	if !isName(name) || !tagGrammar.MatchString(tag) {
		return "", "", fmt.Errorf("%q is not a reference of the form REPOSITORY:TAG", reference)
	}
	return name, tag, nil
}

// smallLayer is an archive with one file. It is the same bytes for the same text.
func smallLayer(text string) ([]byte, error) {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	archive := tar.NewWriter(zip)
	err := archive.WriteHeader(&tar.Header{Name: "hello.txt", Mode: 0o644, Size: int64(len(text)), Format: tar.FormatUSTAR})
	if err == nil {
		_, err = archive.Write([]byte(text))
	}
	if err == nil {
		err = archive.Close()
	}
	if err == nil {
		err = zip.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("make a layer: %w", err)
	}
	return b.Bytes(), nil
}

// diffID is the digest of an unpacked layer; that of the layer itself where it is not packed.
func diffID(layer []byte, packed digest.Digest) digest.Digest {
	zip, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		return packed
	}
	d, err := digest.FromReader(zip)
	if err != nil {
		return packed
	}
	return d
}

func (s *Server) failSeed(t testing.TB, what, name string, err error) {
	text := fmt.Sprintf("acrtest: %s(%q): %v", what, name, err)
	if t != nil {
		t.Helper()
		t.Fatal(text)
	}
	s.cfg.mistake(text)
}
