package transfer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// ahead is an io.ReaderAt that reads a source a little ahead of the requests that send it, hashes
// what it reads, and serves the requests from memory. An upload then takes as long as reading and
// hashing or as sending, whichever is longer, and reads each byte from the source once. Bytes that
// are sent again are read from the source again.
type ahead struct {
	src  io.ReaderAt
	size int64
	h    *hasher // nil: nothing is hashed

	mu    sync.Mutex
	moved sync.Cond // any of the fields below has changed
	ring  []byte    // byte off of the source is at off % len(ring)
	low   int64     // the ring holds [low, next)
	next  int64
	want  int64 // how far the sending has come
	need  int64 // how far the sending has to come before the reading can continue
	err   error
	stop  bool
	done  bool  // run has ended
	ended error // why the context has ended: nothing waits for run any more
	watch func() bool

	marks    []mark // for checkpoints, oldest first
	piece    int64
	markDist int64 // 0: no marks
	nextMark int64
}

// mark is the saved state of the hash at an offset.
type mark struct {
	off   int64
	state []byte
}

// newAhead starts to read src from the given offset on. If h is not nil, it has hashed the bytes
// before that offset. close must be called.
func newAhead(ctx context.Context, src io.ReaderAt, from, size int64, h *hasher, t Tuning, marking bool) *ahead {
	n := t.Ahead
	if pieces := max((size-from)/t.Piece+1, 1); pieces < n/t.Piece { // a product could overflow
		n = pieces * t.Piece
	}
	a := &ahead{src: src, size: size, h: h, ring: make([]byte, n), low: from, next: from, want: from, piece: t.Piece}
	if marking && h != nil {
		a.markDist = t.Mark
	}
	a.moved.L = &a.mu
	a.watch = context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ended = wait.Cause(ctx)
		a.moved.Broadcast()
	})
	go a.run()
	return a
}

func (a *ahead) run() {
	var err error
	for at := a.next; at < a.size; {
		slot := at % int64(len(a.ring))
		n := min(a.piece-at%a.piece, a.size-at, int64(len(a.ring))-slot)
		if !a.room(at + n) {
			break
		}
		b := a.ring[slot : slot+n]
		var m int
		m, err = a.src.ReadAt(b, at)
		if int64(m) < n {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			break
		}
		err = nil
		if a.h != nil {
			_, _ = a.h.Write(b) // a hash never fails
		}
		at += n
		a.mu.Lock()
		a.next = at
		if a.markDist > 0 && at >= a.nextMark {
			a.marks = append(a.marks, mark{at, a.h.state()})
			a.nextMark = at - at%a.markDist + a.markDist
		}
		a.moved.Broadcast()
		a.mu.Unlock()
	}
	a.mu.Lock()
	a.err, a.done = err, true
	a.moved.Broadcast()
	a.mu.Unlock()
}

// room waits until the ring has room for the bytes up to end, in place of bytes that were sent. It
// returns false if the reading must stop.
func (a *ahead) room(end int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.stop && a.ended == nil {
		low := end - int64(len(a.ring))
		if low <= a.low {
			return true
		}
		if low <= a.want {
			a.low = low
			return true
		}
		a.need = min(low+int64(len(a.ring))/4, a.next) // a quarter of the ring at once, as each wake-up costs
		a.moved.Wait()
	}
	return false
}

// reach notes how far the sending has come.
func (a *ahead) reach(off int64) {
	if off <= a.want {
		return
	}
	a.want = off
	if a.need > 0 && off >= a.need {
		a.need = 0
		a.moved.Broadcast()
	}
}

// ReadAt reads from the ring, waiting for bytes that are not hashed yet. What is no longer in the
// ring is read from the source.
func (a *ahead) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	a.mu.Lock()
	for n < len(p) {
		at := off + int64(n)
		a.reach(at)
		if at < a.low || at >= a.size || a.done && at >= a.next {
			break
		}
		if a.ended != nil {
			a.mu.Unlock()
			return n, a.ended
		}
		if at >= a.next {
			a.moved.Wait()
			continue
		}
		slot := at % int64(len(a.ring))
		n += copy(p[n:], a.ring[slot:min(slot+a.next-at, int64(len(a.ring)))])
	}
	a.reach(off + int64(n))
	err := a.err
	a.mu.Unlock()
	if n == len(p) {
		return n, nil
	}
	if err != nil {
		return n, err
	}
	m, err := a.src.ReadAt(p[n:], off+int64(n))
	return n + m, err
}

// wait waits until everything is read and hashed, no matter how far the sending has come.
func (a *ahead) wait() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.want = a.size
	a.moved.Broadcast()
	for !a.done && a.ended == nil {
		a.moved.Wait()
	}
	if a.err == nil {
		return a.ended
	}
	return a.err
}

// mark returns the saved hash at the greatest marked offset that is not beyond off, and forgets
// those before it.
func (a *ahead) mark(off int64) (mark, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := 0
	for i < len(a.marks) && a.marks[i].off <= off {
		i++
	}
	if i == 0 {
		return mark{}, false
	}
	a.marks = a.marks[i-1:]
	return a.marks[0], true
}

// close stops the reading and waits for its end. If the context has ended, it does not wait longer than
// a moment for a source that is blocked in ReadAt: what that returns is thrown away.
func (a *ahead) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.watch()
	a.stop = true
	a.moved.Broadcast()
	for !a.done && a.ended == nil {
		a.moved.Wait()
	}
	if a.done {
		return
	}
	late := false
	t := time.AfterFunc(sourceGrace, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		late = true
		a.moved.Broadcast()
	})
	defer t.Stop()
	for !a.done && !late {
		a.moved.Wait()
	}
}

// sourceGrace is how long a source may be blocked in ReadAt after the end of the context.
const sourceGrace = 60 * time.Millisecond
