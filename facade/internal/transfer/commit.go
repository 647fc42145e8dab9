package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// errRefused asks the caller of uploader.commit to begin again: the registry counted other content than was sent, for a reason that the
// next session can avoid.
var errRefused = errors.New("the registry counted other content than was sent")

// commit completes the upload with what the registry does not have yet in the body of the commit, or before it where tail is false.
// errGone and errRefused: the session is lost.
func (u *uploader) commit(ctx context.Context, dgst digest.Digest, data io.ReaderAt, low, size int64, tail bool) error {
	for {
		if rest := size - u.acked; rest > 0 && (!tail || rest > u.size()) {
			end := size
			if tail {
				end = size - u.size()
			}
			if err := u.send(ctx, data, low, end); err != nil {
				return u.found(ctx, err, dgst, size)
			}
		}
		n := size - u.acked
		src := &metered{ReaderAt: data, m: u.Meter}
		watched, stop := src.watch(ctx)
		err := stop(u.Commit(watched, u.location, dgst, Chunk{Offset: u.acked, Size: n, Data: src}))
		if err == nil {
			if n > 0 {
				u.Limits.tail.Store(true)
			}
			u.open = false
			u.at(size)
			return nil
		}
		if e := src.failed(); e != nil && ctx.Err() == nil {
			return sourceError(e)
		}
		u.sent = size
		f := classify(ctx, err)
		u.last = f.Err
		switch f.Kind {
		case Final:
			return f.Err
		case BadDigest:
			return u.refused(dgst, n, f)
		case TooLarge:
			tail = false
			if n == 0 {
				return f.Err
			}
		}
		if f.Kind != TooLarge && u.there(ctx, dgst, size) {
			return nil
		}
		if err := u.recover(ctx, err, n, low); err != nil {
			return u.found(ctx, err, dgst, size)
		}
	}
}

// found looks for the blob before a session is given up: a commit whose reply was lost ends the session too.
func (u *uploader) found(ctx context.Context, err error, dgst digest.Digest, size int64) error {
	if errors.Is(err, errGone) && u.sent == size && u.there(ctx, dgst, size) {
		return nil
	}
	return err
}

// there tells whether the registry has the blob, in which case the upload is complete. What cannot be told counts as no.
func (u *uploader) there(ctx context.Context, dgst digest.Digest, size int64) bool {
	if u.Stat == nil {
		return false
	}
	for p := (patience{}); ; {
		n, err := u.Stat(ctx, dgst)
		if err == nil {
			if n != size && n != Unknown {
				return false
			}
			u.open = false
			u.at(size)
			return true
		}
		f := classify(ctx, err)
		if f.Kind != Doubt && f.Kind != Busy || p.wait(ctx, f) != nil {
			return false
		}
	}
}

// refused judges a commit whose digest the registry did not accept.
func (u *uploader) refused(dgst digest.Digest, inBody int64, f *Fault) error {
	switch {
	case inBody > 0 && !u.Limits.tail.Load() && u.Limits.noTail.CompareAndSwap(false, true):
		u.untailed = true
		return errRefused // perhaps it does not read the body of a commit
	case u.untailed:
		u.Limits.noTail.Store(false) // that was not why
	case u.doubted && !u.deaf:
		u.deaf = true // perhaps its counting was wrong
		return errRefused
	}
	return fmt.Errorf("%w: the registry refused %s for what it received: %w", ErrDigest, dgst, f.Err)
}

// mismatch is the verdict on content that is not what was expected.
func mismatch(want, got digest.Digest) error {
	return fmt.Errorf("%w: want %s, got %s", ErrDigest, want, got)
}
