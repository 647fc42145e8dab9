package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// errDigestRefused asks the caller of uploader.commit to begin again: the registry refused the
// digest for a reason that the next session can avoid.
var errDigestRefused = errors.New("the registry counted other content than was sent")

// commit completes the upload. What the registry does not have yet goes into the body of the
// commit, or, if tail is false, into chunks before it. errSessionGone and errDigestRefused mean
// that the session is lost.
func (u *uploader) commit(ctx context.Context, dgst digest.Digest, data io.ReaderAt, low, size int64, tail bool) error {
	for {
		if rest := size - u.acked; rest > 0 && (!tail || rest > u.chunkSize()) {
			end := size
			if tail {
				end = size - u.chunkSize()
			}
			if err := u.send(ctx, data, low, end); err != nil {
				return u.unlessStored(ctx, err, dgst, size)
			}
		}
		n := size - u.acked
		began := time.Now()
		pending, err := u.request(ctx, data, u.acked, n, func(ctx context.Context, c Chunk) error {
			return u.session.Commit(ctx, u.location, dgst, c)
		})
		if err == nil {
			if n > 0 {
				u.opts.Limits.tail.Store(true)
			}
			u.open = false
			u.acknowledge(size)
			return nil
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
			if n == 0 {
				return f.Err
			}
			if tail = false; n <= u.leastChunk() {
				err = nil // only the commit takes no body of that size: it is sent as a chunk
			}
		case Doubt:
			u.doubtCommit(began, pending)
		case Busy:
			if pending {
				u.doubtCommit(began, pending)
			}
		}
		if f.Kind != TooLarge && u.stored(ctx, dgst, size) || pending && u.awaitCommit(ctx, dgst, size) {
			return nil
		}
		if err := u.resync(ctx, err, n, low); err != nil {
			return u.unlessStored(ctx, err, dgst, size)
		}
	}
}

// unlessStored looks for the blob before a session is given up: a commit whose reply was lost ends
// the session too.
func (u *uploader) unlessStored(ctx context.Context, err error, dgst digest.Digest, size int64) error {
	if errors.Is(err, errSessionGone) && u.sent == size && (u.stored(ctx, dgst, size) || u.awaitCommit(ctx, dgst, size)) {
		return nil
	}
	return err
}

// stored reports whether the registry has the blob, in which case the upload is complete. If the
// registry cannot be asked, it returns false.
func (u *uploader) stored(ctx context.Context, dgst digest.Digest, size int64) bool {
	for p := (patience{}); ; {
		yes, f := u.ask(ctx, dgst, size)
		if yes || f == nil || f.Kind != Doubt && f.Kind != Busy || p.tries >= 2 || p.wait(ctx, f) != nil {
			return yes
		}
	}
}

// refused judges a commit whose digest the registry did not accept. Before that counts as a
// mismatch, the upload is begun again for each of two reasons that a next session can avoid: the
// registry may have ignored the body of the commit, and its count, which the upload acted upon, may
// have been wrong.
func (u *uploader) refused(dgst digest.Digest, inBody int64, f *Fault) error {
	limits := u.opts.Limits
	switch {
	case inBody > 0 && !limits.tail.Load() && limits.noTail.CompareAndSwap(false, true):
		u.withoutTail = true
		return errDigestRefused
	case u.withoutTail:
		limits.noTail.Store(false) // the body was not the reason: take the suspicion back
	case u.trust.withdraw():
		return errDigestRefused
	}
	return fmt.Errorf("%w: the registry refused %s for what it received: %w", ErrDigestMismatch, dgst, f.Err)
}
