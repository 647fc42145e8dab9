package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// streamBuffers is how many chunks of a stream are held in memory: one is sent while the other is
// filled. A third buffer brought nothing that could be measured, and costs twice its size, as the
// garbage collector lets the heap grow to double.
const streamBuffers = 2

// firstBuffer is the size of the first buffer; most blobs are small.
const firstBuffer = 64 << 10

// Writer uploads what is written to it. A chunk is hashed while it is written, sent while the next
// one is written, and held in memory until the registry has acknowledged it. Its methods must not
// be called concurrently, except Checkpoint and Abort.
type Writer struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	u      *uploader // belongs to the sender while that runs
	h      *hasher

	cur   []byte // the chunk that is being filled
	start int64  // offset of cur
	base  int64  // where the writer began: 0, or the offset of a checkpoint
	chunk int64  // size of a chunk
	spool Spool  // may be nil

	running bool // the sender runs
	made    int  // buffers made so far, at most streamBuffers
	free    chan []byte
	full    chan block
	done    chan struct{} // closed when the sender has ended, after sendErr is set
	sendErr error

	err    error // why nothing more is accepted
	closed bool
	busy   atomic.Bool // a method runs
	left   atomic.Bool // ReadStream has given up on a Read that is still blocked
	crash  panicked    // of the sender: the caller's code may be behind a request

	mu sync.Mutex // guards cp
	cp Checkpoint
}

// Spool keeps a copy of a stream, so that it can be read again.
type Spool interface {
	io.ReaderAt
	io.WriterAt
}

// block is a chunk on its way to the sender.
type block struct {
	off   int64
	data  []byte
	state []byte // of the hash at the end of data
}

// NewWriter returns a writer. Nothing is sent before the first chunk is full, or Open or Commit is
// called. spool may be nil: then a stream whose session is lost cannot be uploaded again.
func NewWriter(ctx context.Context, s Session, o *UploadOptions, spool Spool) (*Writer, error) {
	h, err := newHasher(o.hashing(), o.Meter, nil)
	if err != nil {
		return nil, err
	}
	return newWriter(ctx, s, o, spool, h), nil
}

func newWriter(ctx context.Context, s Session, o *UploadOptions, spool Spool, h *hasher) *Writer {
	u := newUploader(s, o, DefaultStreamChunk)
	u.grow = false
	w := &Writer{u: u, h: h, chunk: o.Limits.atMost(u.chunk), spool: spool, base: h.n, start: h.n}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.free = make(chan []byte, streamBuffers)
	w.full = make(chan block, streamBuffers)
	w.done = make(chan struct{})
	o.Meter.SetTotal(o.Size)
	return w
}

// ResumeWriter returns a writer that continues the upload of a checkpoint; the bytes from
// [Writer.Offset] on must be written to it. It fails with a LostError if the upload cannot be
// continued.
func ResumeWriter(ctx context.Context, s Session, cp Checkpoint, o *UploadOptions) (*Writer, error) {
	if cp.Offset > 0 && len(cp.HashState) == 0 {
		return nil, &LostError{Offset: cp.Offset, Reason: "the checkpoint has no hash state"}
	}
	algorithm := o.hashing()
	if algorithm == "" {
		algorithm = cp.Algorithm
	}
	h, err := newHasher(algorithm, o.Meter, &cp)
	if err != nil {
		return nil, &LostError{Offset: cp.Offset, Reason: "the checkpoint cannot be used", Err: err}
	}
	w := newWriter(ctx, s, o, nil, h)
	if _, err := w.u.resume(w.ctx, cp); err != nil {
		w.cancel(ErrClosed)
		return nil, orCause(ctx, err)
	}
	w.u.announceLocation(cp)
	cp.Location = w.u.location
	w.cp = cp
	w.run()
	return w, nil
}

// Open opens the session now, rather than when the first chunk is full.
func (w *Writer) Open() error {
	if w.running || w.err != nil {
		return w.err
	}
	if err := w.u.begin(w.ctx); err != nil {
		return w.fail(err)
	}
	w.setCheckpoint(Checkpoint{Location: w.u.location, Algorithm: w.h.algorithm})
	w.run()
	return nil
}

// run starts the sender.
func (w *Writer) run() {
	w.chunk = max(w.chunk, w.u.minChunk)
	w.running = true
	go w.send()
}

// fail records why nothing more is accepted.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = orCause(w.ctx, err)
	}
	return w.err
}

// Offset returns how many bytes of the blob the writer has, including those before the point of
// resumption.
func (w *Writer) Offset() int64 { return w.start + int64(len(w.cur)) }

