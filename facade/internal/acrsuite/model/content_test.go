package model_test

import (
	"encoding/json"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// blob is a blob that sequences upload.
type blob struct {
	name    string
	content []byte
	digest  digest.Digest
}

func (b blob) descriptor(mediaType string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: b.digest, Size: int64(len(b.content))}
}

// blobs are all the blobs there are. The first is the configuration of every image.
var blobs = []blob{
	newBlob("config", `{"architecture":"amd64","os":"linux"}`),
	newBlob("layer", strings.Repeat("layer\n", 300)),
	newBlob("empty", ""),
	newBlob("large", strings.Repeat("0123456789abcdef", 1000)),
}

func newBlob(name, content string) blob {
	return blob{name, []byte(content), digest.FromString(content)}
}

// item is a manifest that sequences push.
type item struct {
	name         string
	descriptor   ocispec.Descriptor
	content      []byte
	artifactType string
	blobs        []int // what it names
	parts        []int // the manifests that it names
	subject      int   // -1: none
}

// none stands for no item, no blob or no tag.
const none = -1

// The items, by name.
const (
	firstImage = iota
	secondImage
	artifact
	index
	signature     // of the first image
	countersigned // the signature of the signature
	indexSBOM
	dockerImage
)

// items are all the manifests there are.
var items = makeItems()

func makeItems() (all []item) {
	add := func(name, mediaType, artifactType string, layers, parts []int, subject int) {
		it := item{name: name, artifactType: artifactType, blobs: append([]int{0}, layers...), parts: parts, subject: subject}
		config := blobs[0].descriptor(ocispec.MediaTypeImageConfig)
		if mediaType == acr.MediaTypeDockerManifest {
			config.MediaType = "application/vnd.docker.container.image.v1+json"
		}
		var refers *ocispec.Descriptor
		if subject != none {
			refers = &all[subject].descriptor
		}
		var manifest any
		if mediaType == ocispec.MediaTypeImageIndex {
			it.blobs = nil
			list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType, Manifests: []ocispec.Descriptor{}, Subject: refers}
			for _, p := range parts {
				list.Manifests = append(list.Manifests, all[p].descriptor)
			}
			manifest = list
		} else {
			image := ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType, ArtifactType: artifactType,
				Config: config, Layers: []ocispec.Descriptor{}, Subject: refers,
			}
			for _, l := range layers {
				image.Layers = append(image.Layers, blobs[l].descriptor(ocispec.MediaTypeImageLayer))
			}
			manifest = image
		}
		it.content, _ = json.Marshal(manifest) // of what can be encoded
		it.descriptor = ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(it.content), Size: int64(len(it.content))}
		all = append(all, it)
	}
	add("image1", ocispec.MediaTypeImageManifest, "", []int{1}, nil, none)
	add("image2", ocispec.MediaTypeImageManifest, "", []int{2, 3}, nil, none)
	add("artifact", ocispec.MediaTypeImageManifest, "x/artifact", nil, nil, none)
	add("index", ocispec.MediaTypeImageIndex, "", nil, []int{firstImage, secondImage}, none)
	add("signature", ocispec.MediaTypeImageManifest, "x/signature", []int{1}, nil, firstImage)
	add("countersigned", ocispec.MediaTypeImageManifest, "x/signature", nil, nil, signature)
	add("sbom", ocispec.MediaTypeImageManifest, "x/sbom", []int{3}, nil, index)
	add("docker", acr.MediaTypeDockerManifest, "", []int{1}, nil, none)
	return all
}

// tags are all the tags there are, in order.
var tags = []string{"latest", "v1", "v2", "v3"}

// named returns the name of what has a digest.
func named(d digest.Digest) string {
	for _, it := range items {
		if it.descriptor.Digest == d {
			return it.name
		}
	}
	for _, b := range blobs {
		if b.digest == d {
			return b.name
		}
	}
	return string(d)
}
