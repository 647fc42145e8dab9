package transfer

import (
	"fmt"
	"io"
	"time"
)

const (
	pipePiece  = 128 << 10 // what is handed on at once
	pipePieces = 8         // how many may be on their way from the reading to the taking
)

// piece is a part of a blob on its way from the reading to the taking.
type piece struct {
	b   []byte
	off int64
}

// pipe reads b to its end in this goroutine and has take called with piece after piece in another one, so that the connection is read
// while the bytes before are hashed and written. It returns nil at the end of the bytes, else what take returned, what reading failed with, or
// errSlow when slow (which may be nil) said so of the bytes read so far and the time spent waiting for them; it is asked after each size
// bytes, or pipePiece where that is less. Everything read is taken before pipe returns.
func pipe(b *body, size int64, take func(p []byte, off int64) error, slow func(n int64, busy time.Duration) bool) error {
	t := &taker{take: take, size: min(size, pipePiece), free: make(chan []byte, pipePieces), full: make(chan piece, pipePieces), failed: make(chan struct{}), done: make(chan struct{})}
	go t.run()
	err := t.feed(b, slow)
	close(t.full)
	<-t.done
	t.panicked.raise()
	if t.err != nil {
		return t.err
	}
	return err
}

// written is the error of a write to a caller's destination: one that is short is never without, and one that has ended (a closed SSH
// channel says io.EOF) is not to be taken for the end of what is read.
func written(n, want int, err error) error {
	switch {
	case err == nil && n < want:
		return io.ErrShortWrite
	case atEnd(err):
		return errEnded
	}
	return err
}

var errEnded = fmt.Errorf("the destination takes no more: %w", io.EOF)

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
}

func (t *taker) run() {
	defer close(t.done)
	for p := range t.full {
		if t.err != nil {
			continue
		}
		if t.err = t.panicked.catch(func() error { return t.take(p.b, p.off) }); t.err != nil {
			close(t.failed)
			continue
		}
		t.free <- p.b[:cap(p.b)]
	}
}

// buffer returns a free one; nil when taking has failed or the body's context has ended.
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

// feed reads the body.
func (t *taker) feed(b *body, slow func(int64, time.Duration) bool) error {
	for start := b.off; ; {
		buf := t.buffer(b)
		if buf == nil {
			return cause(b.ctx)
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
			return errSlow
		}
	}
}
