package transfer

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// inMemory uploads content that lies in memory and whose digest is known: in one request if the
// registry takes it so, otherwise in two.
func (u *uploader) inMemory(ctx context.Context, dgst digest.Digest, b memory) (Result, error) {
	size := int64(len(b))
	done, err := u.inOneRequest(ctx, dgst, b)
	if err != nil {
		return Result{}, err
	}
	for !done {
		if err := u.begin(ctx); err != nil {
			return Result{}, err
		}
		err := u.commit(ctx, dgst, b, 0, size, !u.opts.Limits.noTail.Load())
		if err == nil {
			break
		}
		if err := u.restartAfter(ctx, err); err != nil {
			return Result{}, err
		}
	}
	return Result{dgst, size}, nil
}

// inOneRequest tries to upload with the request that opens the upload. It returns false if the blob
// has to be uploaded in a session, which the registry may have opened already.
func (u *uploader) inOneRequest(ctx context.Context, dgst digest.Digest, b memory) (bool, error) {
	size, limits := int64(len(b)), u.opts.Limits
	if size > u.tune.Whole || u.first != nil || limits.noWhole.Load() || limits.atMost(size) < size {
		return false, nil
	}
	for {
		var s State
		var done bool
		began := time.Now()
		pending, err := u.request(ctx, b, 0, size, func(ctx context.Context, c Chunk) (err error) {
			s, done, err = u.session.Whole(ctx, dgst, c)
			return err
		})
		if err == nil && done {
			u.acknowledge(size)
			return true, nil
		}
		if err == nil {
			limits.noWhole.Store(true)
			u.first = &s
			return false, nil
		}
		fault := classify(ctx, err)
		u.last = fault.Err
		switch fault.Kind {
		case Doubt, Busy:
			if pending {
				u.doubtCommit(began, pending)
				if u.awaitCommit(ctx, dgst, size) {
					return true, nil
				}
			}
			err := u.patience.wait(ctx, fault)
			if ctx.Err() == nil && u.stored(ctx, dgst, size) {
				return true, nil
			}
			if err != nil {
				return false, err
			}
		case BadDigest, TooLarge:
			limits.noWhole.Store(true)
			return false, nil
		default:
			return false, fault.Err
		}
	}
}

// memory is content in memory, as an io.ReaderAt that can be read concurrently.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
