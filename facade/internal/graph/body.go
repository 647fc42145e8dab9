package graph

import (
	"bytes"
	_ "crypto/sha256" // digests of these algorithms are valid in manifests, whatever else the program imports
	_ "crypto/sha512" // (384 too)
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxSize is the largest manifest that Read accepts, in bytes. The OCI distribution specification asks registries to accept
// manifests of at least this size, and the Azure Container Registry accepts no larger ones.
const MaxSize = 4 << 20

// Errors of Read.
var (
	// ErrMalformed is returned for content that is not what its media type says, or that names something by an invalid digest.
	ErrMalformed = errors.New("malformed manifest")
	// ErrTooLarge is returned for content of more than MaxSize bytes.
	ErrTooLarge = errors.New("manifest too large")
)

// Role says how a manifest names something.
type Role string

// The roles.
const (
	RoleChild   Role = "child"   // a manifest of an index
	RoleConfig  Role = "config"  // the config of an image
	RoleLayer   Role = "layer"   // a layer of an image, or a blob of an artifact
	RoleSubject Role = "subject" // the manifest that a referrer refers to
	RoleNamed   Role = "named"   // a digest in a manifest of an unknown kind
)

// Body is what a manifest names.
type Body struct {
	Kind         Kind
	MediaType    string
	ArtifactType string // as a registry lists it among referrers: the config's media type if the manifest has no artifactType
	Annotations  map[string]string
	Children     []ocispec.Descriptor // manifests of an index
	Config       *ocispec.Descriptor
	Layers       []ocispec.Descriptor // layers of an image, or blobs of an artifact manifest
	Subject      *ocispec.Descriptor
	Named        []digest.Digest // every other digest in the content; only for KindUnknown
}

// Read returns what a manifest of the media type names. An empty media type is taken from the content.
//
// Errors:
//   - [ErrTooLarge] if content has more than MaxSize bytes
//   - [ErrMalformed] if content of a known kind is not a JSON object, or names something by an invalid digest or a negative size
func Read(mediaType string, content []byte) (*Body, error) {
	if len(content) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(content), MaxSize)
	}
	b := &Body{MediaType: mediaType}
	r := reader{body: b}
	err := r.object(content)
	if b.MediaType == "" {
		b.MediaType = r.mediaType
	}
	b.Kind = KindOf(b.MediaType)
	if b.Kind == KindUnknown {
		return &Body{Kind: KindUnknown, MediaType: b.MediaType, ArtifactType: r.artifactType, Subject: r.validSubject(), Named: digestsIn(content)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	b.ArtifactType = r.artifactType
	if b.ArtifactType == "" && b.Config != nil && b.Config.MediaType != ocispec.MediaTypeEmptyJSON {
		b.ArtifactType = b.Config.MediaType
	}
	return b, nil
}

// reader collects the members of a manifest. It reads the members one by one, because encoding/json keeps only the last of
// two members with the same name: a manifest could hide what it needs from this program and show it to another.
type reader struct {
	body                    *Body
	mediaType, artifactType string
}

func (r *reader) object(content []byte) error {
	d := json.NewDecoder(bytes.NewReader(content))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if err := r.member(d, name); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func (r *reader) member(d *json.Decoder, name string) error {
	b := r.body
	switch name {
	case "mediaType":
		return d.Decode(&r.mediaType)
	case "artifactType":
		return d.Decode(&r.artifactType)
	case "annotations":
		return d.Decode(&b.Annotations)
	case "manifests":
		return appendAll(d, &b.Children)
	case "layers", "blobs":
		return appendAll(d, &b.Layers)
	case "config":
		return r.one(d, &b.Config)
	case "subject":
		return r.one(d, &b.Subject)
	default:
		return d.Decode(new(json.RawMessage))
	}
}

func appendAll(d *json.Decoder, to *[]ocispec.Descriptor) error {
	var more []ocispec.Descriptor
	err := d.Decode(&more)
	*to = append(*to, more...)
	return err
}

// one takes a member that may be there once. Of a second config or subject nobody can say which one counts.
func (r *reader) one(d *json.Decoder, to **ocispec.Descriptor) error {
	var v *ocispec.Descriptor
	if err := d.Decode(&v); err != nil || v == nil {
		return err
	}
	if *to != nil {
		return errors.New("config or subject occurs twice")
	}
	*to = v
	return nil
}

// validSubject is the subject of a manifest of an unknown kind, as far as it can be read.
func (r *reader) validSubject() *ocispec.Descriptor {
	if s := r.body.Subject; s != nil && s.Digest.Validate() == nil {
		return s
	}
	return nil
}

// check refuses descriptors that nothing can be looked up by.
func (b *Body) check() error {
	for role, d := range b.Descriptors() {
		if err := d.Digest.Validate(); err != nil {
			return fmt.Errorf("%w: %s with the digest %.80q: %w", ErrMalformed, role, d.Digest, err)
		}
		if d.Size < 0 {
			return fmt.Errorf("%w: %s %s with the size %d", ErrMalformed, role, d.Digest, d.Size)
		}
	}
	return nil
}

// Descriptors ranges over all that the manifest names: children, config, layers and subject, in this order. The digests that
// a manifest of an unknown kind names have neither media type nor size.
func (b *Body) Descriptors() iter.Seq2[Role, ocispec.Descriptor] {
	return func(yield func(Role, ocispec.Descriptor) bool) {
		for _, d := range b.Children {
			if !yield(RoleChild, d) {
				return
			}
		}
		if b.Config != nil && !yield(RoleConfig, *b.Config) {
			return
		}
		for _, d := range b.Layers {
			if !yield(RoleLayer, d) {
				return
			}
		}
		if b.Subject != nil && !yield(RoleSubject, *b.Subject) {
			return
		}
		for _, d := range b.Named {
			if !yield(RoleNamed, ocispec.Descriptor{Digest: d}) {
				return
			}
		}
	}
}

// Blobs ranges over the config and the layers.
func (b *Body) Blobs() iter.Seq[ocispec.Descriptor] {
	return func(yield func(ocispec.Descriptor) bool) {
		for role, d := range b.Descriptors() {
			if (role == RoleConfig || role == RoleLayer) && !yield(d) {
				return
			}
		}
	}
}
