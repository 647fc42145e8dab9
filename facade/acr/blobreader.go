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

// GetBlobOptions are the options of [Repository.GetBlob].
type GetBlobOptions struct {
	// Size is the expected size of the blob in bytes. A response of another size fails with
	// [ErrSizeMismatch] before anything is read. Default: any size.
	Size int64

	// Progress, if not nil, is called about ten times a second while the blob is read and once at
	// the end. All calls are made from one goroutine, which exits in Close. So Progress must not
	// call Close; cancel the context instead. If Progress panics, Close panics with the same value.
	Progress func(Progress)
}

// BlobReader reads a blob and verifies it. Read returns io.EOF only if size and digest are
// right. So if io.Copy or io.ReadAll succeeds, the data is the blob. Data read before io.EOF is
// not verified, with one exception: the Read that returns the last of Descriptor().Size bytes does
// so only if all of them are right.
//
// The reader resumes after a lost or stalled connection and when a storage link expires. It
// cannot seek; use [BlobReaderAt] or [Repository.GetBlobRange] for unverified random access.
// Only one goroutine may read from it at a time. Close may be called at any time, and ends a read
// that is under way.
type BlobReader struct {
	r    *transfer.Reader
	dgst digest.Digest

	mu   sync.Mutex // guards the rest: Close may come while a read is under way
	stop func(error)
	err  error // what a read failed with
}

// note keeps for Close what a read failed with.
func (b *BlobReader) note(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	return failed("GetBlob", err)
}

// GetBlob opens a blob for reading. ctx also applies to the reader, which the caller must
// close. It costs two requests: one to the registry and one to the storage that it redirects
// to, and a third one if storage does not state the length. The empty blob is known by its digest:
// it costs no request, and GetBlob returns it even if the repository does not have it.
//
// Errors:
//   - [ErrBlobUnknown] if the blob does not exist (also matches [ErrNotFound])
//   - [ErrSizeMismatch] if the response has another size than GetBlobOptions.Size
//   - [ErrInvalidArgument] if the repository name, digest or an option is invalid
func (r *Repository) GetBlob(ctx context.Context, dgst digest.Digest, opts *GetBlobOptions) (*BlobReader, error) {
	o := given(opts)
	if err := r.checkBlob(ctx, dgst); err != nil {
		return nil, err
	}
	size, err := expectedSize(o.Size)
	if err != nil {
		return nil, err
	}
	m, ctx, stop := r.newMeter(ctx, "GetBlob", dgst, o.Progress, false)
	reader, err := transfer.NewReader(ctx, &blobSource{r: r, dgst: dgst}, dgst, size, &m.Meter)
	if err == nil {
		err = reader.Open()
	}
	if err != nil {
		stop(err)
		return nil, failed("GetBlob", err)
	}
	return &BlobReader{r: reader, dgst: dgst, stop: stop}, nil
}

// expectedSize returns the option in the terms of transfer.
func expectedSize(size int64) (int64, error) {
	if size == 0 {
		return transfer.Unknown, nil
	}
	return size, notNegative("Size", size)
}

// Descriptor returns the descriptor of the blob. Its Size is -1 until the end if the registry
// did not state it.
func (b *BlobReader) Descriptor() ocispec.Descriptor {
	if b.bad() != nil {
		return ocispec.Descriptor{}
	}
	return blobDescriptor("", b.dgst, b.r.Size())
}

// Read reads the next bytes of the blob.
//
// Errors:
//   - [ErrDigestMismatch] if the content has another digest
//   - [ErrSizeMismatch] if the content is longer or shorter than stated
//   - [ErrStalled] if no data arrives for a long time, several times in a row
//   - [ErrClosed] if the reader has been closed
func (b *BlobReader) Read(p []byte) (int, error) {
	if err := b.bad(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // the reader's own
		return n, err
	}
	return n, b.note(err)
}

// WriteTo writes the rest of the blob to w; io.Copy uses it. It reads from the connection and
// writes to w at the same time, with at most 1 MiB in memory. A nil error means that size and
// digest are right. If the context ends while w is blocked in Write, WriteTo returns all the same;
// the blocked call stays behind in a goroutine. Errors are those of [BlobReader.Read] and of w.
func (b *BlobReader) WriteTo(w io.Writer) (int64, error) {
	if err := b.bad(); err != nil {
		return 0, err
	}
	if isNil(w) {
		return 0, badArgument("w", "", "it is nil")
	}
	n, err := b.r.WriteTo(w)
	if err != nil {
		err = b.note(err)
	}
	return n, err
}

// Close closes the reader and its connection. It may be called before the end of the blob.
func (b *BlobReader) Close() error {
	if err := b.bad(); err != nil {
		return err
	}
	err := b.r.Close()
	b.mu.Lock()
	stop, failure := b.stop, b.err
	b.stop = nil
	b.mu.Unlock()
	if stop != nil {
		stop(failure)
	}
	return err
}

// String returns the digest of the blob in the form "acr.BlobReader(DIGEST)".
func (b *BlobReader) String() string {
	if b.bad() != nil {
		return "acr.BlobReader()"
	}
	return "acr.BlobReader(" + string(b.dgst) + ")"
}

