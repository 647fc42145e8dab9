package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// Result is the digest and size of an uploaded blob.
type Result struct {
	Digest digest.Digest
	Size   int64
}

// Upload uploads the size bytes of src, which may be read concurrently and at any offset until
// Upload returns. If it fails, it cancels the session, unless the caller has a checkpoint that can
// be resumed.
func Upload(ctx context.Context, s Session, src io.ReaderAt, size int64, o *UploadOptions) (res Result, err error) {
	if o.Size != Unknown && o.Size != size {
		return Result{}, fmt.Errorf("%w: stated %d bytes, the source has %d", ErrSizeMismatch, o.Size, size)
	}
	if cp := o.Resume; cp != nil && (cp.Offset < 0 || cp.Offset > size) {
		return Result{}, fmt.Errorf("%w: the checkpoint is at %d, the source has %d bytes", ErrSizeMismatch, cp.Offset, size)
	}
	o.Meter.SetTotal(size)
	guarded := &guardedSource{src: src}
	defer guarded.crash.raise() // once everything has ended
	u := newUploader(s, o, DefaultChunk)
	defer func() {
		if err == nil || !u.checkpointed || !Resumable(err) { // after a success there is nothing to cancel; after a panic there is
			u.cancel(ctx)
		}
		err = orCause(ctx, err)
	}()
	f := &fileUpload{u: u, src: guarded, size: size, digest: o.Digest}
	if size <= u.tune.Whole && o.Resume == nil {
		return f.small(ctx)
	}
	return f.large(ctx)
}

// guardedSource ends the upload in order if the source panics: the source is read from goroutines
// of this package and of the transport, where a panic would end the process.
type guardedSource struct {
	src   io.ReaderAt
	crash panicked
}

func (g *guardedSource) ReadAt(p []byte, off int64) (n int, err error) {
	crashed := g.crash.catch(func() error {
		n, err = g.src.ReadAt(p, off)
		return nil
	})
	switch {
	case crashed != nil:
		return 0, crashed
	case n < 0 || n > len(p):
		return 0, errImpossible
	}
	return n, err
}

// errImpossible is the error of a source whose reads return a negative count, or more than was asked for.
var errImpossible = errors.New("impossible count of bytes")

// fileUpload uploads a source that can be read again.
type fileUpload struct {
	u      *uploader
	src    io.ReaderAt
	size   int64
	digest digest.Digest // once it is known
	from   int64         // where reading and hashing begin
	data   io.ReaderAt   // what requests read: ahead, or src itself
	ahead  *ahead        // nil if nothing is read ahead
	hashed bool          // by ahead; otherwise the registry is left to check the digest
}

// small hashes first, so that the blob can go with the request that opens the upload or the one
// that commits it.
func (f *fileUpload) small(ctx context.Context) (Result, error) {
	o := &f.u.opts
	h, err := newHasher(o.hashing(), o.Meter, nil)
	if err != nil {
		return Result{}, err
	}
	b, err := f.read(ctx)
	if err != nil {
		return Result{}, err
	}
	_, _ = h.Write(b) // a hash never fails
	if err := f.identify(h.digest()); err != nil {
		return Result{}, err
	}
	if err := o.check(); err != nil {
		return Result{}, err
	}
	return f.u.inMemory(ctx, f.digest, b)
}

// read reads the whole source. It returns when ctx ends even if the source is blocked in ReadAt: what
// that returns is thrown away.
func (f *fileUpload) read(ctx context.Context) (memory, error) {
	b := make(memory, f.size)
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		var n int
		if n, err = f.src.ReadAt(b, 0); int64(n) == f.size {
			err = nil
		} else if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return nil, wait.Cause(ctx)
	}
	if err != nil {
		return nil, sourceError(err)
	}
	return b, nil
}

// large sends chunk after chunk, while the source is read and hashed ahead of the sending, if either pays.
func (f *fileUpload) large(ctx context.Context) (Result, error) {
	o := &f.u.opts
	var h *hasher
	if f.hashed = !o.Trust || f.digest == ""; f.hashed {
		var err error
		if h, err = newHasher(o.hashing(), o.Meter, o.Resume); err != nil && o.Resume != nil {
			h, err = newHasher(o.hashing(), o.Meter, nil) // the source can be read again from its start
		}
		if err != nil {
			return Result{}, err
		}
		f.from = h.n
	} else if o.Resume != nil {
		f.from = o.Resume.Offset
	}
	if f.data = f.src; f.hashed || !o.InPlace {
		f.ahead = newAhead(ctx, f.src, f.from, f.size, h, f.u.tune, o.Acked != nil)
		defer f.ahead.close()
		f.data = f.ahead
	}
	f.u.onAck = f.checkpoint
	for first := true; ; first = false {
		done, err := f.enter(ctx, first)
		if err != nil {
			return Result{}, err
		}
		if !done {
			err = f.session(ctx)
		}
		if err == nil {
			return Result{f.digest, f.size}, nil
		}
		if err := f.u.restartAfter(ctx, err); err != nil {
			return Result{}, err
		}
	}
}

