package images

import (
	"cmp"
	"context"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/acrkit/acrkit/facade/acr"
)

// Source is where images are copied from: a [Repository], a [Layout] or any oras.ReadOnlyTarget.
type Source interface {
	content.ReadOnlyStorage
	content.Resolver
}

// Target is where images are copied to: a [Repository], a [Layout] or any oras.Target.
type Target interface {
	content.Storage
	content.TagResolver
}

// CopyOptions are the options of Copy, Push, Pull and Plan. The zero value (or nil) copies the
// whole image, byte for byte.
type CopyOptions struct {
	// Platforms selects images of an index, such as {OS: "linux", Architecture: "arm64"}. OS and
	// Architecture are required. An empty Variant, OSVersion or OSFeatures matches every one. If
	// the reference points to a single image, Platforms has no effect. Default: all images.
	Platforms []ocispec.Platform

	// KeepIndex copies the selected images with an index of only these images and their BuildKit
	// attestations. It requires Platforms. Unless every image was selected, the index is a new one
	// with another digest, and referrers of the old index are left out; Report.Root and
	// Report.Nodes show that. Default: Platforms must select exactly one image, which is copied
	// without an index.
	KeepIndex bool

	// Referrers copies the image together with the signatures, SBOMs and attestations of the image,
	// of the images of an index, and of one another. Copy finds them with the referrers API or the
	// referrers tag, and by cosign's tags. Referrers of a sha512 digest are found only if the
	// manifest is requested by that digest, not by a tag. Default: only the image is copied.
	Referrers bool

	// AllTags sets the given tag and all other tags that the image has at the source. The source
	// must be a Repository or a Layout. Default: only the given tag is set.
	AllTags bool

	// IfAbsent fails with acr.ErrTagExists if a tag is on another manifest, before anything is sent
	// and again right before the tag is set, which costs one or two requests. Only the second check
	// finds a tag whose manifest is in quarantine, so Plan does not report it; see
	// [acr.PutManifestOptions]. In a registry the check is not atomic: Copy does not notice a
	// client that sets the tag at the same moment. In a Layout it is atomic on Unix. Default: tags
	// move.
	IfAbsent bool

	// Protect, if not nil, locks the copy when it is complete; see Protect. The target must be a
	// Repository.
	Protect *ProtectOptions

	// MountFrom names further repositories of the target's registry that may have the blobs. The
	// target must be a Repository. A source repository in the same registry is always tried.
	// Default: no others.
	MountFrom []string

	// CheckBlobs checks the blobs of manifests that the target already has, with one HEAD request
	// for each blob. Use it for caches, and for repositories from which blobs were deleted.
	// Default: blobs of a manifest that the registry has are not checked, because a registry does
	// not accept a manifest without its blobs. Layouts are always checked.
	CheckBlobs bool

	// Foreign copies nondistributable (foreign) layers, if the source has them. That costs a HEAD
	// request to the source for each. Their URLs are never followed. Default: such layers are left
	// out.
	Foreign bool

	// Concurrency is the maximum number of blobs or manifests that are transferred at the same
	// time. Large ones wait for each other, to limit memory. Default: 32.
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
	if err := cmp.Or(checkMade("source", from), checkMade("target", to)); err != nil {
		return err
	}
	switch {
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
	case toLayout && l.dir == nil:
		return l.fail(errReadOnly)
	}
	return nil
}

// Copy copies an image with all its manifests and blobs, and tags the copy. If tag is empty, the
// copy has no tag (in a layout: no name).
//
// Blobs are sent before the manifests that name them, images before their index, and the tag is set
// last, so a tag of the target never points to an incomplete image. Copy skips what the target has,
// mounts blobs if possible, and sends every other blob once. After a failure, the same call sends
// only what is missing. From a repository to a layout, an interrupted blob is continued; otherwise
// it is sent again from its start.
//
// Manifests and blobs are verified by their digests. An image may have at most 10,000 manifests,
// nested at most 8 deep.
//
// Copy sends one GET request per manifest and one or two per blob to the source. To the target it
// sends at most one HEAD request per manifest and tag, and one to three requests per blob that is
// sent; a manifest costs one. With Referrers, each manifest costs four more requests at the source.
// All requests to a geo-replicated registry go to the same replica. Memory does not grow with the
// size of blobs: Copy uses at most about 90 MB.
//
// If an argument or option is invalid, Copy fails with [acr.ErrInvalidArgument] before it sends
// anything; for a reference, tag or repository within a *[CopyError]. Otherwise it fails with a
// *CopyError that says which manifest or blob could not be read or written, and on which side. It
// then also returns a Report: Bytes says how much has arrived, Nodes and Tags say what was to be
// done. The CopyError wraps the error of package acr or of oras-go's target, or:
//   - [ErrIncomplete] if the source lacks a manifest or blob that one of its manifests names
//   - [ErrNoPlatform] if no image of the index matches CopyOptions.Platforms
//   - [ErrAmbiguous] if several images match and KeepIndex is not set
//   - [ErrTooMany] if the image has too many or too deeply nested manifests
//   - [acr.ErrTagExists] if CopyOptions.IfAbsent is set and a tag is on another manifest
//   - [acr.ErrManifestMalformed], [acr.ErrDigestMismatch] or [acr.ErrSizeMismatch] if content of
//     the source does not match its descriptor
func Copy(ctx context.Context, from Source, reference string, to Target, tag string, opts *CopyOptions) (*Report, error) {
	j, err := newJob(from, reference, to, tag, opts)
	if err != nil {
		return nil, err
	}
	return j.copy(ctx)
}

// Plan returns what Copy would do with the same arguments. It reads manifests from the source and
// checks what the target has, but writes nothing. In addition to these requests of Copy it sends
// one HEAD request for each blob that the target may lack.
//
// Errors:
//   - the errors of [Copy] if the source cannot be read or the target cannot be checked
func Plan(ctx context.Context, from Source, reference string, to Target, tag string, opts *CopyOptions) (*Report, error) {
	j, err := newJob(from, reference, to, tag, opts)
	if err != nil {
		return nil, err
	}
	return j.plan(ctx)
}

// Push copies an image from a layout to a repository. path is a directory or a tar archive. Push
// opens the layout, calls Copy and closes the layout.
//
// Errors:
//   - the errors of [OpenLayout] or [OpenArchive] if the layout cannot be opened
//   - the errors of [Copy] if the copy fails
func Push(ctx context.Context, path, reference string, to *acr.Repository, tag string, opts *CopyOptions) (*Report, error) {
	if err := checkMade("target", to); err != nil {
		return nil, err
	}
	l, err := openPath(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }() // it was only read
	return Copy(ctx, l, reference, Of(to), tag, opts)
}

// Pull copies an image from a repository to the layout in a directory, which is created if it does
// not exist. The name of the image in the layout is the tag; with a digest it has no name. Other
// images of the layout stay. Pull opens the layout, calls Copy and closes the layout.
//
// Errors:
//   - the errors of [OpenLayout] if the layout cannot be opened or created
//   - the errors of [Copy] if the copy fails
func Pull(ctx context.Context, from *acr.Repository, reference, dir string, opts *CopyOptions) (*Report, error) {
	if err := checkMade("source", from); err != nil {
		return nil, err
	}
	source := Of(from)
	ref, err := source.reference("reference", reference)
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
