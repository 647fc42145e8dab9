package acr

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// GetBlobOptions are the choices of GetBlob.
type GetBlobOptions struct {
	// Size the blob must have, as its descriptor says; an answer of another size is refused before the first byte (ErrSizeMismatch).
	// 0: whatever the registry says.
	Size int64

	// Progress, where given, is told how the reading goes: a few times a second and at its end, always from one goroutine, which ends with
	// Close. What it panics with is raised again by Close.
	Progress func(Progress)
}

// BlobReader reads a blob and verifies it: Read returns io.EOF only after size and digest agree, so what io.Copy or io.ReadAll returned
// without an error is the blob. So is what io.ReadFull returned of as many bytes as Descriptor says: the last ones are given out only when all
// of them are right. Whoever stops before them has bytes that nobody verified. It continues by itself, where it was, after a lost or stalled
// connection and an expired link. It cannot seek: bytes that were left out could not be verified. See BlobReaderAt and GetBlobRange. It is
// for one goroutine at a time; the end of the context ends a Read that another one waits in.
type BlobReader struct {
	r    *transfer.Reader
	dgst digest.Digest
	stop func()
}

// GetBlob opens a blob for reading. ctx governs the reader too. The caller must close it. It costs two requests, the second one to the
// storage that the registry points to, and a third one where storage does not say how long its answer is; the empty blob costs none.
// Errors: ErrBlobUnknown, ErrInvalidDigest, ErrInvalidArgument, ErrSizeMismatch; from Read also ErrDigestMismatch, ErrStalled.
func (r *Repository) GetBlob(ctx context.Context, dgst digest.Digest, opts *GetBlobOptions) (*BlobReader, error) {
	var o GetBlobOptions
	if opts != nil {
		o = *opts
	}
	if err := r.checkBlob(dgst); err != nil {
		return nil, err
	}
	size, err := expectedSize(o.Size)
	if err != nil {
		return nil, err
	}
	m, ctx, stop := newMeter(ctx, o.Progress, false)
	reader, err := transfer.NewReader(ctx, &blobSource{r: r, dgst: dgst}, dgst, size, &m.Meter)
	if err == nil {
		err = reader.Open()
	}
	if err != nil {
		stop()
		return nil, transferred("GetBlob", err)
	}
	return &BlobReader{r: reader, dgst: dgst, stop: stop}, nil
}

// expectedSize is the option in transfer's terms.
func expectedSize(size int64) (int64, error) {
	switch {
	case size < 0:
		return 0, &ArgumentError{Kind: ErrInvalidArgument, Reason: "a size must not be negative"}
	case size == 0:
		return transfer.Unknown, nil
	}
	return size, nil
}

// Descriptor is that of the blob; its Size is -1 until the end where the registry did not tell it.
func (b *BlobReader) Descriptor() ocispec.Descriptor {
	return blobDescriptor("", b.dgst, b.r.Size())
}

// Read reads the next bytes of the blob. Bytes that came before an error, io.EOF aside, are not verified. Errors: ErrDigestMismatch,
// ErrSizeMismatch, ErrStalled, ErrClosed.
func (b *BlobReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // the reader's own
		return n, err
	}
	return n, transferred("GetBlob", err)
}

// WriteTo writes the rest of the blob to w, which io.Copy uses: the connection is read while w is written to. A nil error means that size
// and digest agree.
func (b *BlobReader) WriteTo(w io.Writer) (int64, error) {
	n, err := b.r.WriteTo(w)
	return n, transferred("GetBlob", err)
}

// Close ends the reading. Closing before the end is no error.
func (b *BlobReader) Close() error {
	err := b.r.Close()
	b.stop()
	return err
}