// enter resumes the session of the checkpoint, if there is one and the registry still knows it, or
// begins a new one. done means that the registry has the whole blob.
func (f *fileUpload) enter(ctx context.Context, first bool) (done bool, err error) {
	if cp := f.u.opts.Resume; first && cp != nil {
		off, err := f.u.resume(ctx, *cp)
		if err == nil && off <= f.size {
			f.u.announceLocation(*cp)
			return false, nil
		}
		if err != nil && !errors.Is(err, ErrUploadLost) {
			return false, err
		}
		if !f.u.open {
			if done, err := f.isComplete(ctx); done || err != nil {
				return done, err
			}
		}
		f.u.cancel(ctx) // if it still exists, it is of no use
		if err == nil {
			err = errors.New("the registry has more than the source")
		}
		f.u.startsAgain(ctx, err)
	}
	if err := f.u.begin(ctx); err != nil {
		return false, err
	}
	f.u.announce(Checkpoint{Location: f.u.location})
	return false, nil
}

// isComplete asks whether the registry has the whole blob, as it has if the process that completed
// the upload ended before it removed its checkpoint. It does not ask if the digest is not known, and
// too much would have to be read for it.
func (f *fileUpload) isComplete(ctx context.Context) (bool, error) {
	t, d := &f.u.tune, f.u.opts.Digest
	if d == "" {
		if f.size-f.from > t.Ahead+t.Mark { // so much may have gone with the request that completed it
			return false, nil
		}
		if err := f.ahead.wait(); err != nil {
			return false, sourceError(err)
		}
		d = f.ahead.h.digest()
	}
	n, err := f.u.session.Stat(ctx, d)
	switch {
	case ctx.Err() != nil:
		return false, wait.Cause(ctx)
	case err != nil || n != f.size && n != Unknown:
		return false, nil //nolint:nilerr // uploading is right in any case
	}
	if err := f.u.opts.check(); err != nil {
		return false, err
	}
	f.digest = d
	f.u.opts.Meter.SetSkipped(f.size)
	return true, nil
}

// session uploads everything in one session.
func (f *fileUpload) session(ctx context.Context) error {
	u := f.u
	for f.size-u.acked > 0 && !f.restFitsCommit() {
		n := min(u.chunkSize(), f.size-u.acked)
		if err := u.send(ctx, f.data, 0, u.acked+n); err != nil {
			return err
		}
	}
	if f.hashed {
		if err := f.ahead.wait(); err != nil {
			return sourceError(err)
		}
		if err := f.identify(f.ahead.h.digest()); err != nil {
			return err
		}
	}
	if err := u.opts.check(); err != nil {
		return err
	}
	return u.commit(ctx, f.digest, f.data, 0, f.size, !u.opts.Limits.noTail.Load())
}

// restFitsCommit reports whether the rest can go with the commit at once: it fits into one request,
// and its hash is known or about to be.
func (f *fileUpload) restFitsCommit() bool {
	rest := f.size - f.u.acked
	if f.u.opts.Limits.noTail.Load() || rest > f.u.chunkSize() {
		return false
	}
	return !f.hashed || rest <= f.u.tune.Ahead // that far the hash is ahead of the sending
}

// identify compares the computed digest with the expected one.
func (f *fileUpload) identify(got digest.Digest) error {
	if want := f.u.opts.Digest; want != "" && want != got {
		return mismatch(want, got)
	}
	f.digest = got
	return nil
}

// checkpoint gives the caller a checkpoint of what the registry has acknowledged.
func (f *fileUpload) checkpoint() {
	u := f.u
	if u.opts.Acked == nil {
		return // hashes are not saved
	}
	cp := Checkpoint{Location: u.location, Offset: u.acked}
	if f.hashed {
		// Without a saved hash the next process hashes from the start, but sends only what is missing.
		m, _ := f.ahead.mark(u.acked)
		cp.Offset, cp.HashState, cp.Algorithm = m.off, m.state, f.ahead.h.algorithm
	}
	u.announce(cp)
}
