package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// Result is what an upload came to.
type Result struct {
	Digest digest.Digest
	Size   int64
}

// Upload uploads the size bytes of src, which can be read at any time and place until Upload returns.
func Upload(ctx context.Context, s Session, src io.ReaderAt, size int64, o *UploadOptions) (res Result, err error) {
	if o.Size != Unknown && o.Size != size {
		return Result{}, fmt.Errorf("%w: stated %d bytes, the source has %d", ErrSize, o.Size, size)
	}
	if cp := o.Resume; cp != nil && (cp.Offset < 0 || cp.Offset > size) {
		return Result{}, fmt.Errorf("%w: the checkpoint is at %d, the source has %d bytes", ErrSize, cp.Offset, size)
	}
	o.Meter.SetTotal(size)
	guarded := &guardedSource{ReaderAt: src}
	defer guarded.crash.raise() // once everything has ended
	src = guarded
	u := newUploader(s, o, DefaultChunk)
	defer func() {
		if err != nil && !(u.told && Resumable(err)) {
			u.cancel(ctx)
		}
		err = ended(ctx, err)
	}()
	f := &fileUpload{uploader: u, src: src, size: size, digest: o.Digest}
	if size <= u.tune.Whole && o.Resume == nil {
		return f.small(ctx)
	}
	return f.large(ctx)
}

// guardedSource ends the upload in order when the source panics: it is read from goroutines of ours and of the transport, where a panic
// would end the process.
type guardedSource struct {
	io.ReaderAt
	crash panicked
}

func (g *guardedSource) ReadAt(p []byte, off int64) (n int, err error) {
	crashed := g.crash.catch(func() error {
		n, err = g.ReaderAt.ReadAt(p, off)
		return nil
	})
	if crashed != nil {
		return 0, crashed
	}
	return n, err
}

// fileUpload uploads a source that can be read again.
type fileUpload struct {
	*uploader
	src    io.ReaderAt
	size   int64
	digest digest.Digest // once it is known
	ahead  *ahead
	hashed bool // by ahead; otherwise the registry is left to check the digest
}

// small hashes first, so that the blob can go with the request that opens or the one that commits the upload.
func (f *fileUpload) small(ctx context.Context) (Result, error) {
	h, err := newHasher(f.hashing(), f.Meter, nil)
	if err != nil {
		return Result{}, err
	}
	b := make(memory, f.size)
	if n, err := f.src.ReadAt(b, 0); int64(n) < f.size {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Result{}, sourceError(err)
	}
	_, _ = h.Write(b)
	if err := f.identify(h.digest()); err != nil {
		return Result{}, err
	}
	if f.Check != nil {
		if err := f.Check(); err != nil {
			return Result{}, err
		}
	}
	return f.inMemory(ctx, f.digest, b)
}

// inMemory uploads content that lies in memory and whose digest is known: in one request where the registry takes it, else in two.
func (u *uploader) inMemory(ctx context.Context, dgst digest.Digest, b memory) (Result, error) {
	size := int64(len(b))
	done, err := u.whole(ctx, dgst, b)
	if err != nil {
		return Result{}, err
	}
	for !done {
		if err := u.begin(ctx); err != nil {
			return Result{}, err
		}
		err := u.commit(ctx, dgst, b, 0, size, !u.Limits.noTail.Load())
		if err == nil {
			break
		}
		if err := u.again(ctx, err); err != nil {
			return Result{}, err
		}
	}
	return Result{dgst, size}, nil
}

// whole tries to upload with the request that opens the upload; false means that it is to be done in the common way.
func (u *uploader) whole(ctx context.Context, dgst digest.Digest, b memory) (bool, error) {
	if u.Whole == nil || int64(len(b)) > u.tune.Whole || u.Begin != nil || u.Limits.noWhole.Load() || u.Limits.cap(int64(len(b))) < int64(len(b)) {
		return false, nil
	}
	for {
		src := &metered{ReaderAt: b, m: u.Meter}
		watched, stop := src.watch(ctx)
		s, done, err := u.Whole(watched, dgst, Chunk{Size: int64(len(b)), Data: src})
		err = stop(err)
		if err == nil && done {
			u.at(int64(len(b)))
			return true, nil
		}
		if err == nil {
			u.Limits.noWhole.Store(true)
			u.Begin = &s
			return false, nil
		}
		fault := classify(ctx, err)
		u.last = fault.Err
		switch fault.Kind {
		case Doubt, Busy: // sent again as it is: it is addressed by its content
			if err := u.patience.wait(ctx, fault); err != nil {
				return false, err
			}
		case BadDigest, TooLarge:
			u.Limits.noWhole.Store(true)
			return false, nil
		default:
			return false, fault.Err
		}
	}
}

