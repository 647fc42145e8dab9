package store

import (
	_ "crypto/sha512" // an algorithm of digests
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of Docker's manifests.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
)

// maxConfig bounds what is read of an image's configuration to learn its platform.
const maxConfig = 4 << 20

// wireManifest has what is read of a manifest of any kind.
type wireManifest struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Blobs        []ocispec.Descriptor `json:"blobs"` // of the artifact manifests of ORAS and of OCI's release candidates
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Subject      *ocispec.Descriptor  `json:"subject"`
	Annotations  map[string]string    `json:"annotations"`
}

// parse makes sure of a push's digest and reads the manifest, and the platform from its
// configuration if that is in the repository. No lock is held.
func (st *Store) parse(name string, p Push) (*Manifest, error) {
	got := digest.FromBytes(p.Content)
	if p.Digest != "" && p.Digest != got {
		if p.Digest.Validate() != nil {
			return nil, ErrDigestMismatch
		}
		if got = p.Digest.Algorithm().FromBytes(p.Content); p.Digest != got {
			return nil, ErrDigestMismatch
		}
	}
	if p.Parsed != nil {
		m := *p.Parsed
		m.Digest, m.MediaType, m.Content = got, p.MediaType, p.Content
		return &m, nil
	}
	m, config, err := parseManifest(p.MediaType, p.Content)
	if err != nil {
		return nil, err
	}
	m.Digest = got
	if config != nil {
		m.Architecture, m.OS = st.platform(name, *config)
	}
	return m, nil
}

// parseManifest reads a manifest; config is the descriptor of an image's configuration, if it is
// that of an image.
func parseManifest(mediaType string, content []byte) (m *Manifest, config *ocispec.Descriptor, err error) {
	if len(content) > MaxManifest {
		return nil, nil, fmt.Errorf("%w: more than %d bytes", ErrManifestInvalid, MaxManifest)
	}
	m = &Manifest{MediaType: mediaType, Content: content}
	var w wireManifest
	if err := json.Unmarshal(content, &w); err != nil {
		if strings.HasSuffix(mediaType, "json") || strings.HasSuffix(mediaType, "prettyjws") {
			return nil, nil, fmt.Errorf("%w: %w", ErrManifestInvalid, err)
		}
		return m, nil, nil // any media type is taken, and this one is not JSON
	}
	named := w.MediaType != "" || mediaType == DockerManifest || mediaType == DockerList
	if named && w.MediaType != mediaType {
		return nil, nil, fmt.Errorf("%w: it says it is %q", ErrManifestInvalid, w.MediaType)
	}
	m.ArtifactType, m.Annotations = w.ArtifactType, w.Annotations
	if docker := mediaType == DockerManifest || mediaType == DockerList; w.Subject != nil && !docker {
		if err := w.Subject.Digest.Validate(); err != nil {
			return nil, nil, fmt.Errorf("%w: subject: %w", ErrManifestInvalid, err)
		}
		m.Subject = w.Subject.Digest
	}
	if err := m.readEntries(w); err != nil {
		return nil, nil, err
	}
	if w.Config == nil {
		return m, nil, nil
	}
	m.ConfigMediaType = w.Config.MediaType
	if m.ArtifactType == "" {
		m.ArtifactType = w.Config.MediaType
	}
	if w.Config.MediaType == DockerConfig || w.Config.MediaType == ocispec.MediaTypeImageConfig {
		config = w.Config
	}
	return m, config, nil
}

// readEntries reads the descriptors of what the manifest is made of.
func (m *Manifest) readEntries(w wireManifest) error {
	blobs := append(w.Layers, w.Blobs...)
	for _, d := range blobs {
		m.ImageSize += d.Size
	}
	if w.Config != nil {
		blobs = append(blobs, *w.Config)
	}
	seen := make(map[digest.Digest]bool, len(blobs))
	for _, d := range blobs {
		if err := d.Digest.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrManifestInvalid, err)
		}
		if seen[d.Digest] || foreign(d) {
			continue
		}
		seen[d.Digest] = true
		m.Blobs = append(m.Blobs, d.Digest)
	}
	for _, d := range w.Manifests {
		if err := d.Digest.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrManifestInvalid, err)
		}
		m.ImageSize += d.Size
		ref := Reference{Digest: d.Digest}
		if d.Platform != nil {
			ref.Architecture, ref.OS = d.Platform.Architecture, d.Platform.OS
		}
		m.References = append(m.References, ref)
	}
	return nil
}

// foreign says whether a layer lies elsewhere: it need not be pushed.
func foreign(d ocispec.Descriptor) bool {
	return len(d.URLs) > 0 || strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".foreign.")
}

// platform reads architecture and operating system from an image's configuration; it is none where
// that cannot be read.
func (st *Store) platform(name string, config ocispec.Descriptor) (architecture, os string) {
	st.mu.RLock()
	l := st.primary.linked(name, config.Digest)
	var b Blob
	if l != nil {
		b = l.properties(name) // while locked: another push may renew the link's time
	}
	st.mu.RUnlock()
	if l == nil || b.Size > maxConfig {
		return "", ""
	}
	r, err := b.Open()
	if err != nil {
		return "", ""
	}
	defer func() { _ = r.Close() }() // it was only read
	var image struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
	}
	if json.NewDecoder(io.NewSectionReader(r, 0, b.Size)).Decode(&image) != nil {
		return "", ""
	}
	return image.Architecture, image.OS
}