// Checkpoint returns the state as of the last chunk that the registry has acknowledged, or false if
// there is no session yet.
func (w *Writer) Checkpoint() (Checkpoint, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cp, w.cp.Location != ""
}

// enter refuses a call while another one runs: two at once would mix up the content, or wait for each
// other for ever.
func (w *Writer) enter() error {
	switch {
	case w.busy.CompareAndSwap(false, true):
		return nil
	case w.left.Load():
		return wait.Cause(w.ctx)
	}
	return ErrConcurrentUse
}

// leave ends what enter began. It panics with what the sender has panicked with, once.
func (w *Writer) leave() {
	w.busy.Store(false)
	w.crash.raise()
}

// Write implements io.Writer. The error may be that of an earlier chunk.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.enter(); err != nil {
		return 0, err
	}
	defer w.leave()
	taken := 0
	for len(p) > 0 {
		room, err := w.room()
		if err != nil {
			return taken, err
		}
		n := copy(room, p)
		w.take(n)
		taken += n
		p = p[n:]
	}
	return taken, nil
}

// ReadFrom implements io.ReaderFrom: it reads r to its end, straight into the chunks.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	if err := w.enter(); err != nil {
		return 0, err
	}
	defer w.leave()
	taken := int64(0)
	for empty := 0; ; {
		room, err := w.room()
		if err != nil {
			return taken, err
		}
		n, err := r.Read(room)
		if n < 0 || n > len(room) {
			return taken, w.fail(fmt.Errorf("reading the source: %w", errImpossible))
		}
		if n > 0 { // after the end of a stream nothing is touched any more
			w.take(n)
			taken += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return taken, nil
		case err != nil:
			return taken, fmt.Errorf("reading the source: %w", err)
		case n > 0:
			empty = 0
		default:
			if empty++; empty >= 100 {
				return taken, io.ErrNoProgress
			}
		}
	}
}

// ReadStream is ReadFrom, except that it returns when the writer's context ends even if r.Read is
// still blocked; what that Read returns later is discarded. If r panics, ReadStream panics with the
// same value.
func (w *Writer) ReadStream(r io.Reader) (int64, error) {
	g := &gate{r: r}
	var taken int64
	var err error
	var crash panicked
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = crash.catch(func() error {
			var err error
			taken, err = w.ReadFrom(g)
			return err
		})
	}()
	select {
	case <-done:
	case <-w.ctx.Done():
		if g.abandon() {
			w.left.Store(true)
			return g.passed, wait.Cause(w.ctx)
		}
		<-done
	}
	crash.raise()
	return taken, orCause(w.ctx, err)
}

// Commit sends what is left and completes the upload. After an error the session is still open,
// unless it was lost.
func (w *Writer) Commit() (Result, error) {
	if err := w.enter(); err != nil {
		return Result{}, err
	}
	defer w.leave()
	if w.err == nil && w.closed {
		w.err = ErrClosed
	}
	if w.err != nil {
		return Result{}, w.err
	}
	w.closed = true
	size, dgst := w.Offset(), w.h.digest()
	w.u.opts.Meter.SetTotal(size)
	if want := w.u.opts.Size; want != Unknown && want != size {
		return Result{}, w.fail(fmt.Errorf("%w: stated %d bytes, %d were written", ErrSizeMismatch, want, size))
	}
	if want := w.u.opts.Digest; want != "" && want != dgst {
		return Result{}, w.fail(mismatch(want, dgst))
	}
	res, err := w.finish(dgst, size)
	if err != nil {
		return Result{}, w.fail(err)
	}
	w.cancel(ErrClosed)
	return res, nil
}

// Abort ends the writer and, if it is not committed, cancels its session. With keep the session is
// left open for a later ResumeWriter if the caller was given a checkpoint of what it holds. It may be called more than once, also while a Read that
// ReadStream has given up on is still blocked.
func (w *Writer) Abort(ctx context.Context, keep bool) error {
	switch {
	case w.busy.CompareAndSwap(false, true):
		defer w.leave()
	case !w.left.Load():
		return ErrConcurrentUse
	}
	w.cancel(ErrClosed)
	if w.running {
		<-w.done
	}
	if !keep || !w.u.checkpointed {
		w.u.cancel(ctx)
	}
	return nil
}

// Close ends the writer after the full chunks have been sent, and leaves the session open for a
// later ResumeWriter. It does not interrupt a chunk: some registries end the session when one
// breaks off.
func (w *Writer) Close() error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	if w.closed {
		return nil
	}
	w.closed = true
	if !w.running {
		w.cancel(ErrClosed)
		return nil
	}
	close(w.full)
	<-w.done
	w.cancel(ErrClosed)
	return w.sendErr
}
