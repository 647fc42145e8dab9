package graph

import ocispec "github.com/opencontainers/image-spec/specs-go/v1"

// Media types that image-spec has no names for.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeArtifactManifest   = "application/vnd.oci.artifact.manifest.v1+json"       // of a release candidate of OCI 1.1
	MediaTypeORASManifest       = "application/vnd.cncf.oras.artifact.manifest.v1+json" // its predecessor, which ACR accepted first
)

// Kind says how a manifest is read.
type Kind string

// The kinds.
const (
	KindUnknown  Kind = "unknown"
	KindImage    Kind = "image"    // config and layers
	KindIndex    Kind = "index"    // manifests
	KindArtifact Kind = "artifact" // blobs
)

// KindOf returns the kind of manifests of a media type.
func KindOf(mediaType string) Kind {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, MediaTypeDockerManifest:
		return KindImage
	case ocispec.MediaTypeImageIndex, MediaTypeDockerManifestList:
		return KindIndex
	case MediaTypeArtifactManifest, MediaTypeORASManifest:
		return KindArtifact
	default:
		return KindUnknown
	}
}

// NamesManifests reports whether a manifest of this media type may name other manifests, as children or as its subject.
// Docker's image manifest cannot: it has no subject. Its layers are blobs, though a registry does not hinder anybody from
// naming a manifest there.
func NamesManifests(mediaType string) bool { return mediaType != MediaTypeDockerManifest }

// IsForeign reports whether a layer of this media type must not be distributed by a registry. Such a layer is usually not
// in the registry at all.
func IsForeign(mediaType string) bool {
	switch mediaType {
	case "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		ocispec.MediaTypeImageLayerNonDistributable,     //nolint:staticcheck // deprecated, and still in registries
		ocispec.MediaTypeImageLayerNonDistributableGzip, //nolint:staticcheck // the same
		ocispec.MediaTypeImageLayerNonDistributableZstd: //nolint:staticcheck // the same
		return true
	}
	return false
}

// Platform returns a platform as "os/architecture" or "os/architecture/variant"; "" for nil.
func Platform(p *ocispec.Platform) string {
	if p == nil {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}
