package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// send is the sending half of the writer, in a goroutine of its own.
func (w *Writer) send() {
	defer close(w.done)
	w.sendErr = w.crash.catch(w.sendBlocks)
}

// sendBlocks sends block after block.
func (w *Writer) sendBlocks() error {
	for {
		select {
		case b, ok := <-w.full:
			if !ok {
				return nil
			}
			if err := w.sendBlock(w.ctx, b); err != nil {
				return orCause(w.ctx, err)
			}
			w.acknowledged(b)
			w.free <- b.data[:0]
		case <-w.ctx.Done():
			return wait.Cause(w.ctx)
		}
	}
}

// sendBlock sends a block until the registry has it. If the session is lost, it begins again,
// provided that everything before the block can still be read.
func (w *Writer) sendBlock(ctx context.Context, b block) error {
	src, low := w.source(b)
	end := b.off + int64(len(b.data))
	w.u.onAck = func() {
		if w.u.acked < end {
			w.moved()
		}
	}
	for {
		err := w.u.send(ctx, src, low, end)
		if err == nil {
			return nil
		}
		if err := w.beginAgain(ctx, err, low); err != nil {
			return err
		}
	}
}

// beginAgain opens a new session if the old one was lost and the stream can be read again from its
// start. It returns err if err says something else.
func (w *Writer) beginAgain(ctx context.Context, err error, low int64) error {
	if !errors.Is(err, errSessionGone) && !errors.Is(err, errDigestRefused) {
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
	w.setCheckpoint(Checkpoint{Location: w.u.location, Algorithm: w.h.algorithm})
	return nil
}

// source returns what can be read of the stream while the block is sent, and the offset from which
// on.
func (w *Writer) source(b block) (io.ReaderAt, int64) {
	s := &window{off: b.off, data: b.data}
	if w.spool != nil && w.base == 0 {
		s.spool = w.spool
		return s, 0
	}
	return s, b.off
}

// moved updates the location of the checkpoint when a part of a block was acknowledged: the
// registry may refuse the older one.
func (w *Writer) moved() {
	w.mu.Lock()
	old := w.cp
	w.cp.Location = w.u.location
	w.mu.Unlock()
	w.u.announceLocation(old)
}

// acknowledged moves the checkpoint to the end of the block.
func (w *Writer) acknowledged(b block) {
	cp := Checkpoint{Location: w.u.location, Offset: b.off + int64(len(b.data)), Algorithm: w.h.algorithm, HashState: b.state}
	w.setCheckpoint(cp)
}

// setCheckpoint makes cp the checkpoint of the writer and gives it to the caller.
func (w *Writer) setCheckpoint(cp Checkpoint) {
	w.mu.Lock()
	w.cp = cp
	w.mu.Unlock()
	w.u.announce(cp)
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
		return Result{}, fmt.Errorf("%w: the registry has %d bytes of the upload, %d were written", ErrSizeMismatch, w.u.acked, size)
	}
	b := block{off: w.start, data: w.cur}
	if w.spool != nil {
		if _, err := w.spool.WriteAt(b.data, b.off); err != nil {
			return Result{}, fmt.Errorf("copying to the temporary file: %w", err)
		}
	}
	src, low := w.source(b)
	for {
		// The last block goes with the commit only if it can be sent again, in case the registry
		// ignores it there.
		err := w.u.commit(w.ctx, dgst, src, low, size, low == 0 && !w.u.opts.Limits.noTail.Load())
		if err == nil {
			return Result{dgst, size}, nil
		}
		if err := w.beginAgain(w.ctx, err, low); err != nil {
			return Result{}, err
		}
	}
}

// window is the block of a stream that is held in memory, and what was spooled before it.
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
