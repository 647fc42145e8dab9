package images

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// Report says what Copy did, or with Plan what Copy would do. After a failure only Bytes says what
// was done; Nodes and Tags say what was to be done.
type Report struct {
	Root       ocispec.Descriptor `json:"root"`  // of the copy; it differs from the source if platforms were selected
	Nodes      []Node             `json:"nodes"` // blobs, then manifests in the order in which they are put
	Tags       []TagMove          `json:"tags"`  // in the order in which they are set; the given tag is the last
	Bytes      Bytes              `json:"bytes"`
	Protection *Protection        `json:"protection,omitzero"` // what CopyOptions.Protect locked
}

// Node is a manifest or blob of a copy.
type Node struct {
	Descriptor ocispec.Descriptor `json:"descriptor"`
	Parent     digest.Digest      `json:"parent,omitzero"` // the manifest that led to it first; "" for the root
	Role       string             `json:"role"`            // "index", "image", "artifact", "referrer", "config" or "layer"
	Action     Action             `json:"action"`
}

// Action is what a copy does with a manifest or blob.
type Action string

// The actions.
const (
	Send    Action = "send"
	Mount   Action = "mount"   // mounted from another repository of the target's registry
	Present Action = "present" // the target has it already
	Leave   Action = "leave"   // not copied: another platform, a nondistributable layer, or a referrer of an index that was replaced
)

// TagMove is a tag that a copy sets.
type TagMove struct {
	Tag  string        `json:"tag"`
	From digest.Digest `json:"from,omitzero"` // the manifest that it pointed to; "" if the target did not have the tag
	To   digest.Digest `json:"to"`
}

// Bytes counts the bytes of manifests and blobs. A blob that several manifests name is counted
// once.
type Bytes struct {
	Total   int64 `json:"total"` // without what is left out
	Present int64 `json:"present"`
	Mounted int64 `json:"mounted"`
	Sent    int64 `json:"sent"`
	Resent  int64 `json:"resent,omitzero"` // sent again after a failure; not part of Sent
}

// Done returns how many bytes of Total are at the target.
func (b Bytes) Done() int64 { return b.Present + b.Mounted + b.Sent }

// Side is one of the two sides of a copy.
type Side string

// The sides.
const (
	FromSource Side = "source"
	AtTarget   Side = "target"
)

// CopyError says at which manifest, blob or tag a copy failed, and whether at the source or at the
// target.
type CopyError struct {
	Side       Side
	Place      string             // the repository or layout of that side
	Role       string             // of a manifest or blob as in Node; otherwise "reference", "tag" or "repository"
	Name       string             // the reference, tag or repository; empty for a manifest or blob
	Descriptor ocispec.Descriptor // of a manifest or blob
	Err        error
}

// Error returns one line with side, place, node and cause.
func (e *CopyError) Error() string {
	name := cmp.Or(e.Name, string(e.Descriptor.Digest))
	what := e.Role + " " + shown(name) + ": "
	invalid, ok := errors.AsType[*acr.ArgumentError](e.Err)
	if name == "" || ok && invalid.Value == e.Name && e.Name != "" {
		what = "" // there is no name, or the cause has it
	}
	return fmt.Sprintf("images: %s %s: %s%s", e.Side, shown(e.Place), what, printable(fmt.Sprint(e.Err)))
}

// Unwrap returns the cause.
func (e *CopyError) Unwrap() error { return e.Err }
