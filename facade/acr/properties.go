package acr

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// Attributes say what may be done with a repository, a tag or a manifest. All are true at first.
// Attributes that are missing in a response are reported as true.
//
// The attributes of a repository, of its manifests and of its tags are independent of each other,
// and all apply. For example, a tag of a repository with WriteEnabled false cannot be deleted,
// although the attributes of the tag do not show the lock. There is one exception: DeleteEnabled of
// a repository does not protect its manifests and tags. The attributes of a manifest do not show
// that one of its tags is locked. Lists omit manifests and tags with ListEnabled false. If an index
// is omitted, its manifests look as if nothing referred to them.
//
// A program that deletes unused manifests should therefore read the attributes of the repository,
// of the manifest and of each of its tags right before it deletes the manifest. It should also
// compare the number of listed manifests with ManifestCount in the repository's properties, which
// includes the omitted ones. If it has listed fewer, an index may be omitted, and it should delete
// nothing in that repository. Package retention does both.
type Attributes struct {
	DeleteEnabled bool // may be deleted, if WriteEnabled is true too
	WriteEnabled  bool // may be changed and overwritten, and deleted if DeleteEnabled is true too
	ListEnabled   bool // is included in lists
	ReadEnabled   bool // may be pulled
}

// ChangeableAttributes is a change of attributes. Nil leaves an attribute as it is; new(false) and
// new(true) set it.
//
// WriteEnabled false prevents deletion too; DeleteEnabled false prevents only deletion. A tag and
// its manifest are locked separately. See
// https://learn.microsoft.com/azure/container-registry/container-registry-image-lock.
type ChangeableAttributes struct {
	DeleteEnabled, WriteEnabled, ListEnabled, ReadEnabled *bool

	// QuarantineState is the verdict of a scanner. If a registry has quarantine, a manifest that is
	// pushed cannot be pulled until a scanner sets new("Passed"); new("Failed") keeps it in
	// quarantine. QuarantineDetails is a JSON document of the scanner. Only manifests have these
	// two attributes. Changing them requires the role AcrQuarantineWriter.
	//
	// Preview: the quarantine is not part of a published API version and may change.
	QuarantineState, QuarantineDetails *string
}

// RepositoryProperties are the properties of a repository.
type RepositoryProperties struct {
	Registry       string // host of the registry, as reported by the registry
	Name           string
	CreatedTime    time.Time
	LastUpdateTime time.Time
	ManifestCount  int
	TagCount       int
	Attributes     Attributes
}

// TagProperties are the properties of a tag.
type TagProperties struct {
	Registry       string // host of the registry, as reported by the registry
	Repository     string
	Name           string
	Digest         digest.Digest // of the manifest it points to
	CreatedTime    time.Time
	LastUpdateTime time.Time
	Signed         bool // signed with Docker content trust
	Attributes     Attributes
}

// ManifestProperties are the properties of a manifest. They do not include the subject of a
// referrer: get the manifest and decode it with [Manifest.Image] or [Manifest.Index], or list
// [Repository.Referrers] of the subject.
//
// Size does not include the config and the manifest itself. The Size of an index is what the
// registry reports: the bytes of the manifests that it names, not of their layers. For those, get
// the properties of each of its References and add up their Size.
//
// An index has References and a MediaType of an index (ocispec.MediaTypeImageIndex or
// [MediaTypeDockerManifestList]); everything else is a single manifest.
type ManifestProperties struct {
	Registry        string // host of the registry, as reported by the registry
	Repository      string
	Digest          digest.Digest
	Size            int64 // bytes of the layers as stored; for an index see the comment of ManifestProperties
	CreatedTime     time.Time
	LastUpdateTime  time.Time
	MediaType       string
	ConfigMediaType string
	Architecture    string              // empty for an index
	OS              string              // empty for an index
	Tags            []string            // nil when untagged
	References      []ManifestReference // the manifests of an index
	Attributes      Attributes
	// QuarantineState and QuarantineDetails are set in registries with quarantine; see
	// [ChangeableAttributes].
	QuarantineState, QuarantineDetails string
}

// ManifestReference is a manifest of an index, as reported in the properties of the index.
type ManifestReference struct {
	Digest       digest.Digest
	Architecture string
	OS           string
}

// DeletedRepository lists what was deleted with a repository.
type DeletedRepository struct {
	Manifests []digest.Digest
	Tags      []string
}

// patch returns the change of a repository or tag as a request body. It fails if nothing is set.
func (a ChangeableAttributes) patch() (gen.AttributesPatch, error) {
	if a.quarantine() {
		return gen.AttributesPatch{}, badArgument("QuarantineState", "", "only a manifest has a quarantine: use UpdateManifestAttributes")
	}
	return gen.AttributesPatch{
		DeleteEnabled: a.DeleteEnabled,
		WriteEnabled:  a.WriteEnabled,
		ListEnabled:   a.ListEnabled,
		ReadEnabled:   a.ReadEnabled,
	}, a.set()
}

// patchManifest returns the change of a manifest as a request body. It fails if nothing is set.
func (a ChangeableAttributes) patchManifest() (gen.ManifestAttributesPatch, error) {
	err := a.set()
	if a.QuarantineDetails != nil && *a.QuarantineDetails != "" && !json.Valid([]byte(*a.QuarantineDetails)) {
		err = badArgument("QuarantineDetails", *a.QuarantineDetails, "not a JSON document")
	}
	if a.QuarantineState != nil && !wire.IsVisible(*a.QuarantineState) {
		err = badArgument("QuarantineState", *a.QuarantineState, "it may contain printable ASCII only, without blanks")
	}
	return gen.ManifestAttributesPatch{
		DeleteEnabled:     a.DeleteEnabled,
		WriteEnabled:      a.WriteEnabled,
		ListEnabled:       a.ListEnabled,
		ReadEnabled:       a.ReadEnabled,
		QuarantineState:   a.QuarantineState,
		QuarantineDetails: a.QuarantineDetails,
	}, err
}

// set fails if no attribute is set.
func (a ChangeableAttributes) set() error {
	if a == (ChangeableAttributes{}) {
		return badArgument("attributes", "", "none is set, so there is nothing to change")
	}
	return nil
}

// quarantine reports whether the change is one of the quarantine.
func (a ChangeableAttributes) quarantine() bool {
	return a.QuarantineState != nil || a.QuarantineDetails != nil
}
