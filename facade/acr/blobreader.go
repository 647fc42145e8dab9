package acr

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"

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
// Errors: ErrBlobUnknown, ErrInvalidArgument, ErrSizeMismatch; from Read also ErrDigestMismatch, ErrStalled.
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
		return nil, failed("GetBlob", err)
	}
	return &BlobReader{r: reader, dgst: dgst, stop: stop}, nil
}

// expectedSize is the option in transfer's terms.
func expectedSize(size int64) (int64, error) {
	if size == 0 {
		return transfer.Unknown, nil
	}
	return size, notNegative("Size", size)
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
	return n, failed("GetBlob", err)
}

// WriteTo writes the rest of the blob to w, which io.Copy uses: the connection is read while w is written to. A nil error means that size
// and digest agree.
func (b *BlobReader) WriteTo(w io.Writer) (int64, error) {
	n, err := b.r.WriteTo(w)
	return n, failed("GetBlob", err)
}

// Close ends the reading. Closing before the end is no error.
func (b *BlobReader) Close() error {
	err := b.r.Close()
	b.stop()
	return err
}

// String names the blob.
func (b *BlobReader) String() string { return "acr.BlobReader(" + string(b.dgst) + ")" }

// GoString is String.
func (b *BlobReader) GoString() string { return b.String() }

// Format prints String for every verb.
func (b *BlobReader) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }

// GetBlobRange reads n bytes of a blob, beginning at offset; a negative n reads to its end. ctx governs the reader too, which the caller
// must close. It costs two requests, and continues by itself after a lost connection. What it returns cannot be verified: the digest is that
// of the whole blob.
// Errors: ErrBlobUnknown, ErrInvalidArgument, ErrSizeMismatch (the blob ends before).
func (r *Repository) GetBlobRange(ctx context.Context, dgst digest.Digest, offset, n int64) (io.ReadCloser, error) {
	if err := r.checkBlob(dgst); err != nil {
		return nil, err
	}
	if err := notNegative("offset", offset); err != nil {
		return nil, err
	}
	if n > math.MaxInt64-offset {
		return nil, badArgument("n", strconv.FormatInt(n, 10), "the range ends beyond what a blob can hold")
	}
	end := transfer.Unknown
	if n >= 0 {
		end = offset + n
	}
	reader := transfer.NewRangeReader(ctx, &blobSource{r: r, dgst: dgst}, transfer.Unknown, offset, end)
	if err := reader.Open(); err != nil {
		return nil, failed("GetBlobRange", err)
	}
	return &rangeReader{reader}, nil
}

// rangeReader names the call in what goes wrong.
type rangeReader struct{ r *transfer.RangeReader }

// Read implements io.Reader.
func (b *rangeReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // the reader's own
		return n, err
	}
	return n, failed("GetBlobRange", err)
}

// Close implements io.Closer.
func (b *rangeReader) Close() error { return b.r.Close() }

const (
	viewBlock  = 256 << 10 // least that is asked for at once
	viewBlocks = 16        // how many of them are kept
)

// BlobReaderAt reads at any offset of a blob, such as a file in a large layer. It is safe for concurrent use and holds at most 4 MiB of what
// was read last. What it returns is not verified: the digest is that of the whole blob. There is nothing to close.
type BlobReaderAt struct {
	ctx    context.Context
	source *blobSource
	size   int64

	mu     sync.Mutex
	blocks []block // least recently used first
}

// block is a part of the blob that was read.
type block struct {
	off  int64
	data []byte
}

// BlobReaderAt returns a view of a blob; ctx governs its reading too. It costs one HEAD request. Then a ReadAt costs one request (the first
// one two), and none where the bytes are among those read last: a short one reads 256 KiB.
// Errors: ErrBlobUnknown, ErrInvalidArgument.
func (r *Repository) BlobReaderAt(ctx context.Context, dgst digest.Digest) (*BlobReaderAt, error) {
	desc, err := r.StatBlob(ctx, dgst)
	if err != nil {
		return nil, err
	}
	return &BlobReaderAt{ctx: ctx, source: &blobSource{r: r, dgst: dgst}, size: desc.Size}, nil
}

// Size is the size of the blob in bytes.
func (b *BlobReaderAt) Size() int64 { return b.size }

// ReadAt reads len(p) bytes from offset off; fewer only with an error, which is io.EOF at the end of the blob. Errors: ErrInvalidArgument
// for a negative offset, ErrBlobUnknown, ErrStalled, *Error.
func (b *BlobReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if err := notNegative("offset", off); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) && off+int64(n) < b.size {
		at := off + int64(n)
		if m := b.kept(p[n:], at); m > 0 {
			n += m
			continue
		}
		if len(p)-n >= viewBlock {
			m, err := b.read(p[n:min(int64(len(p)), b.size-off)], at)
			return n + m, errAtEnd(err, n+m < len(p))
		}
		data := make([]byte, min(viewBlock, b.size-at))
		if _, err := b.read(data, at); err != nil {
			return n, err
		}
		b.keep(block{at, data})
	}
	return n, errAtEnd(nil, n < len(p))
}

func errAtEnd(err error, short bool) error {
	if err == nil && short {
		return io.EOF
	}
	return err
}

// read fills p.
func (b *BlobReaderAt) read(p []byte, off int64) (int, error) {
	r := transfer.NewRangeReader(b.ctx, b.source, b.size, off, off+int64(len(p)))
	defer func() { _ = r.Close() }() // it was only read
	n, err := io.ReadFull(r, p)
	return n, failed("BlobReaderAt", err)
}

// kept copies what is there of the bytes at off.
func (b *BlobReaderAt) kept(p []byte, off int64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, k := range b.blocks {
		if off >= k.off && off < k.off+int64(len(k.data)) {
			copy(b.blocks[i:], b.blocks[i+1:])
			b.blocks[len(b.blocks)-1] = k
			return copy(p, k.data[off-k.off:])
		}
	}
	return 0
}

// keep keeps a block in place of the one that was not used for the longest time.
func (b *BlobReaderAt) keep(k block) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.blocks) == viewBlocks {
		b.blocks = append(b.blocks[:0], b.blocks[1:]...)
	}
	b.blocks = append(b.blocks, k)
}

// String names the blob.
func (b *BlobReaderAt) String() string { return "acr.BlobReaderAt(" + string(b.source.dgst) + ")" }

// GoString is String.
func (b *BlobReaderAt) GoString() string { return b.String() }

// Format prints String for every verb.
func (b *BlobReaderAt) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }
