package transfer

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

const (
	pipePiece  = 128 << 10 // how many bytes are handed over at once
	pipePieces = 8         // how many pieces may be between the reading and the taking
)

// piece is a part of a blob on its way from the reading to the taking.
type piece struct {
	b   []byte
	off int64
}

// pipe reads b to its end in the calling goroutine and calls take with piece after piece in another
// one, so that the connection is read while earlier bytes are hashed and written. It returns nil at
// the end, the error of take or of the reading, or errSlowStream if slow returned true. slow, which
// may be nil, is called after every size bytes (at most pipePiece) with the number of bytes read so
// far and the time spent waiting for them. Before pipe returns, take has been called with
// everything that was read, unless the context of b ends while take is blocked: that call stays behind.
func pipe(b *body, size int64, take func(p []byte, off int64) error, slow func(n int64, busy time.Duration) bool) error {
	t := &taker{take: take, size: min(size, pipePiece), free: make(chan []byte, pipePieces), full: make(chan piece, pipePieces), failed: make(chan struct{}), done: make(chan struct{})}
	go t.run()
	err := t.feed(b, slow)
	close(t.full)
	if !endsSoon(b.ctx, t.done) {
		t.left.Store(true)
		return wait.Cause(b.ctx)
	}
	t.panicked.raise()
	if t.err != nil {
		return t.err
	}
	return err
}

// endsSoon waits until done is closed and returns true. If ctx ends, it does not wait longer than a moment for code of the
// caller's that is blocked, and returns false.
func endsSoon(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	t := time.NewTimer(callbackGrace)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// errSlowStream ends a stream that is too slow to stay the only connection.
var errSlowStream = errors.New("transfer: the stream is slow")

// taker is the taking half of a pipe.
type taker struct {
	take     func(p []byte, off int64) error
	size     int64 // of a piece
	free     chan []byte
	full     chan piece // has room for every piece there is
	made     int
	failed   chan struct{} // closed when take has failed
	done     chan struct{} // closed at the end
	err      error
	panicked panicked
	left     atomic.Bool // nobody waits any more
}

func (t *taker) run() {
	defer close(t.done)
	for p := range t.full {
		if t.err != nil || t.left.Load() {
			continue
		}
		if t.err = t.panicked.catch(func() error { return t.take(p.b, p.off) }); t.err != nil {
			close(t.failed)
			continue
		}
		t.free <- p.b[:cap(p.b)]
	}
}

// buffer returns a free buffer, or nil if take has failed or the context of the body has ended.
func (t *taker) buffer(b *body) []byte {
	select {
	case buf := <-t.free:
		return buf
	default:
	}
	if t.made < pipePieces {
		t.made++
		n := t.size
		if limit := b.limit(); limit != Unknown {
			n = max(min(n, limit-b.off), 1)
		}
		return make([]byte, n)
	}
	select {
	case buf := <-t.free:
		return buf
	case <-t.failed:
	case <-b.ctx.Done():
	}
	return nil
}

// feed reads the body into buffers and hands them over.
func (t *taker) feed(b *body, slow func(int64, time.Duration) bool) error {
	for start := b.off; ; {
		buf := t.buffer(b)
		if buf == nil {
			return wait.Cause(b.ctx)
		}
		off, n := b.off, 0
		var err error
		for n < len(buf) && err == nil {
			var m int
			m, err = b.Read(buf[n:])
			n += m
		}
		if n > 0 {
			t.full <- piece{buf[:n], off}
		}
		if atEnd(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if slow != nil && slow(b.off-start, b.busy) {
			return errSlowStream
		}
	}
}
