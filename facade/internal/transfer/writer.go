package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// streamBuffers is how many chunks of a stream are held: one being sent, one being filled. A third would wait for the first, at no gain
// that can be measured; what is held counts twice, as the garbage collector lets the heap grow to double what lives.
const streamBuffers = 2

// firstBuffer is what a stream of unknown length gets to begin with; most blobs are small.
const firstBuffer = 64 << 10

// Writer uploads what is written to it. A chunk is hashed while it is written and sent while the next one is; it is held until the
// registry has it. Its methods are to be called one at a time, save Checkpoint and Abort.
type Writer struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	u      *uploader // of the sender once it runs
	h      *hasher

	cur   []byte // being filled
	start int64  // offset of cur
	base  int64  // where the writer began: 0, or what a checkpoint says
	chunk int64
	spool Spool

	running bool
	made    int
	free    chan []byte
	full    chan block
	done    chan struct{} // closed when the sender has ended, sent and its error written
	sendErr error

	err    error // why no more is taken
	closed bool

	mu sync.Mutex
	cp Checkpoint
}

// Spool keeps a copy of a stream, so that it can be read once more.
type Spool interface {
	io.ReaderAt
	io.WriterAt
}

// block is a chunk on its way to the sender.
type block struct {
	off   int64
	data  []byte
	state []byte // of the hash at its end
}

// NewWriter returns a writer; nothing is sent before the first chunk is full, Open is called or the writer is committed. spool may be nil.
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
	w := &Writer{u: u, h: h, chunk: o.Limits.cap(u.chunk), spool: spool, base: h.n, start: h.n}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.free = make(chan []byte, streamBuffers)
	w.full = make(chan block, streamBuffers)
	w.done = make(chan struct{})
	o.Meter.SetTotal(o.Size)
	return w
}

// ResumeWriter goes on with the upload of a checkpoint, whose bytes from Offset on are to be written. A LostError says why it cannot.
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
		return nil, ended(ctx, err)
	}
	w.u.reentered(cp)
	cp.Location = w.u.location
	w.cp = cp
	w.run()
	return w, nil
}

// Open opens the session now.
func (w *Writer) Open() error {
	if w.running || w.err != nil {
		return w.err
	}
	if err := w.u.begin(w.ctx); err != nil {
		return w.fail(err)
	}
	w.cp = Checkpoint{Location: w.u.location, Algorithm: w.h.algorithm}
	w.run()
	return nil
}

func (w *Writer) run() {
	w.chunk = max(w.chunk, w.u.least)
	w.running = true
	go w.send()
}

// fail records why no more is taken.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = ended(w.ctx, err)
	}
	return w.err
}

// Offset is how much the writer has taken, what it was resumed at included.
func (w *Writer) Offset() int64 { return w.start + int64(len(w.cur)) }

// Checkpoint is the state as of the last chunk that the registry has acknowledged; false as long as there is no session.
func (w *Writer) Checkpoint() (Checkpoint, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cp, w.cp.Location != ""
}

// Write takes p.
func (w *Writer) Write(p []byte) (int, error) {
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

// ReadFrom takes all of r.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	taken := int64(0)
	for empty := 0; ; {
		room, err := w.room()
		if err != nil {
			return taken, err
		}
		n, err := r.Read(room)
		if n < 0 || n > len(room) {
			return taken, w.fail(errors.New("reading the source: impossible count of bytes"))
		}
		w.take(n)
		taken += int64(n)
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

// room returns the next piece of the buffer to be filled, after sending the buffer off when it is full.
func (w *Writer) room() ([]byte, error) {
	if w.err == nil && (w.closed || w.ctx.Err() != nil) {
		w.err = ErrClosed
		if !w.closed && !errors.Is(context.Cause(w.ctx), ErrClosed) {
			w.err = cause(w.ctx)
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	if err := w.over(); err != nil {
		return nil, w.fail(err)
	}
	if int64(len(w.cur)) >= w.chunk {
		if err := w.Open(); err != nil { // this may raise the size of a chunk
			return nil, err
		}
		if int64(len(w.cur)) >= w.chunk {
			if err := w.flush(); err != nil {
				return nil, w.fail(err)
			}
		}
	}
	if len(w.cur) == cap(w.cur) {
		if err := w.enlarge(); err != nil {
			return nil, w.fail(err)
		}
	}
	n := len(w.cur)
	return w.cur[n:min(int64(n)+w.u.tune.Piece, int64(cap(w.cur)), w.chunk)], nil
}

// over tells whether more was taken than was stated.
func (w *Writer) over() error {
	if size := w.u.Size; size != Unknown && w.Offset() > size {
		return fmt.Errorf("%w: stated %d bytes, more were written", ErrSize, size)
	}
	return nil
}

// enlarge makes room in the current buffer or gets the next one.
func (w *Writer) enlarge() error {
	if w.cur == nil && w.running {
		select {
		case w.cur = <-w.free:
			return nil
		default:
		}
		if w.made == streamBuffers {
			select {
			case w.cur = <-w.free:
				return nil
			case <-w.done:
				return w.sendErr
			case <-w.ctx.Done():
				return cause(w.ctx)
			}
		}
	}
	n := max(int64(cap(w.cur))*4, firstBuffer)
	if n > w.chunk/8 {
		n = w.chunk // what is grown out of is garbage
	}
	if w.cur == nil {
		if w.made++; w.made > 1 {
			n = w.chunk
		}
	}
	grown := make([]byte, len(w.cur), min(n, w.chunk))
	copy(grown, w.cur)
	w.cur = grown
	return nil
}

// take hashes the n bytes that were put into the room, while they are in the processor's cache.
func (w *Writer) take(n int) {
	k := len(w.cur)
	w.cur = w.cur[:k+n]
	_, _ = w.h.Write(w.cur[k:])
}

// flush hands the current buffer to the sender.
func (w *Writer) flush() error {
	b := block{off: w.start, data: w.cur, state: w.h.state()}
	if w.spool != nil {
		if _, err := w.spool.WriteAt(b.data, b.off); err != nil {
			return fmt.Errorf("spooling: %w", err)
		}
	}
	select {
	case w.full <- b:
	case <-w.done:
		return w.sendErr
	case <-w.ctx.Done():
		return cause(w.ctx)
	}
	w.start += int64(len(b.data))
	w.cur = nil
	return nil
}
