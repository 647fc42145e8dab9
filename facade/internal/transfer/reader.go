package transfer

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// Reader reads a blob and verifies it: io.EOF comes only after size and digest agree, and so do the last bytes of a blob whose size is known.
type Reader struct {
	b    *body
	want digest.Digest
	h    *hasher
	err  error
	more bool // the end was doubted once already
}

// NewReader returns a reader of the blob with the digest; size may be Unknown. Nothing is asked before Open or the first Read.
func NewReader(ctx context.Context, blob Blob, want digest.Digest, size int64, m *Meter) (*Reader, error) {
	h, err := newHasher(want.Algorithm(), m, nil)
	if err != nil {
		return nil, err
	}
	if want == want.Algorithm().FromBytes(nil) {
		if size > 0 {
			return nil, fmt.Errorf("%w: stated %d bytes, the digest is that of none", ErrSize, size)
		}
		size = 0
	}
	m.SetTotal(size)
	return &Reader{b: newBody(ctx, blob, m, size, 0, Unknown), want: want, h: h}, nil
}

// Open asks for the blob, so that what is wrong with it shows before the first Read.
func (r *Reader) Open() error {
	if err := r.b.establish(); err != nil {
		return ended(r.b.ctx, err)
	}
	r.b.meter.SetTotal(r.b.size)
	return nil
}

// Size is the size of the blob, Unknown until the end where nobody told it.
func (r *Reader) Size() int64 { return r.b.size }

// Read gives the next bytes.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.b.Read(p)
	if n > 0 {
		_, _ = r.h.Write(p[:n])
		r.b.meter.offset.Store(r.b.off)
		if r.b.off == r.b.limit() && r.h.digest() != r.want {
			// Whoever reads as much as the blob has need not come to io.EOF: the last bytes are not for him.
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
		r.err = ended(r.b.ctx, err)
	}
	return n, r.err
}

// verdict turns the end of the bytes into the end of the blob, which is io.EOF, or the reason why it is none; nil: go on.
func (r *Reader) verdict() error {
	got := r.h.digest()
	switch {
	case got == r.want:
		r.b.size = r.b.off
		r.b.meter.SetTotal(r.b.off)
		r.b.meter.SetDone()
		return io.EOF
	case r.b.size == Unknown && !r.more && r.b.off > 0:
		r.more = true // an answer without a length that was cut short looks just like its end
		r.b.disconnect()
		return nil
	}
	return mismatch(r.want, got)
}

// WriteTo writes the rest to w; reading and hashing go on while w.Write is under way.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if r.err != nil {
		if atEnd(r.err) {
			return 0, nil
		}
		return 0, r.err
	}
	total := int64(0)
	for r.err == nil {
		err := pipe(r.b, pipePiece, func(p []byte, off int64) error {
			_, _ = r.h.Write(p)
			m, err := w.Write(p)
			total += int64(m)
			r.b.meter.offset.Store(off + int64(m))
			return written(m, len(p), err)
		}, nil)
		if err != nil {
			r.err = ended(r.b.ctx, err)
			return total, r.err
		}
		r.err = r.verdict()
	}
	if atEnd(r.err) {
		return total, nil
	}
	return total, r.err
}

// Close ends the reading.
func (r *Reader) Close() error {
	r.b.disconnect()
	if r.err == nil {
		r.err = ErrClosed
	}
	return nil
}
