package transfer

import (
	"fmt"
	"io"
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

// Plain is a Destination that only writes.
type Plain struct{ io.WriterAt }

// Prefix returns nothing.
func (Plain) Prefix() (io.ReaderAt, int64) { return nil, 0 }

// Sized does nothing.
func (Plain) Sized(int64) error { return nil }

// Written does nothing.
func (Plain) Written(int64) {}

// Complete does nothing.
func (Plain) Complete(int64) error { return nil }

// writeError returns the error of a write of want bytes that returned n and err. A short write is
// always an error. The io.EOF of a destination that accepts nothing more (a closed SSH channel
// returns it) is wrapped, so that it is not taken for the end of the blob.
func writeError(n, want int, err error) error {
	switch {
	case err == nil && n < want:
		return io.ErrShortWrite
	case atEnd(err):
		return errDestinationEnded
	}
	return err
}

var errDestinationEnded = fmt.Errorf("the destination takes no more: %w", io.EOF)
