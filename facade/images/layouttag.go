package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// Tag adds an entry for a manifest of the layout to index.json. reference is its name; if another
// manifest has the name, it moves. If reference is the digest of the manifest, the entry has no
// name.
//
// Errors:
//   - [errdef.ErrMissingReference] if the reference is empty
//   - [errdef.ErrNotFound] if the layout does not have the manifest
//   - [errors.ErrUnsupported] if the layout is an archive
func (l *Layout) Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error {
	if err := l.bad(); err != nil {
		return err
	}
	if reference == "" {
		return l.fail(errdef.ErrMissingReference)
	}
	if reference == string(desc.Digest) {
		reference = ""
	}
	if there, err := l.Exists(ctx, desc); err != nil {
		return err
	} else if !there {
		return l.fail(notFound("%s", shown(string(desc.Digest))))
	}
	return l.fail(l.updateIndex(ctx, func(x *layoutIndex) (bool, error) {
		if err := l.dir.holds(desc); err != nil {
			return false, err
		}
		return x.add(desc, reference), nil
	}))
}

// Untag removes a name from index.json. The manifest and its blobs stay until Prune removes them.
//
// Errors:
//   - [errdef.ErrNotFound] if index.json does not have the name
//   - [errors.ErrUnsupported] if the layout is an archive
func (l *Layout) Untag(ctx context.Context, reference string) error {
	if err := l.bad(); err != nil {
		return err
	}
	return l.fail(l.updateIndex(ctx, func(x *layoutIndex) (bool, error) {
		found := reference != "" && x.remove(func(d ocispec.Descriptor) bool {
			return d.Annotations[ocispec.AnnotationRefName] == reference || d.Annotations[containerdName] == reference
		})
		if !found {
			return false, notFound("no image is named %q", shown(reference))
		}
		return true, nil
	}))
}

// Delete removes a blob or manifest, and its entries in index.json. The blobs of the manifest stay
// until Prune removes them.
//
// Errors:
//   - [errdef.ErrNotFound] if the layout does not have it
//   - [errors.ErrUnsupported] if the layout is an archive
func (l *Layout) Delete(ctx context.Context, target ocispec.Descriptor) error {
	if err := l.bad(); err != nil {
		return err
	}
	if err := checkDigest(target.Digest); err != nil {
		return l.fail(err)
	}
	return l.fail(l.locked(ctx, func() error {
		err := l.rewriteIndex(func(x *layoutIndex) (bool, error) {
			return x.remove(func(d ocispec.Descriptor) bool { return d.Digest == target.Digest }), nil
		})
		if err != nil {
			return err
		}
		return notALayout(l.dir.root.Remove(blobPath(target.Digest)), string(target.Digest))
	}))
}

// notALayout turns the absence of a file into an error of this package.
func notALayout(err error, name string) error {
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case name == ocispec.ImageIndexFile:
		return fmt.Errorf("%w: there is no file %s", ErrNotLayout, name)
	default:
		return notFound("%s", name)
	}
}
