package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/acrkit/acrkit/facade/internal/observe"
)

// resync finds out from the registry where to continue after a chunk of n bytes failed with err, or,
// if err is nil, without a reason to wait before that. It returns nil to continue at acked, and
// errSessionGone if the session is lost.
func (u *uploader) resync(ctx context.Context, err error, n, low int64) error {
	var first error // what it began with
	for {
		if err != nil {
			f := classify(ctx, err)
			switch u.last = f.Err; {
			case first == nil:
				first = f.Err
			case f.Kind == Gone: // some registries end the session with a chunk that breaks off
				u.last = fmt.Errorf("%w; the session was then lost: %w", first, f.Err)
			}
			if err := u.judge(ctx, f, &n); err != nil {
				return err
			}
		}
		var s State
		if s, err = u.session.Status(ctx, u.location); err == nil {
			return u.adopt(s, low)
		}
		if f, ok := errors.AsType[*Fault](err); ok && (f.Kind == NoRange || f.Kind == TooLarge || f.Kind == BadDigest) {
			u.last = f.Err
			return errSessionGone
		}
	}
}

// judge draws the conclusions from the fault of a chunk of n bytes, or of the question after it:
// smaller chunks, a wait, or the error that ends the attempt.
func (u *uploader) judge(ctx context.Context, f *Fault, n *int64) error {
	u.gained = 0
	switch f.Kind {
	case Gone:
		u.open = false
		return errSessionGone
	case Final, BadDigest:
		return f.Err
	case TooLarge:
		least := u.leastChunk()
		if *n <= least {
			return f.Err
		}
		*n = max(*n/2, least)
		u.chunk, u.grow = u.opts.Limits.shrink(*n), false
		observe.Repeated(ctx)
	case Doubt, Busy, NoRange:
		if f.Kind == NoRange {
			if u.disagreed++; u.disagreed > 2 {
				return errSessionGone // the registry's count and ours do not come to agree
			}
		}
		if err := u.patience.wait(ctx, f); err != nil {
			return u.stuck(ctx, err, f)
		}
		if u.grow = false; u.patience.tries > 1 && u.chunk > patientChunk && u.chunk/2 >= u.minChunk {
			u.chunk /= 2
		}
	}
	return nil
}

// adopt continues where the registry says it is.
func (u *uploader) adopt(s State, low int64) error {
	u.noteReply(s)
	off := s.Offset
	if off == 1 && u.acked == 0 {
		off = 0 // "0-0" means one byte or none. If it was one, the digest will tell.
	}
	switch {
	case off == Unknown, off > u.sent, off < low:
		return errSessionGone // there is nothing to continue with
	case off < u.acked && off == 1:
		return errSessionGone
	case off != u.acked:
		u.trust.suspect() // plausible, but only the digest can tell
	}
	u.acknowledge(off)
	return nil
}

// stuck returns the error of an upload that makes no progress although its session may still exist.
// err is what waiting to repeat f returned.
func (u *uploader) stuck(ctx context.Context, err error, f *Fault) error {
	if ctx.Err() != nil || f.After > maxAfter {
		return err
	}
	return &LostError{
		Offset: u.acked, Restarts: u.restarts, Reason: fmt.Sprintf("no progress in %d tries", u.patience.tries), Err: f.Err, Open: true,
	}
}
