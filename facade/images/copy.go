package images

import (
	"context"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/acrkit/acrkit/facade/acr"
)

// Source is what images are copied from: a [Repository] or a [Layout], or any oras.ReadOnlyTarget.
type Source interface {
	content.ReadOnlyStorage
	content.Resolver
}

// Target is what images are copied to: a [Repository] or a [Layout], or any oras.Target.
type Target interface {
	content.Storage
	content.TagResolver
}

// CopyOptions are the options of Copy, Push, Pull and Plan. The zero value, or nil, copies the
// image that the reference stands for as a whole, byte for byte.
type CopyOptions struct {
	// Platforms selects images of an index, such as {OS: "linux", Architecture: "arm64"}. An empty
	// Variant, OSVersion or OSFeatures matches every one. If the reference stands for a single
	// image, Platforms has no effect. Default: all images.
	Platforms []ocispec.Platform

	// KeepIndex copies the selected images, and the attestations of them that BuildKit adds, with
	// an index that names no others. Unless every image was selected it is a new index with a
	// digest of its own, and what refers to the old one is left out; Report.Root and Report.Nodes
	// show both. Default: Platforms must select exactly one image, which is copied without an
	// index.
	KeepIndex bool

	// Referrers copies what belongs to the image too: signatures, SBOMs and attestations of the
	// image, of the images of an index, and of one another. They are found by the referrers API or
	// the referrers tag, and by cosign's tags. What refers to a manifest by its sha512 digest is
	// found if the manifest is named by that digest, not by a tag. Default: only the image.
	Referrers bool

	// AllTags sets every tag that the source has on the image, besides the tag given. The source
	// must be a Repository or a Layout. Default: only the tag given.
	AllTags bool

	// IfAbsent fails with acr.ErrTagExists if a tag is on another manifest, before anything is sent
	// and again right before the tag is set. Registries have no atomic way to do that: a writer
	// that sets the tag in the same moment is not noticed. A Layout has one, on Unix. Default: tags
	// move.
	IfAbsent bool

	// Protect, if not nil, locks the copy when it is complete; see Protect. The target must be a
	// Repository.
	Protect *ProtectOptions

	// MountFrom names further repositories of the target's registry that may have the blobs. The
	// source repository, if it is in the same registry, is tried without being named. Default: only
	// that one.
	MountFrom []string

	// CheckBlobs asks the target for each blob of a manifest that it has already, with one HEAD
	// request each. Use it for caches, and for repositories from which blobs were deleted. Default:
	// a registry that has a manifest has its blobs, because it demands them when the manifest is
	// put. Layouts are always checked.
	CheckBlobs bool

	// Foreign copies layers that are not to be distributed, if the source has them. That costs a
	// HEAD request to the source for each. Their URLs are never followed. Default: such layers are
	// left out.
	Foreign bool

	// Concurrency is how many blobs or manifests are transferred at a time. Large ones wait for
	// each other, so that memory does not grow. Default: 32.
	Concurrency int

	// Progress, if not nil, is called about five times a second and once at the end. All calls are
	// made from one goroutine. If it panics, the copy stops and panics with the same value.
	Progress func(Progress)
}

const defaultConcurrency = 32

// check refuses what is wrong with the options before anything is sent.
func (o *CopyOptions) check(from Source, to Target) error {
	_, fromACR := from.(*Repository)
	_, fromLayout := from.(*Layout)
	_, toACR := to.(*Repository)
	l, toLayout := to.(*Layout)
	switch {
	case from == nil || to == nil:
		return refuse("source or target", "it must not be nil")
	case o.Concurrency < 0:
		return refuse("CopyOptions.Concurrency", "it must not be negative")
	case slices.ContainsFunc(o.Platforms, func(p ocispec.Platform) bool { return p.OS == "" || p.Architecture == "" }):
		return refuse("CopyOptions.Platforms", "each needs OS and Architecture")
	case o.KeepIndex && len(o.Platforms) == 0:
		return refuse("CopyOptions.KeepIndex", "it needs Platforms")
	case o.AllTags && !fromACR && !fromLayout:
		return refuse("CopyOptions.AllTags", "it needs a Repository or Layout as source")
	case o.Protect != nil && !toACR:
		return refuse("CopyOptions.Protect", "it needs a Repository as target")
	case len(o.MountFrom) > 0 && !toACR:
		return refuse("CopyOptions.MountFrom", "it needs a Repository as target")
	case toLayout && l.bad() != nil:
		return l.bad()
	case toLayout && l.dir == nil:
		return l.fail(errReadOnly)
	}
	return nil
}

