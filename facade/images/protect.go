package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// ErrNotProtected is returned if the registry accepts a lock but does not report it afterwards, or
// if the tag was moved meanwhile.
var ErrNotProtected = errors.New("not protected")

// protectAtOnce is how many manifests are locked, unlocked or read at a time.
const protectAtOnce = 8

// ProtectOptions are the options of Protect.
type ProtectOptions struct {
	// AllowMoves locks the tag only against deletion, so it can still be moved to another manifest,
	// unless the tag was already locked against that. Default: the tag is locked against deletion
	// and moves.
	AllowMoves bool

	// Referrers locks the image together with the signatures, SBOMs and attestations that
	// CopyOptions.Referrers would copy. Default: only the image is locked.
	Referrers bool
}

// Protection is what Protect locked. Keep it, for example as JSON: Unprotect and Drift need it.
type Protection struct {
	Repository string          `json:"repository"`
	Tag        string          `json:"tag,omitzero"` // "" if a digest was protected
	AllowMoves bool            `json:"allowMoves,omitzero"`
	Digest     digest.Digest   `json:"digest"`
	Manifests  []digest.Digest `json:"manifests"` // children before their index; Digest is one of them
}

// Protect locks an image against deletion and change: the images of an index, the manifest itself,
// and last the tag that the reference names. A lock on a tag alone protects neither its manifest
// nor the images of an index. Protect reads each lock back.
//
// It costs one request per manifest to read the image, and two requests per manifest and tag to
// lock it. If it fails, existing locks stay. The returned Protection then names everything that may
// be locked; pass it to Unprotect.
//
// Errors:
//   - [ErrNotProtected] if the registry accepted a lock but does not report it afterwards, or if
//     the tag was moved meanwhile
//   - an error of [Copy] if the image cannot be read
//   - an error of package acr if the registry refuses a lock
func Protect(ctx context.Context, r *acr.Repository, reference string, opts *ProtectOptions) (*Protection, error) {
	var o ProtectOptions
	if opts != nil {
		o = *opts
	}
	if err := checkMade("Repository", r); err != nil {
		return nil, err
	}
	j, err := newJob(Of(r), reference, Of(r), "", &CopyOptions{Referrers: o.Referrers})
	if err != nil {
		return nil, err
	}
	ctx, release := pin(ctx, nil, j.from)
	defer release()
	if err := j.read(ctx); err != nil {
		return nil, err
	}
	p := &Protection{Repository: r.Name(), Digest: j.root.Digest, AllowMoves: o.AllowMoves, Manifests: []digest.Digest{}}
	var mu sync.Mutex
	for _, wave := range j.waves() {
		err := each(ctx, protectAtOnce, wave, func(ctx context.Context, m *manifestNode) error {
			mu.Lock()
			p.Manifests = append(p.Manifests, m.Descriptor.Digest) // locked in a moment, or perhaps
			mu.Unlock()
			return lockManifest(ctx, r, m.Descriptor)
		})
		p.sort(j)
		if err != nil {
			return p, err
		}
	}
	if _, notTag := parseDigest(j.reference); notTag == nil {
		return p, nil
	}
	return p, p.lockTag(ctx, r, j.reference)
}

// sort puts the manifests into the order of the walk.
func (p *Protection) sort(j *job) {
	place := map[digest.Digest]int{}
	for i, m := range j.manifests {
		place[m.Descriptor.Digest] = i
	}
	slices.SortFunc(p.Manifests, func(a, b digest.Digest) int { return place[a] - place[b] })
}

// lockManifest locks a manifest and reads the lock back.
func lockManifest(ctx context.Context, r *acr.Repository, d ocispec.Descriptor) error {
	a := r.Artifact(string(d.Digest))
	if _, err := a.UpdateManifestAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(false), WriteEnabled: new(false)}); err != nil {
		return fmt.Errorf("images: protect %s: %w", r.Name(), err)
	}
	got, err := a.ManifestProperties(ctx)
	if err != nil {
		return fmt.Errorf("images: protect %s: %w", r.Name(), err)
	}
	if got.Attributes.DeleteEnabled || got.Attributes.WriteEnabled {
		return fmt.Errorf("images: protect %s: %w: the registry accepted the lock of manifest %s, but does not report it", r.Name(), ErrNotProtected, d.Digest)
	}
	return nil
}

// lockTag locks the tag and reads the lock back.
func (p *Protection) lockTag(ctx context.Context, r *acr.Repository, tag string) error {
	a := r.Artifact(tag)
	locks := acr.ChangeableAttributes{DeleteEnabled: new(false)}
	if !p.AllowMoves {
		locks.WriteEnabled = new(false)
	}
	p.Tag = tag
	if _, err := a.UpdateTagAttributes(ctx, locks); err != nil {
		return fmt.Errorf("images: protect %s: %w", r.Name(), err)
	}
	got, err := a.TagProperties(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("images: protect %s: %w", r.Name(), err)
	case got.Digest != p.Digest:
		return fmt.Errorf("images: protect %s: %w: tag %s was moved to %s meanwhile", r.Name(), ErrNotProtected, tag, got.Digest)
	case got.Attributes.DeleteEnabled || got.Attributes.WriteEnabled && !p.AllowMoves:
		return fmt.Errorf("images: protect %s: %w: the registry accepted the lock of tag %s, but does not report it", r.Name(), ErrNotProtected, tag)
	}
	return nil
}

// Unprotect removes the locks of a Protection: first that of the tag, then those of the manifests.
// It also removes locks that were there before Protect. It skips what was deleted meanwhile. It
// costs one request per manifest and tag.
//
// Errors:
//   - [acr.ErrInvalidArgument] if r or p is nil, or if the name of the repository is invalid
//   - an error of package acr if the registry does not remove a lock
func Unprotect(ctx context.Context, r *acr.Repository, p *Protection) error {
	if p == nil {
		return refuse("Protection", "it is nil")
	}
	if err := checkRepository(r); err != nil {
		return fmt.Errorf("images: unprotect: %w", err)
	}
	open := acr.ChangeableAttributes{DeleteEnabled: new(true), WriteEnabled: new(true)}
	if p.Tag != "" {
		if _, err := r.Artifact(p.Tag).UpdateTagAttributes(ctx, open); err != nil && !errors.Is(err, acr.ErrNotFound) {
			return fmt.Errorf("images: unprotect %s: %w", r.Name(), err)
		}
	}
	return each(ctx, protectAtOnce, p.Manifests, func(ctx context.Context, d digest.Digest) error {
		_, err := r.Artifact(string(d)).UpdateManifestAttributes(ctx, open)
		if err != nil && !errors.Is(err, acr.ErrNotFound) {
			return fmt.Errorf("images: unprotect %s: %w", r.Name(), err)
		}
		return nil
	})
}

// Loose is a tag or manifest of a protected image that is no longer as Protect left it.
type Loose struct {
	What   string `json:"what"`   // the tag or digest
	Reason string `json:"reason"` // such as "gone", "not locked against deletion" or "moved to sha256:..."
}

// String returns What and Reason in one line.
func (l Loose) String() string { return l.What + ": " + l.Reason }

// Drift reports the tags and manifests of a protected image that are unlocked, deleted or moved.
// The list is empty if everything is as Protect left it. It costs one request per manifest and tag.
//
// Errors:
//   - [acr.ErrInvalidArgument] if r or p is nil, or if the name of the repository is invalid
//   - an error of package acr if a lock cannot be read
func Drift(ctx context.Context, r *acr.Repository, p *Protection) ([]Loose, error) {
	if p == nil {
		return nil, refuse("Protection", "it is nil")
	}
	if err := checkRepository(r); err != nil {
		return nil, fmt.Errorf("images: drift: %w", err)
	}
	var mu sync.Mutex
	var loose []Loose
	add := func(what, reason string) {
		mu.Lock()
		defer mu.Unlock()
		loose = append(loose, Loose{what, reason})
	}
	look := func(ctx context.Context, d digest.Digest) error {
		got, err := r.Artifact(string(d)).ManifestProperties(ctx)
		return drift(string(d), got.Attributes, false, err, add)
	}
	if err := each(ctx, protectAtOnce, p.Manifests, look); err != nil {
		return nil, fmt.Errorf("images: drift of %s: %w", r.Name(), err)
	}
	if p.Tag != "" {
		got, err := r.Artifact(p.Tag).TagProperties(ctx)
		if err == nil && got.Digest != p.Digest {
			add(p.Tag, "moved to "+string(got.Digest))
		}
		if err := drift(p.Tag, got.Attributes, p.AllowMoves, err, add); err != nil {
			return nil, fmt.Errorf("images: drift of %s: %w", r.Name(), err)
		}
	}
	slices.SortFunc(loose, func(a, b Loose) int { return strings.Compare(a.String(), b.String()) })
	return loose, nil
}

// drift compares the attributes of a tag or manifest with what they should be.
func drift(what string, a acr.Attributes, writable bool, err error, add func(what, reason string)) error {
	switch {
	case errors.Is(err, acr.ErrNotFound):
		add(what, "gone")
		return nil
	case err != nil:
		return err
	}
	if a.DeleteEnabled {
		add(what, "not locked against deletion")
	}
	if a.WriteEnabled && !writable {
		add(what, "not locked against change")
	}
	return nil
}
