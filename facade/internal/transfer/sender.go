package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// send is the writer's other half: it sends block after block.
func (w *Writer) send() {
	defer close(w.done)
	for {
		select {
		case b, ok := <-w.full:
			if !ok {
				return
			}
			if err := w.sendBlock(w.ctx, b); err != nil {
				w.sendErr = ended(w.ctx, err)
				return
			}
			w.acknowledged(b)
			w.free <- b.data[:0]
		case <-w.ctx.Done():
			w.sendErr = cause(w.ctx)
			return
		}
	}
}

// sendBlock makes the registry have the block, beginning again where everything up to it can still be read.
func (w *Writer) sendBlock(ctx context.Context, b block) error {
	src, low := w.source(b)
	end := b.off + int64(len(b.data))
	w.u.acks = func() {
		if w.u.acked < end {
			w.moved()
		}
	}
	for {
		err := w.u.send(ctx, src, low, end)
		if err == nil {
			return nil
		}
		if err := w.again(ctx, err, low); err != nil {
			return err
		}
	}
}

// again opens a new session where the old one was lost and everything up to now can be read once more.
func (w *Writer) again(ctx context.Context, err error, low int64) error {
	if !errors.Is(err, errGone) && !errors.Is(err, errRefused) {
		return err
	}
	if low > 0 {
		return w.u.lost("the stream cannot be read again")
	}
	if err := w.u.restart(ctx); err != nil {
		return err
	}
	if err := w.u.begin(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	w.cp = Checkpoint{Location: w.u.location, Algorithm: w.h.algorithm}
	w.mu.Unlock()
	return nil
}

// source returns what can be read of the stream when the block is sent, and from where on.
func (w *Writer) source(b block) (io.ReaderAt, int64) {
	s := &window{off: b.off, data: b.data}
	if w.spool != nil && w.base == 0 {
		s.spool = w.spool
		return s, 0
	}
	return s, b.off
}

// moved takes the session's location into the checkpoint when a part of a block was acknowledged: the older one may be of no use by now.
func (w *Writer) moved() {
	w.mu.Lock()
	old := w.cp
	w.cp.Location = w.u.location
	w.mu.Unlock()
	if old.Offset > 0 { // the caller is given nothing to go on with before a chunk is there
		w.u.reentered(old)
	}
}

// acknowledged moves the checkpoint to the end of the block.
func (w *Writer) acknowledged(b block) {
	cp := Checkpoint{Location: w.u.location, Offset: b.off + int64(len(b.data)), Algorithm: w.h.algorithm, HashState: b.state}
	w.mu.Lock()
	w.cp = cp
	w.mu.Unlock()
	if w.u.Acked != nil {
		w.u.Reporter.Post(func() { w.u.Acked(cp) })
	}
}

// Commit sends what is left and completes the upload. After an error the session is still open, unless it was lost.
func (w *Writer) Commit() (Result, error) {
	if w.err == nil && w.closed {
		w.err = ErrClosed
	}
	if w.err != nil {
		return Result{}, w.err
	}
	w.closed = true
	size, dgst := w.Offset(), w.h.digest()
	w.u.Meter.SetTotal(size)
	if want := w.u.Size; want != Unknown && want != size {
		return Result{}, w.fail(fmt.Errorf("%w: stated %d bytes, %d were written", ErrSize, want, size))
	}
	if want := w.u.Digest; want != "" && want != dgst {
		return Result{}, w.fail(mismatch(want, dgst))
	}
	res, err := w.finish(dgst, size)
	if err != nil {
		return Result{}, w.fail(err)
	}
	w.cancel(ErrClosed)
	return res, nil
}

// finish sends the last block and commits.
func (w *Writer) finish(dgst digest.Digest, size int64) (Result, error) {
	if !w.running && w.start == 0 {
		return w.u.inMemory(w.ctx, dgst, memory(w.cur))
	}
	close(w.full)
	<-w.done
	if w.sendErr != nil {
		return Result{}, w.sendErr
	}
	if w.u.acked > size {
		return Result{}, fmt.Errorf("%w: the registry has %d bytes of the upload, %d were written", ErrSize, w.u.acked, size)
	}
	b := block{off: w.start, data: w.cur}
	if w.spool != nil {
		if _, err := w.spool.WriteAt(b.data, b.off); err != nil {
			return Result{}, fmt.Errorf("spooling: %w", err)
		}
	}
	src, low := w.source(b)
	for {
		// The last block goes with the commit only where it could be sent once more, should the registry not read it there.
		err := w.u.commit(w.ctx, dgst, src, low, size, low == 0 && !w.u.Limits.noTail.Load())
		if err == nil {
			return Result{dgst, size}, nil
		}
		if err := w.again(w.ctx, err, low); err != nil {
			return Result{}, err
		}
	}
}

// Abort ends the writer and, if it is not committed, its session. With keep the session is left for a later ResumeWriter. It can be called
// more than once, also while ReadStream has left a Read alone.
func (w *Writer) Abort(ctx context.Context, keep bool) {
	w.cancel(ErrClosed)
	if w.running {
		<-w.done
	}
	if !keep {
		w.u.cancel(ctx)
	}
}

// Close ends the writer after the chunks that are full have been sent, and leaves the session for a later ResumeWriter. A chunk that is
// broken off in the middle would cost some registries the session.
func (w *Writer) Close() error {
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

// window is the part of a stream that is held in memory, and what was spooled before it.
type window struct {
	off   int64
	data  memory
	spool io.ReaderAt
}

func (w *window) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < w.off {
		if w.spool == nil {
			return 0, io.ErrUnexpectedEOF
		}
		n = int(min(int64(len(p)), w.off-off))
		if m, err := w.spool.ReadAt(p[:n], off); m < n {
			return m, err
		}
		if n == len(p) {
			return n, nil
		}
	}
	m, err := w.data.ReadAt(p[n:], off+int64(n)-w.off)
	return n + m, err
}
