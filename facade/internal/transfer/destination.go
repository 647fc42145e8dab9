package transfer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// Destination is where a download writes to. WriteAt may be called concurrently for different parts
// of the blob; the other methods are called one at a time.
type Destination interface {
	io.WriterAt
	// Prefix returns the first n bytes of the blob as an earlier download left them; n may be 0. It
	// is called once. The bytes are hashed again, since nothing proves that they are right.
	Prefix() (r io.ReaderAt, n int64)
	// Sized is called with the size of the blob before anything is written, as soon as the size is
	// known.
	Sized(size int64) error
	// Written is called from time to time with how many bytes are written and hashed without a gap.
	// It is called with 0 if the content turned out to be wrong, before the blob is downloaded
	// again.
	Written(off int64)
	// Complete is called when everything is written and verified. The download succeeds if Complete
	// returns nil.
	Complete(size int64) error
}

// Plain is a Destination that was not written to before.
type Plain struct {
	w   io.WriterAt
	end atomic.Int64 // offset behind the last byte that was written
}

// NewPlain returns a Plain that writes to w.
func NewPlain(w io.WriterAt) *Plain { return &Plain{w: w} }

// WriteAt implements io.WriterAt.
func (p *Plain) WriteAt(b []byte, off int64) (int, error) {
	n, err := p.w.WriteAt(b, off)
	for end := off + int64(min(max(n, 0), len(b))); ; {
		old := p.end.Load()
		if end <= old || p.end.CompareAndSwap(old, end) {
			return n, err
		}
	}
}

// Prefix returns nothing.
func (p *Plain) Prefix() (io.ReaderAt, int64) { return nil, 0 }

// Sized does nothing.
func (p *Plain) Sized(int64) error { return nil }

// Written does nothing.
func (p *Plain) Written(int64) {}

// Complete cuts the destination to the size of the blob if it can be cut: a file may have been longer
// before, and the bytes of an answer that turned out to be wrong may lie behind the blob. If it cannot
// be cut and such bytes lie there, Complete fails with ErrSizeMismatch.
func (p *Plain) Complete(size int64) error {
	end := p.end.Load()
	if t, ok := p.w.(interface{ Truncate(size int64) error }); ok && cuttable(p.w) {
		return t.Truncate(size)
	}
	if end > size {
		return fmt.Errorf("%w: a wrong answer was written up to byte %d of the destination, behind the blob of %d bytes, and the "+
			"destination cannot be truncated", ErrSizeMismatch, end, size)
	}
	return nil
}

// cuttable reports whether the Truncate method of w means anything: files that are devices have it too.
func cuttable(w io.WriterAt) bool {
	f, ok := w.(*os.File)
	if !ok {
		return true
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// writeError returns the error of a write of want bytes that returned n and err. A short write is
// always an error. The io.EOF of a destination that accepts nothing more (a closed SSH channel
// returns it) is wrapped, so that it is not taken for the end of the blob.
func writeError(n, want int, err error) error {
	switch {
	case n < 0 || n > want:
		return errors.New("the destination writer returned an impossible count of bytes")
	case err == nil && n < want:
		return io.ErrShortWrite
	case atEnd(err):
		return errDestinationEnded
	}
	return err
}

var errDestinationEnded = fmt.Errorf("the destination writer returned %w", io.EOF)
