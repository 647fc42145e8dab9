package transfer

import "context"

// RangeReader reads a part of a blob. It cannot verify it, as the digest is that of the whole blob.
// It reconnects by itself when a connection breaks.
type RangeReader struct {
	solo
}

// NewRangeReader returns a reader of the bytes from off up to end, which may be Unknown for the end
// of the blob. If size is not Unknown, an answer from a blob of another size is refused. Close must
// be called.
func NewRangeReader(ctx context.Context, blob Blob, size, off, end int64) *RangeReader {
	ctx, cancel := context.WithCancelCause(ctx)
	return &RangeReader{solo{b: newBody(ctx, blob, &Meter{}, size, off, end), cancel: cancel}}
}

// Open requests the bytes, so that an error is returned before the first Read.
func (r *RangeReader) Open() error {
	if r.b.end == r.b.off {
		return nil
	}
	return orCause(r.b.ctx, r.b.establish())
}

// Read implements io.Reader.
func (r *RangeReader) Read(p []byte) (int, error) {
	if !r.enter() {
		return 0, ErrConcurrentUse
	}
	defer r.leave()
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.b.Read(p)
	if err != nil {
		if r.err = err; !atEnd(err) {
			r.err = orCause(r.b.ctx, err)
		}
	}
	return n, r.err
}
