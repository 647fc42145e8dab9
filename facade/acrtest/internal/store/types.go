package store

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Attributes are the four changeable flags of a repository, a tag or a manifest, and the two
// quarantine fields of a manifest. They are kept as disabled flags so that the zero value is what
// the service gives a new object: all enabled.
type Attributes struct {
	DeleteDisabled    bool   `json:"deleteDisabled,omitzero"`
	WriteDisabled     bool   `json:"writeDisabled,omitzero"`
	ReadDisabled      bool   `json:"readDisabled,omitzero"`
	ListDisabled      bool   `json:"listDisabled,omitzero"`
	QuarantineState   string `json:"quarantineState,omitzero"`
	QuarantineDetails string `json:"quarantineDetails,omitzero"`
}

// Change is a partial update of Attributes: a nil field leaves the flag as it is.
type Change struct {
	Delete, Write, Read, List          *bool // true enables
	QuarantineState, QuarantineDetails *string
}

// Repository is a snapshot of a repository's properties.
type Repository struct {
	Name             string
	Created, Updated time.Time
	Manifests, Tags  int
	Attributes       Attributes
}

// Tag is a snapshot of a tag.
type Tag struct {
	Name             string
	Digest           digest.Digest
	Created, Updated time.Time
	Attributes       Attributes
	Deleted          time.Time // when it was deleted; zero for a live tag
}

// Reference is one entry of an index.
type Reference struct {
	Digest       digest.Digest `json:"digest"`
	Architecture string        `json:"architecture,omitzero"`
	OS           string        `json:"os,omitzero"`
}

// Manifest is a snapshot of a manifest: its bytes, what was read from them, and its properties. The
// slices and maps in it are shared and must not be changed.
type Manifest struct {
	Digest           digest.Digest     `json:"digest"`
	MediaType        string            `json:"mediaType"`
	Content          []byte            `json:"content"`
	ConfigMediaType  string            `json:"configMediaType,omitzero"`
	ArtifactType     string            `json:"artifactType,omitzero"` // the config's media type where the manifest has none of its own
	Architecture     string            `json:"architecture,omitzero"`
	OS               string            `json:"os,omitzero"`
	ImageSize        int64             `json:"imageSize,omitzero"` // layers of an image, manifests of an index
	Subject          digest.Digest     `json:"subject,omitzero"`
	References       []Reference       `json:"references,omitempty"`
	Blobs            []digest.Digest   `json:"blobs,omitempty"` // config and layers that must be in the repository
	Annotations      map[string]string `json:"annotations,omitempty"`
	Created, Updated time.Time         `json:"-"`
	Attributes       Attributes        `json:"-"`
	Tags             []string          `json:"-"` // in order of name; not filled in by Referrers
	Deleted          time.Time         `json:"-"` // when it was deleted; zero for a live manifest
}

// Times says which changes move the time of a manifest's last update.
type Times string

// The ways of a registry with these times.
const (
	TimesPush  Times = ""      // a push of the manifest
	TimesFixed Times = "fixed" // none
	TimesTags  Times = "tags"  // a push, and each tag that is put on the manifest or leaves it
)

// Order is the order of a list.
type Order int

// The orders a list can have. Lists by time go by the time of the last update and then by key.
const (
	ByKey Order = iota
	ByTimeAscending
	ByTimeDescending
)

// Page says which part of a list is wanted: at most N entries that come after the entry with the
// key After. After need not exist in a list by key. In a list by time its place is where the entry
// stood when it was last in the list.
type Page struct {
	After string
	N     int
	Order Order
}

// Push is a manifest to be stored.
type Push struct {
	MediaType string
	Content   []byte
	Digest    digest.Digest // what the content must hash to; empty: sha256
	Tags      []string      // tags to point at it
	// AllowMissing takes manifests whose config, layers or entries are not in the repository.
	AllowMissing bool
	// KeepTags refuses to point an existing tag at another manifest.
	KeepTags bool
	// Parsed, when set, spares the parse of Content: for seeding many manifests of one shape.
	Parsed *Manifest
}
