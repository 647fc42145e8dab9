package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// room returns the next piece of the current chunk to be filled. If the chunk is full, it is handed
// to the sender first.
func (w *Writer) room() ([]byte, error) {
	if w.err == nil && (w.closed || w.ctx.Err() != nil) {
		w.err = ErrClosed
		if !w.closed && !errors.Is(context.Cause(w.ctx), ErrClosed) {
			w.err = wait.Cause(w.ctx)
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

// over returns an error if more was written than the stated size.
func (w *Writer) over() error {
	if size := w.u.opts.Size; size != Unknown && w.Offset() > size {
		return fmt.Errorf("%w: stated %d bytes, more were written", ErrSizeMismatch, size)
	}
	return nil
}

// enlarge makes room in the current chunk, or gets a buffer for the next one.
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
				return wait.Cause(w.ctx)
			}
		}
	}
	n := max(int64(cap(w.cur))*4, firstBuffer)
	if n > w.chunk/8 {
		n = w.chunk // each further step would leave garbage
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

// take hashes the n bytes that were written to the room, while they are in the processor's cache.
func (w *Writer) take(n int) {
	k := len(w.cur)
	w.cur = w.cur[:k+n]
	_, _ = w.h.Write(w.cur[k:])
}

// flush hands the current chunk to the sender.
func (w *Writer) flush() error {
	b := block{off: w.start, data: w.cur, state: w.h.state()}
	if w.spool != nil {
		if _, err := w.spool.WriteAt(b.data, b.off); err != nil {
			return fmt.Errorf("copying to the temporary file: %w", err)
		}
	}
	select {
	case w.full <- b:
	case <-w.done:
		return w.sendErr
	case <-w.ctx.Done():
		return wait.Cause(w.ctx)
	}
	w.start += int64(len(b.data))
	w.cur = nil
	return nil
}
