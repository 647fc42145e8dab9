package acr

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// GetBlobOptions are the choices of GetBlob.
type GetBlobOptions struct {
	// Size the blob must have, as its descriptor says; an answer of another size is refused before the first byte (ErrSizeMismatch).
	// 0: whatever the registry says.
	Size int64
}

// BlobReader reads a blob and verifies it: Read returns io.EOF only after size and digest agree, so what io.Copy or io.ReadAll returned
// without an error is the blob. It goes on by itself, where it was, after a lost or stalled connection and an expired link.
type BlobReader struct{}

// GetBlob opens a blob for reading. ctx governs the reader too. The caller must close it. It costs two requests, the second one to the
// storage that the registry points to. Errors: ErrBlobUnknown, ErrInvalidDigest, ErrSizeMismatch; from Read also ErrDigestMismatch.
func (r *Repository) GetBlob(ctx context.Context, dgst digest.Digest, opts *GetBlobOptions) (*BlobReader, error) {
	return nil, errBlobSketch
}

// Descriptor of the blob: its Size is -1 until the end where the registry did not tell it.
func (b *BlobReader) Descriptor() ocispec.Descriptor { return ocispec.Descriptor{} }

// Read reads the next bytes of the blob.
func (b *BlobReader) Read(p []byte) (int, error) { return 0, errBlobSketch }

// WriteTo writes the rest of the blob to w, hashing beside the writing; nil means that size and digest agree.
func (b *BlobReader) WriteTo(w io.Writer) (int64, error) { return 0, errBlobSketch }

// Close ends the reading. Closing before the end is no error.
func (b *BlobReader) Close() error { return errBlobSketch }

// GetBlobRange reads n bytes of a blob from offset on; a negative n reads to its end. What it returns cannot be verified: the digest
// speaks of the whole blob.
func (r *Repository) GetBlobRange(ctx context.Context, dgst digest.Digest, offset, n int64) (io.ReadCloser, error) {
	return nil, errBlobSketch
}

// BlobReaderAt reads at any offset of a blob, such as a file in a large layer. It is safe for concurrent use. What it returns is not
// verified: the digest speaks of the whole blob.
type BlobReaderAt struct{}

// BlobReaderAt returns a view of a blob. It costs one HEAD request; then each ReadAt costs one request, unless the bytes are among the
// last few blocks read.
func (r *Repository) BlobReaderAt(ctx context.Context, dgst digest.Digest) (*BlobReaderAt, error) {
	return nil, errBlobSketch
}

// Size of the blob.
func (b *BlobReaderAt) Size() int64 { return 0 }

// ReadAt reads len(p) bytes from offset off on.
func (b *BlobReaderAt) ReadAt(p []byte, off int64) (int, error) { return 0, errBlobSketch }
