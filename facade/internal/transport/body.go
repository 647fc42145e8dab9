package transport

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Body is a request body over a section of an io.ReaderAt. It satisfies io.ReadSeekCloser, so that azcore neither copies nor spools it, and
// [Transport] replaces it by a fresh fork for each attempt: when a server answers before it has read the body, the old attempt's write loop may still
// be reading, and a shared seeker that is rewound under it sends a torn body (net/http may use a body until it has closed it).
type Body struct {
	ra     io.ReaderAt
	off, n int64

	mu   sync.Mutex
	pos  int64
	gen  int           // how many times Wait has returned nil
	open int           // forks the transport holds
	idle chan struct{} // closed when open falls to 0; nil when nobody waits
}

var _ io.ReadSeekCloser = (*Body)(nil)

// NewBody returns the n bytes of ra from off as a request body. ra must not change until Wait has returned nil.
func NewBody(ra io.ReaderAt, off, n int64) *Body { return &Body{ra: ra, off: off, n: max(n, 0)} }

// Size returns the number of bytes.
func (b *Body) Size() int64 { return b.n }

// Read reads at the body's own position. Only policies that look at bodies use it; forks have positions of their own.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.readAt(p, b.pos)
	b.pos += int64(n)
	return n, err
}

// Seek moves the body's own position.
func (b *Body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.n
	default:
		return 0, errors.New("request body: invalid whence")
	}
	if offset < 0 {
		return 0, errors.New("request body: negative position")
	}
	b.pos = offset
	return offset, nil
}

// Close does nothing: the section belongs to the caller.
func (b *Body) Close() error { return nil }

// Wait returns nil when the transport has let go of every fork handed out so far, so that the memory behind the body may be used again, or the context's error.
// It returns at once where the attempt was answered after its body was read, which is nearly always. A fork that was never read does not count, for net/http may lose
// one (after an HTTP/2 GOAWAY, when no other connection is there yet): instead it cannot be read any more.
func (b *Body) Wait(ctx context.Context) error {
	for {
		b.mu.Lock()
		if b.open == 0 {
			b.gen++
			b.mu.Unlock()
			return nil
		}
		if b.idle == nil {
			b.idle = make(chan struct{})
		}
		idle := b.idle
		b.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *Body) readAt(p []byte, pos int64) (int, error) {
	if pos >= b.n {
		return 0, io.EOF
	}
	if left := b.n - pos; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.ra.ReadAt(p, b.off+pos)
	if n == len(p) {
		err = nil // ReadAt may report io.EOF along with the last bytes
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the source is shorter than was said: not a clean end
	}
	return n, err
}

// fork returns the body anew from its start, for one attempt.
func (b *Body) fork() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &fork{b: b, gen: b.gen}
}

// hold counts a fork of the generation as held; false means that it comes too late.
func (b *Body) hold(gen int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if gen != b.gen {
		return false
	}
	b.open++
	return true
}

func (b *Body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open--; b.open == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

// fork counts as held from its first Read until it is closed and no Read is on its way: Close may come while a Read is running, and must not wait for a slow source.
type fork struct {
	b   *Body
	pos int64
	gen int

	mu      sync.Mutex
	reading int
	held    bool
	closed  bool
}

var errBodyClosed = errors.New("request body: read after close")

func (f *fork) Read(p []byte) (int, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return 0, errBodyClosed
	}
	if !f.held {
		if !f.b.hold(f.gen) {
			f.mu.Unlock()
			return 0, errBodyClosed
		}
		f.held = true
	}
	f.reading++
	f.mu.Unlock()

	n, err := f.b.readAt(p, f.pos)
	f.pos += int64(n)

	f.mu.Lock()
	f.reading--
	last := f.closed && f.reading == 0
	f.mu.Unlock()
	if last {
		f.b.release()
	}
	return n, err
}

func (f *fork) Close() error {
	f.mu.Lock()
	last := f.held && !f.closed && f.reading == 0
	f.closed = true
	f.mu.Unlock()
	if last {
		f.b.release()
	}
	return nil
}
