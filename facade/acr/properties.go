package acr

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/gen"
)

// Attributes says what may be done with a repository, a tag or a manifest. The registry starts each of them as true, and so does this
// package where a reply leaves one out.
type Attributes struct {
	DeleteEnabled bool // it can be deleted
	WriteEnabled  bool // it can be changed, overwritten and deleted
	ListEnabled   bool // lists show it
	ReadEnabled   bool // it can be pulled
}

// ChangeableAttributes is a change of attributes: nil leaves one as it is, new(false) and new(true) set it.
//
// WriteEnabled false blocks deletion too, DeleteEnabled false blocks deletion alone. A tag and the manifest it points to are locked
// apart. See https://learn.microsoft.com/azure/container-registry/container-registry-image-lock.
type ChangeableAttributes struct {
	DeleteEnabled, WriteEnabled, ListEnabled, ReadEnabled *bool
}

// RepositoryProperties is what the registry reports of a repository.
type RepositoryProperties struct {
	Registry       string // host of the registry, as it names itself
	Name           string
	CreatedTime    time.Time
	LastUpdateTime time.Time
	ManifestCount  int
	TagCount       int
	Attributes     Attributes
}

// TagProperties is what the registry reports of a tag.
type TagProperties struct {
	Registry       string // host of the registry, as it names itself
	Repository     string
	Name           string
	Digest         digest.Digest // of the manifest it points to
	CreatedTime    time.Time
	LastUpdateTime time.Time
	Signed         bool // by Docker content trust
	Attributes     Attributes
}

// ManifestProperties is what the registry reports of a manifest. The subject of a referrer is not in it: Manifest.Image or Index of what
// GetManifest gives tells it, or Repository.Referrers of the subject.
type ManifestProperties struct {
	Registry        string // host of the registry, as it names itself
	Repository      string
	Digest          digest.Digest
	Size            int64 // bytes of the layers of the image as stored, without its config and the manifest itself
	CreatedTime     time.Time
	LastUpdateTime  time.Time
	MediaType       string
	ConfigMediaType string
	Architecture    string              // empty for an index
	OS              string              // empty for an index
	Tags            []string            // nil when untagged
	References      []ManifestReference // the manifests of an index
	Attributes      Attributes
	// QuarantineState and QuarantineDetails are set in registries with quarantine; the details are a JSON document.
	QuarantineState, QuarantineDetails string
}

// ManifestReference is one manifest of an index, as the registry's properties report it.
type ManifestReference struct {
	Digest       digest.Digest
	Architecture string
	OS           string
}

// DeletedRepository is what the deletion of a repository took with it.
type DeletedRepository struct {
	Manifests []digest.Digest
	Tags      []string
}

// patch checks that a change changes something, and gives it as a request body.
func (a ChangeableAttributes) patch() (gen.AttributesPatch, error) {
	if a == (ChangeableAttributes{}) {
		return gen.AttributesPatch{}, badArgument("attributes", "", "none is set, so there is nothing to change")
	}
	return gen.AttributesPatch{
		DeleteEnabled: a.DeleteEnabled,
		WriteEnabled:  a.WriteEnabled,
		ListEnabled:   a.ListEnabled,
		ReadEnabled:   a.ReadEnabled,
	}, nil
}