// again begins again where the session was lost, and returns err otherwise.
func (u *uploader) again(ctx context.Context, err error) error {
	if errors.Is(err, errGone) || errors.Is(err, errRefused) {
		return u.restart(ctx)
	}
	return err
}

// large sends chunk after chunk, reading and hashing beside it.
func (f *fileUpload) large(ctx context.Context) (Result, error) {
	var h *hasher
	from := int64(0)
	if f.hashed = !f.Trust || f.digest == ""; f.hashed {
		var err error
		if h, err = newHasher(f.hashing(), f.Meter, f.Resume); err != nil && f.Resume != nil {
			h, err = newHasher(f.hashing(), f.Meter, nil) // all of it can be read once more
		}
		if err != nil {
			return Result{}, err
		}
		from = h.n
	} else if f.Resume != nil {
		from = f.Resume.Offset
	}
	f.ahead = newAhead(f.src, from, f.size, h, f.tune, f.Acked != nil)
	defer f.ahead.close()
	f.acks = f.acknowledged
	for first := true; ; first = false {
		if err := f.enterOrBegin(ctx, first); err != nil {
			return Result{}, err
		}
		err := f.session(ctx)
		if err == nil {
			return Result{f.digest, f.size}, nil
		}
		if err := f.again(ctx, err); err != nil {
			return Result{}, err
		}
	}
}

// enterOrBegin takes up the session of the checkpoint, if there is one and the registry still knows it, or begins a new one.
func (f *fileUpload) enterOrBegin(ctx context.Context, first bool) error {
	if cp := f.Resume; first && cp != nil && cp.Location != "" {
		off, err := f.resume(ctx, *cp)
		if err == nil && off <= f.size {
			f.reentered(*cp)
			return nil
		}
		if err != nil && !errors.Is(err, ErrLost) {
			return err
		}
		f.cancel(ctx) // if it is there, it is of no use
	}
	return f.begin(ctx)
}

// session uploads everything in one session.
func (f *fileUpload) session(ctx context.Context) error {
	for f.size-f.acked > 0 && !f.tail() {
		n := min(f.uploader.size(), f.size-f.acked)
		if err := f.send(ctx, f.ahead, 0, f.acked+n); err != nil {
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
	if f.Check != nil {
		if err := f.Check(); err != nil {
			return err
		}
	}
	return f.commit(ctx, f.digest, f.ahead, 0, f.size, !f.Limits.noTail.Load())
}

// tail tells whether the rest can go with the commit at once: it fits one request, and its hash is there or about to be.
func (f *fileUpload) tail() bool {
	rest := f.size - f.acked
	if f.Limits.noTail.Load() || rest > f.uploader.size() {
		return false
	}
	return !f.hashed || rest <= f.tune.Ahead // so far the hash is ahead of the sending
}

// hashing is the algorithm to hash with.
func (o *UploadOptions) hashing() digest.Algorithm {
	if o.Digest != "" {
		return o.Digest.Algorithm()
	}
	return o.Algorithm
}

// identify compares the digest that was computed with the expected one.
func (f *fileUpload) identify(got digest.Digest) error {
	if f.Digest != "" && f.Digest != got {
		return mismatch(f.Digest, got)
	}
	f.digest = got
	return nil
}

// acknowledged gives the caller a checkpoint.
func (f *fileUpload) acknowledged() {
	if f.Acked == nil {
		return
	}
	cp := Checkpoint{Location: f.location, Offset: f.acked}
	if f.hashed {
		m, ok := f.ahead.mark(f.acked)
		if !ok {
			return
		}
		cp.Offset, cp.HashState, cp.Algorithm = m.off, m.state, f.ahead.h.algorithm
	}
	f.told = true
	f.Reporter.Post(func() { f.Acked(cp) })
}

// memory is content in memory, as an io.ReaderAt that can be read by several at once.
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
