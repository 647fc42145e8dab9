package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// openBlob opens a blob and compares its size, unless that is not known (-1).
func (l *Layout) openBlob(d digest.Digest, size int64) (*layoutFile, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	f, err := l.files.open(blobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound("%s", d)
	} else if err != nil {
		return nil, err
	}
	if size >= 0 && f.Size() != size {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("%w: the file of %s has %d bytes instead of %d", acr.ErrSizeMismatch, d, f.Size(), size)
	}
	return f, nil
}

// Fetch returns a reader of a blob or manifest. Its Read returns io.EOF only if size and digest are
// right.
//
// Errors:
//   - [errdef.ErrNotFound] if the layout does not have it
//   - [ErrNotLayout] if its file is a link or device
//   - [acr.ErrSizeMismatch] if its file has another size
//   - [acr.ErrDigestMismatch] from Read, if its file has other content
func (l *Layout) Fetch(_ context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	if err := l.bad(); err != nil {
		return nil, err
	}
	f, err := l.openBlob(target.Digest, target.Size)
	if err != nil {
		return nil, l.fail(err)
	}
	return &verifyingReader{r: f, closer: f, verifier: target.Digest.Verifier(), left: f.Size(), digest: target.Digest}, nil
}

// Exists reports whether the layout has a blob or manifest of this size and digest. Its file is
// hashed unless this Layout has done that before, or LayoutOptions.TrustBlobs is set. If the file
// has another size or other content, Exists returns false.
func (l *Layout) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	if err := l.bad(); err != nil {
		return false, err
	}
	f, err := l.openBlob(target.Digest, target.Size)
	switch {
	case errors.Is(err, errdef.ErrNotFound), errors.Is(err, acr.ErrSizeMismatch):
		return false, nil
	case err != nil:
		return false, l.fail(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	l.mu.Lock()
	known := l.trust || l.verified[target.Digest] == f.state && f.state != fileState{}
	l.mu.Unlock()
	if known {
		return true, nil
	}
	verifier := target.Digest.Verifier()
	if _, err := io.CopyBuffer(struct{ io.Writer }{verifier}, &contextReader{ctx, f}, make([]byte, 256<<10)); err != nil {
		return false, l.fail(err)
	}
	if !verifier.Verified() {
		return false, nil
	}
	l.noteVerified(target.Digest, f.state)
	return true, nil
}

// noteVerified keeps that a file has the content of its digest.
func (l *Layout) noteVerified(d digest.Digest, s fileState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verified[d] = s
}

// manifest returns the verified content of a manifest. A size of 0 is not compared.
func (l *Layout) manifest(d ocispec.Descriptor) ([]byte, error) {
	size := d.Size
	if size == 0 {
		size = -1
	}
	f, err := l.openBlob(d.Digest, size)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if f.Size() > graph.MaxSize {
		return nil, fmt.Errorf("manifest %s: %w: %d bytes, the limit is %d", d.Digest, acr.ErrTooLarge, f.Size(), graph.MaxSize)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	if d.Digest.Algorithm().FromBytes(content) != d.Digest {
		return nil, fmt.Errorf("%w: the file of %s has other content", acr.ErrDigestMismatch, d.Digest)
	}
	return content, nil
}

// Push writes a blob or manifest. The file appears when size and digest have been verified. A
// manifest with a subject gets an entry without a name in index.json. Any other manifest must be
// tagged or be part of a tagged image; otherwise Prune removes it.
//
// Errors:
//   - [errdef.ErrAlreadyExists] if the layout has it
//   - [acr.ErrSizeMismatch] or [acr.ErrDigestMismatch] if the content is not what expected says
//   - [acr.ErrInvalidArgument] if content is nil
//   - [errors.ErrUnsupported] if the layout is an archive
//   - the error of content if reading it fails
//   - *[fs.PathError] if a file cannot be written
func (l *Layout) Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error {
	if err := l.bad(); err != nil {
		return err
	}
	if l.dir == nil {
		return l.fail(errReadOnly)
	}
	if isNil(content) {
		return l.fail(refuse("content", "it is nil"))
	}
	if there, err := l.Exists(ctx, expected); err != nil {
		return err
	} else if there {
		return l.fail(fmt.Errorf("%s: %w", expected.Digest, errdef.ErrAlreadyExists))
	}
	if graph.KindOf(expected.MediaType) == graph.KindUnknown {
		return l.fail(l.writeBlob(ctx, expected, content))
	}
	raw, err := readManifest(expected, content)
	if err != nil {
		return l.fail(err)
	}
	body, err := graph.Read(expected.MediaType, raw)
	if err != nil {
		return l.fail(err)
	}
	if err := l.writeBlob(ctx, expected, bytes.NewReader(raw)); err != nil {
		return l.fail(err)
	}
	if body.Subject == nil {
		return nil
	}
	expected.ArtifactType = body.ArtifactType
	return l.fail(l.updateIndex(ctx, func(x *layoutIndex) (bool, error) { return x.add(expected, ""), nil }))
}

// readManifest reads a manifest that must not be large, and compares its size.
func readManifest(expected ocispec.Descriptor, content io.Reader) ([]byte, error) {
	if isNil(content) {
		return nil, refuse("content", "it is nil")
	}
	if expected.Size > graph.MaxSize {
		return nil, fmt.Errorf("manifest %s: %w: %d bytes, the limit is %d", expected.Digest, acr.ErrTooLarge, expected.Size, graph.MaxSize)
	}
	raw, err := io.ReadAll(io.LimitReader(content, expected.Size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) != expected.Size {
		return nil, fmt.Errorf("%w: manifest %s is not of %d bytes", acr.ErrSizeMismatch, expected.Digest, expected.Size)
	}
	return raw, nil
}

// writeBlob writes a blob to a temporary file, verifies it, and gives it its name.
func (l *Layout) writeBlob(ctx context.Context, d ocispec.Descriptor, content io.Reader) error {
	if err := checkDigest(d.Digest); err != nil {
		return err
	}
	name := blobPath(d.Digest)
	if err := l.dir.directory(path.Dir(name)); err != nil {
		return err
	}
	r := &verifyingReader{r: &contextReader{ctx, content}, verifier: d.Digest.Verifier(), left: d.Size, digest: d.Digest}
	err := l.dir.write(name, l.dir.mode, !l.noSync, func(w io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 256<<10))
		return err
	})
	if err != nil {
		return err
	}
	return l.noteWritten(d.Digest)
}

// noteWritten keeps that a file that was just written has been verified.
func (l *Layout) noteWritten(d digest.Digest) error {
	info, err := l.dir.root.Lstat(blobPath(d))
	if err != nil {
		return err
	}
	l.noteVerified(d, stateOf(info))
	return nil
}
