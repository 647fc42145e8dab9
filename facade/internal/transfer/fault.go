package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// Kind is what a failed request means for the transfer.
type Kind uint8

// The kinds of a Fault. An error that is not a Fault counts as Doubt.
const (
	Doubt     Kind = iota // nobody knows whether the request was applied: ask
	Busy                  // the server asked to come back later; whether the request was applied is not known either
	Gone                  // the session, or the blob that was asked for, does not exist
	TooLarge              // the body was refused for its size
	BadDigest             // the content was refused for its digest
	NoRange               // the range lies outside of what the registry has
	Final                 // no repetition will help
)

// Fault is a failed request and what it means. The loops return Err, not the Fault.
type Fault struct {
	Kind  Kind
	After time.Duration // how long the server asked to wait; 0: it did not say
	Err   error
}

func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// classify returns the Fault in err. If ctx has ended, the Fault is Final with the cause of ctx,
// whatever error the end of ctx led to.
func classify(ctx context.Context, err error) *Fault {
	if err := wait.Cause(ctx); err != nil {
		return &Fault{Kind: Final, Err: err}
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{Kind: Doubt, Err: err}
}

// orCause returns the cause of ctx in place of err if ctx has ended, since err is then only a
// consequence of that.
func orCause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return wait.Cause(ctx)
}
