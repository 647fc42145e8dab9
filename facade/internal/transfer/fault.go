package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind is what a failed request means for the transfer.
type Kind uint8

// The kinds. An error that is no Fault counts as Doubt.
const (
	Doubt     Kind = iota // nobody knows whether it was applied: ask
	Busy                  // the other side asked to come back later; whether it was applied is not known either
	Gone                  // the session is no more
	TooLarge              // the body was refused for its size
	BadDigest             // the content was refused for its digest
	NoRange               // the range lies outside of the blob
	Final                 // no repetition will help
)

// Fault is a failed request, classified. The loops return Err, not the Fault.
type Fault struct {
	Kind  Kind
	After time.Duration // how long the other side asked to wait; 0: it did not say
	Err   error
}

func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// The verdicts of this package.
var (
	// ErrLost: the upload session is lost, and with it what was sent, or nothing gets through to it any more.
	ErrLost = errors.New("upload lost")
	// ErrDigest: content is not what its digest says.
	ErrDigest = errors.New("digest mismatch")
	// ErrSize: content is longer or shorter than stated.
	ErrSize = errors.New("size mismatch")
	// ErrChanged: the source changed while it was being sent.
	ErrChanged = errors.New("source changed during upload")
	// ErrStalled: no byte came for the time allowed.
	ErrStalled = errors.New("transfer stalled")
	// ErrProtocol: an answer contradicts what was asked.
	ErrProtocol = errors.New("answer contradicts the request")
	// ErrClosed: the writer or reader was closed before.
	ErrClosed = errors.New("already closed")
)

// LostError says what is known of a lost upload. It matches ErrLost and its cause.
type LostError struct {
	Offset   int64 // how far the session had got when it was lost
	Restarts int   // how many times it was begun again before
	Reason   string
	Err      error // what the last request failed with; may be nil
	Open     bool  // the registry may know the session still: a checkpoint can be gone on with
}

func (e *LostError) Error() string {
	s := fmt.Sprintf("%v after %d bytes", ErrLost, e.Offset)
	if e.Restarts > 0 {
		s += fmt.Sprintf(" (it was begun %d times)", e.Restarts+1)
	}
	s += ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives ErrLost and the cause.
func (e *LostError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrLost}
	}
	return []error{ErrLost, e.Err}
}

// Resumable tells whether an upload that failed with err can be gone on with from a checkpoint.
func Resumable(err error) bool {
	if lost, ok := errors.AsType[*LostError](err); ok {
		return lost.Open
	}
	return !errors.Is(err, ErrDigest) && !errors.Is(err, ErrSize) && !errors.Is(err, ErrChanged) && !errors.Is(err, ErrLost)
}

// classify returns the fault in err. The end of ctx is final whatever it made the request fail with.
func classify(ctx context.Context, err error) *Fault {
	if err := cause(ctx); err != nil {
		return &Fault{Kind: Final, Err: err}
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{Kind: Doubt, Err: err}
}

// ended returns the end of ctx in place of what it made err, so that errors.Is finds both ctx.Err and the cause.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return cause(ctx)
}

// cause returns why ctx ended, or nil.
func cause(ctx context.Context) error {
	err, why := ctx.Err(), context.Cause(ctx)
	if err == why { //nolint:errorlint // the very same
		return err
	}
	return fmt.Errorf("%w: %w", err, why)
}
