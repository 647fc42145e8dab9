package transfer

import (
	"context"
)

// RangeReader reads a part of a blob, without verifying it: a digest speaks of the whole. It goes on by itself where a connection breaks.
type RangeReader struct {
	b   *body
	err error
}

// NewRangeReader returns a reader of the bytes from off up to end, which may be Unknown.
func NewRangeReader(ctx context.Context, blob Blob, off, end int64) *RangeReader {
	return &RangeReader{b: newBody(ctx, blob, &Meter{}, Unknown, off, end)}
}

// Open asks for the bytes, so that what is wrong with them shows before the first Read.
func (r *RangeReader) Open() error {
	if r.b.end == r.b.off {
		return nil
	}
	return ended(r.b.ctx, r.b.establish())
}

// Read gives the next bytes.
func (r *RangeReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.b.Read(p)
	if err != nil {
		if r.err = err; !atEnd(err) {
			r.err = ended(r.b.ctx, err)
		}
	}
	return n, r.err
}

// Close ends the reading.
func (r *RangeReader) Close() error {
	r.b.disconnect()
	if r.err == nil {
		r.err = ErrClosed
	}
	return nil
}
