package acr

import (
	"context"
	"io"
	"math"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// GetBlobRange reads n bytes of a blob, beginning at offset; a negative n reads to its end. ctx governs the reader too, which the caller
// must close. It costs two requests, and continues by itself after a lost connection. What it returns cannot be verified: the digest is that
// of the whole blob.
// Errors: ErrBlobUnknown, ErrInvalidDigest, ErrInvalidArgument, ErrSizeMismatch (the blob ends before).
func (r *Repository) GetBlobRange(ctx context.Context, dgst digest.Digest, offset, n int64) (io.ReadCloser, error) {
	if err := r.checkBlob(dgst); err != nil {
		return nil, err
	}
	if offset < 0 || n > math.MaxInt64-offset {
		return nil, &ArgumentError{Kind: ErrInvalidArgument, Reason: "no such range"}
	}
	end := transfer.Unknown
	if n >= 0 {
		end = offset + n
	}
	reader := transfer.NewRangeReader(ctx, &blobSource{r: r, dgst: dgst}, offset, end)
	if err := reader.Open(); err != nil {
		return nil, transferred("GetBlobRange", err)
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
	return n, transferred("GetBlobRange", err)
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
// Errors: ErrBlobUnknown, ErrInvalidDigest.
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
	if off < 0 {
		return 0, &ArgumentError{Kind: ErrInvalidArgument, Reason: "negative offset"}
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
	r := transfer.NewRangeReader(b.ctx, b.source, off, off+int64(len(p)))
	defer func() { _ = r.Close() }() // it was only read
	n, err := io.ReadFull(r, p)
	return n, transferred("BlobReaderAt", err)
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