// Copy copies an image with everything that it consists of, and tags the copy. An empty tag leaves
// it untagged, or in a layout without a name.
//
// Blobs are sent before the manifests that name them, images before their index, and the tag is set
// last: at no time does a tag of the target stand for an incomplete image. What the target has is
// skipped, what can be mounted is mounted, and every other blob is sent once. After a failure, the
// same call again sends only what is missing. A blob that was interrupted is continued if it is
// copied from a repository to a layout; any other one is sent again from its start.
//
// Manifests and blobs are verified by their digests, and nothing in them decides where something is
// read or written. An image may consist of at most 10,000 manifests, nested at most 8 deep.
//
// Copy sends one GET request per manifest and one or two per blob to the source. To the target it
// sends at most one HEAD request per manifest and tag, and one to three requests per blob that is
// sent; a manifest costs one. With Referrers, each manifest costs four more requests at the
// source. Of a geo-replicated registry one replica gets all requests. Memory does not grow with the
// size of blobs: at most about 90 MB are in use.
//
// On failure Copy returns a *[CopyError] that says which manifest or blob could not be read or
// written, and on which side, and a Report all the same: its Bytes say how much has arrived, its
// Nodes and Tags what was to be done. The CopyError wraps the error of package acr, of oras-go's
// target, or:
//   - [ErrIncomplete] if the source lacks something that one of its manifests names
//   - [ErrNoPlatform] or [ErrAmbiguous] if CopyOptions.Platforms does not select exactly one image
//   - [ErrTooMany] if the image has too many manifests, or too deeply nested ones
//   - [acr.ErrTagExists] if CopyOptions.IfAbsent is set and a tag is on another manifest
//   - [acr.ErrManifestMalformed], [acr.ErrDigestMismatch] or [acr.ErrSizeMismatch] if something of
//     the source is not what its descriptor says
func Copy(ctx context.Context, from Source, reference string, to Target, tag string, opts *CopyOptions) (*Report, error) {
	j, err := newJob(from, reference, to, tag, opts)
	if err != nil {
		return nil, err
	}
	return j.copy(ctx)
}

// Plan returns what Copy would do with the same arguments. It reads manifests from the source and
// asks the target what it has, but writes nothing. Besides the requests of Copy it sends one HEAD
// request for each blob that the target may lack.
//
// Errors:
//   - the errors of [Copy] if something cannot be read from the source or asked of the target
func Plan(ctx context.Context, from Source, reference string, to Target, tag string, opts *CopyOptions) (*Report, error) {
	j, err := newJob(from, reference, to, tag, opts)
	if err != nil {
		return nil, err
	}
	return j.plan(ctx)
}

// Push copies an image from the layout at a path, a directory or a tar archive, to a repository. It
// is Copy with the layout opened and closed.
//
// Errors:
//   - the errors of [OpenLayout] or [OpenArchive] if the layout cannot be opened
//   - the errors of [Copy] if the copy fails
func Push(ctx context.Context, path, reference string, to *acr.Repository, tag string, opts *CopyOptions) (*Report, error) {
	l, err := openPath(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }() // it was only read
	return Copy(ctx, l, reference, Of(to), tag, opts)
}

// Pull copies an image from a repository to the layout in a directory, which is made if need be.
// The image gets the name that the reference has; a digest gives it none. Other images of the
// layout stay. It is Copy with the layout opened and closed.
//
// Errors:
//   - the errors of [OpenLayout] if the layout cannot be opened or made
//   - the errors of [Copy] if the copy fails
func Pull(ctx context.Context, from *acr.Repository, reference, dir string, opts *CopyOptions) (*Report, error) {
	source := Of(from)
	ref, err := source.reference(reference)
	if err != nil {
		return nil, &CopyError{Side: FromSource, Place: source.String(), Role: "reference", Name: reference, Err: err}
	}
	l, err := OpenLayout(dir, &LayoutOptions{Create: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }() // index.json has been replaced, or there is an error to tell of
	tag := ref
	if _, notDigest := parseDigest(ref); notDigest == nil {
		tag = ""
	}
	return Copy(ctx, source, ref, l, tag, opts)
}
