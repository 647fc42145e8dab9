package transfer

import (
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// The errors that transfers end with. Package acr exports these very values.
var (
	// ErrUploadLost means that the upload session is lost, and with it what was sent, or that no
	// request gets through to it any more. The error is a [*LostError].
	ErrUploadLost = errors.New("upload lost")
	// ErrDigestMismatch means that the content does not have the expected digest.
	ErrDigestMismatch = errors.New("digest mismatch")
	// ErrSizeMismatch means that the content is longer or shorter than stated.
	ErrSizeMismatch = errors.New("size mismatch")
	// ErrSourceChanged means that the source changed while it was being uploaded, or before the upload
	// was resumed.
	ErrSourceChanged = errors.New("source changed")
	// ErrMalformedReply means that a response contradicts itself or the request.
	ErrMalformedReply = errors.New("malformed reply")
	// ErrClosed means that the writer or reader was closed before.
	ErrClosed = errors.New("already closed")
	// ErrConcurrentUse means that two methods of a writer or reader were called at once. The second
	// call did nothing.
	ErrConcurrentUse = errors.New("used by two goroutines at once")
)

// LostError says what is known of a lost upload. It matches ErrUploadLost and its cause.
type LostError struct {
	Offset   int64 // how many bytes the session had when it was lost
	Restarts int   // how many times the upload was begun again before
	Reason   string
	Err      error // what the last request failed with; may be nil
	Open     bool  // the registry may still know the session: a checkpoint of it can be resumed
}

func (e *LostError) Error() string {
	s := fmt.Sprintf("%v after %d bytes", ErrUploadLost, e.Offset)
	if e.Restarts > 0 {
		s += fmt.Sprintf(" (it was begun %d times)", e.Restarts+1)
	}
	s += ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns ErrUploadLost and the cause.
func (e *LostError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrUploadLost}
	}
	return []error{ErrUploadLost, e.Err}
}

// Resumable reports whether an upload that failed with err can be resumed from a checkpoint.
func Resumable(err error) bool {
	if lost, ok := errors.AsType[*LostError](err); ok {
		return lost.Open
	}
	for _, final := range []error{ErrDigestMismatch, ErrSizeMismatch, ErrSourceChanged, ErrUploadLost} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// mismatch returns the error of content that has another digest than the expected one.
func mismatch(want, got digest.Digest) error {
	return fmt.Errorf("%w: want %s, got %s", ErrDigestMismatch, want, got)
}

// sourceError returns the error of an upload whose source failed with err. A source that ends early
// has another size than it stated.
func sourceError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the source ended early", ErrSizeMismatch)
	}
	return fmt.Errorf("reading the source: %w", err)
}
