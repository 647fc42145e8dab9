package transfer

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// Reader reads a blob and verifies it. It returns io.EOF, and the last bytes of a blob whose size
// is known, only if size and digest agree.
type Reader struct {
	solo
	want digest.Digest
	h    *hasher
	more bool // an early end was questioned once already
}

// NewReader returns a reader of the blob with the digest; size may be Unknown. It sends no request
// before Open or the first Read.
func NewReader(ctx context.Context, blob Blob, want digest.Digest, size int64, m *Meter) (*Reader, error) {
	h, err := newHasher(want.Algorithm(), m, nil)
	if err != nil {
		return nil, err
	}
	if want == want.Algorithm().FromBytes(nil) {
		if size > 0 {
			return nil, fmt.Errorf("%w: stated %d bytes, but the digest is that of the empty blob", ErrSizeMismatch, size)
		}
		size = 0
	}
	m.SetTotal(size)
	ctx, cancel := context.WithCancelCause(ctx)
	return &Reader{solo: solo{b: newBody(ctx, blob, m, size, 0, Unknown), cancel: cancel}, want: want, h: h}, nil
}

// Open requests the blob, so that an error is returned before the first Read.
func (r *Reader) Open() error {
	if err := r.b.establish(); err != nil {
		return orCause(r.b.ctx, err)
	}
	r.b.meter.SetTotal(r.b.size)
	return nil
}

// Size returns the size of the blob. It is Unknown until the end if nobody stated it.
func (r *Reader) Size() int64 { return r.b.size }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if !r.enter() {
		return 0, ErrConcurrentUse
	}
	defer r.leave()
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.b.Read(p)
	if n > 0 {
		_, _ = r.h.Write(p[:n])
		r.b.meter.offset.Store(r.b.off)
		if r.b.off == r.b.limit() && r.h.digest() != r.want {
			// A caller that reads exactly the size of the blob never meets io.EOF: withhold the
			// last bytes.
			if err = r.b.finish(); atEnd(err) {
				err = mismatch(r.want, r.h.digest())
			}
			n = 0
		}
	}
	switch {
	case atEnd(err):
		r.err = r.verdict()
	case err != nil:
		r.err = orCause(r.b.ctx, err)
	}
	return n, r.err
}

// verdict judges the end of the bytes. It returns io.EOF if this is the blob, nil if more should be
// requested, and otherwise the mismatch.
func (r *Reader) verdict() error {
	got := r.h.digest()
	switch {
	case got == r.want:
		r.b.size = r.b.off
		r.b.meter.SetTotal(r.b.off)
		r.b.meter.SetDone()
		return io.EOF
	case r.b.size == Unknown && !r.more && r.b.off > 0:
		r.more = true // an answer without a length that was cut short looks just like one that ended
		r.b.disconnect()
		return nil
	}
	return mismatch(r.want, got)
}

// WriteTo implements io.WriterTo. The connection is read while w.Write runs.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if !r.enter() {
		return 0, ErrConcurrentUse
	}
	defer r.leave()
	if r.err != nil {
		if atEnd(r.err) {
			return 0, nil
		}
		return 0, r.err
	}
	var total atomic.Int64
	for r.err == nil {
		err := pipe(r.b, pipePiece, func(p []byte, off int64) error {
			_, _ = r.h.Write(p)
			m, err := w.Write(p)
			total.Add(int64(m))
			r.b.meter.offset.Store(off + int64(m))
			return writeError(m, len(p), err)
		}, nil)
		if err != nil {
			r.err = orCause(r.b.ctx, err)
			return total.Load(), r.err
		}
		r.err = r.verdict()
	}
	if atEnd(r.err) {
		return total.Load(), nil
	}
	return total.Load(), r.err
}