// bad returns an error for a reader that was not made by GetBlob.
func (b *BlobReader) bad() error {
	if b == nil || b.r == nil {
		return unmade("BlobReader")
	}
	return nil
}

// Format prints String for every verb.
func (b *BlobReader) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }

// GetBlobRange reads n bytes of a blob from offset; if n is negative, it reads to the end. ctx also
// applies to the reader, which the caller must close. It costs two requests. The reader resumes
// after a lost connection. The bytes are not verified, because the digest is that of the whole
// blob.
//
// Errors (of the call or of a Read):
//   - [ErrBlobUnknown] if the blob does not exist (also matches [ErrNotFound])
//   - [ErrSizeMismatch] if the blob ends before the range does
//   - [ErrStalled] if no data arrives for a long time, several times in a row
//   - [ErrInvalidArgument] if the repository name, digest, offset or n is invalid
func (r *Repository) GetBlobRange(ctx context.Context, dgst digest.Digest, offset, n int64) (io.ReadCloser, error) {
	if err := r.checkBlob(ctx, dgst); err != nil {
		return nil, err
	}
	if err := notNegative("offset", offset); err != nil {
		return nil, err
	}
	if n > math.MaxInt64-offset {
		return nil, badArgument("n", strconv.FormatInt(n, 10), "offset plus n is larger than any blob")
	}
	end := transfer.Unknown
	if n >= 0 {
		end = offset + n
	}
	reader := transfer.NewRangeReader(ctx, &blobSource{r: r, dgst: dgst}, transfer.Unknown, offset, end)
	if err := reader.Open(); err != nil {
		_ = reader.Close() // it has no connection
		return nil, failed("GetBlobRange", err)
	}
	return &rangeReader{reader}, nil
}

// rangeReader adds the name of the call to errors.
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
	viewBlock  = 256 << 10 // smallest request
	viewBlocks = 16        // how many blocks are cached
)

// BlobReaderAt reads at any offset of a blob, for example a file in a large layer. It is safe
// for concurrent use and caches the 4 MiB that were read last. The bytes are not verified,
// because the digest is that of the whole blob. It need not be closed.
//
// It implements [io.ReaderAt], so archive/zip can read it. To get an [io.ReadSeeker], call
// io.NewSectionReader(b, 0, b.Size()).
type BlobReaderAt struct {
	ctx    context.Context
	source *blobSource
	size   int64

	mu     sync.Mutex
	blocks []block // least recently used first
}

// block is a part of the blob that has been read.
type block struct {
	off  int64
	data []byte
}

// BlobReaderAt returns a reader for random access to a blob. ctx also applies to the reader. It
// costs one HEAD request. The first ReadAt costs two requests and others one; data in the cache
// costs none. A ReadAt of less than 256 KiB requests 256 KiB.
//
// Errors:
//   - [ErrBlobUnknown] if the blob does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the repository name or digest is invalid
func (r *Repository) BlobReaderAt(ctx context.Context, dgst digest.Digest) (*BlobReaderAt, error) {
	desc, err := r.HeadBlob(ctx, dgst)
	if err != nil {
		return nil, err
	}
	return &BlobReaderAt{ctx: ctx, source: &blobSource{r: r, dgst: dgst}, size: desc.Size}, nil
}

// Size returns the size of the blob in bytes.
func (b *BlobReaderAt) Size() int64 {
	if b == nil {
		return 0
	}
	return b.size
}

// ReadAt reads len(p) bytes from offset off. If it reads fewer, it returns an error; at the end
// of the blob that is io.EOF.
//
// Errors:
//   - [ErrInvalidArgument] if off is negative
//   - [ErrBlobUnknown] if the blob has been deleted
//   - [ErrStalled] if no data arrives for a long time, several times in a row
func (b *BlobReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if err := b.bad(); err != nil {
		return 0, err
	}
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

// read fills p from the registry.
func (b *BlobReaderAt) read(p []byte, off int64) (int, error) {
	r := transfer.NewRangeReader(b.ctx, b.source, b.size, off, off+int64(len(p)))
	defer func() { _ = r.Close() }() // it was only read
	n, err := io.ReadFull(r, p)
	return n, failed("BlobReaderAt", err)
}

// kept copies bytes at off from the cache and returns how many.
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

// keep adds a block to the cache, in place of the least recently used one.
func (b *BlobReaderAt) keep(k block) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.blocks) == viewBlocks {
		b.blocks = append(b.blocks[:0], b.blocks[1:]...)
	}
	b.blocks = append(b.blocks, k)
}

// String returns the digest of the blob in the form "acr.BlobReaderAt(DIGEST)".
func (b *BlobReaderAt) String() string {
	if b.bad() != nil {
		return "acr.BlobReaderAt()"
	}
	return "acr.BlobReaderAt(" + string(b.source.dgst) + ")"
}

// bad returns an error for a view that was not made by Repository.BlobReaderAt.
func (b *BlobReaderAt) bad() error {
	if b == nil || b.source == nil {
		return unmade("BlobReaderAt")
	}
	return nil
}

// Format prints String for every verb.
func (b *BlobReaderAt) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }
