package transfer

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// metered is the body of one request. It counts the bytes that are read of it, and keeps the error of
// the source, which would otherwise look like a broken connection. The transport limits how long a
// connection may take no byte of it.
type metered struct {
	src   io.ReaderAt
	meter *Meter
	end   int64 // offset behind the last byte of the body
	err   atomic.Pointer[error]

	mu    sync.Mutex
	high  int64     // offset behind the last byte that was read
	moved time.Time // when that was read, or the request was sent
}

// newMetered returns the body of a request that carries n bytes of src from off on.
func newMetered(src io.ReaderAt, off, n int64, m *Meter) *metered {
	return &metered{src: src, meter: m, end: off + n, high: off, moved: time.Now()}
}

type meteredKey struct{}

// Sending must be called by a Session when the request with the given context is sent: what happens
// before, such as signing in, is no silence of the registry.
func Sending(ctx context.Context) {
	if r, ok := ctx.Value(meteredKey{}).(*metered); ok {
		r.took(0)
	}
}

// silence returns for how long the request was without an answer after its whole body was taken; 0 if
// it was not.
func (r *metered) silence() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.high < r.end {
		return 0
	}
	return time.Since(r.moved)
}

func (r *metered) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.src.ReadAt(p, off)
	r.took(off + int64(max(n, 0)))
	if n > 0 {
		r.meter.moved(off, int64(n))
	}
	if err != nil && n < len(p) {
		return n, r.fail(err)
	}
	return n, err
}

// took notes that the body was read up to high.
func (r *metered) took(high int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.high = max(r.high, high)
	r.moved = time.Now()
}

// fail keeps the error of the source.
func (r *metered) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // no more is read than the source stated to have
	}
	r.err.CompareAndSwap(nil, &err)
	return err
}

// failed returns the error of the source, or nil.
func (r *metered) failed() error {
	if e := r.err.Load(); e != nil {
		return *e
	}
	return nil
}
