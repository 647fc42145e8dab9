package transfer

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// metered is the body of one request. It counts the bytes that are read of it, ends the request if
// no byte is read for too long, and keeps the error of the source, which would otherwise look like
// a broken connection.
type metered struct {
	src    io.ReaderAt
	meter  *Meter
	end    int64 // offset behind the last byte of the body
	err    atomic.Pointer[error]
	cancel context.CancelCauseFunc // of the request

	mu    sync.Mutex
	timer *time.Timer // runs while the body is being sent
	high  int64       // offset behind the last byte that was read
	moved time.Time   // when that was read, or the request was sent
}

// newMetered returns the body of a request that carries n bytes of src from off on.
func newMetered(src io.ReaderAt, off, n int64, m *Meter) *metered {
	return &metered{src: src, meter: m, end: off + n, high: off, moved: time.Now()}
}

// sendStall is how long a connection may take no byte of a body. It is longer than the limit of a
// download, as megabytes may lie in buffers of the system where nobody sees them move. Once the whole
// body is taken, the transport limits how long the answer may take.
const sendStall = 2 * time.Minute

type meteredKey struct{}

// Sending must be called by a Session when the request with the given context is sent, and the
// function that it returns when the answer has arrived. A request can stall only between the two:
// what happens before, such as signing in, has limits of its own.
func Sending(ctx context.Context) (answered func()) {
	r, ok := ctx.Value(meteredKey{}).(*metered)
	if !ok {
		return func() {}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved = time.Now()
	if r.high >= r.end {
		return func() {}
	}
	t := time.AfterFunc(sendStall, func() { r.cancel(wait.ErrStalled) })
	r.timer = t
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		t.Stop()
		r.timer = nil
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

// watch returns the context of a request, which ends when the request stalls, and a function that
// replaces the error of the request by ErrStalled in that case. The function must be called.
func (r *metered) watch(ctx context.Context) (context.Context, func(error) error) {
	inner, cancel := context.WithCancelCause(ctx)
	r.cancel = cancel
	return context.WithValue(inner, meteredKey{}, r), func(err error) error {
		defer cancel(nil)
		if err != nil && ctx.Err() == nil && inner.Err() != nil {
			return wait.ErrStalled
		}
		return err
	}
}

func (r *metered) ReadAt(p []byte, off int64) (int, error) {
	r.pause() // a slow source is no stalled connection
	n, err := r.src.ReadAt(p, off)
	r.resume(off + int64(max(n, 0)))
	if n > 0 {
		r.meter.moved(off, int64(n))
	}
	if err != nil && n < len(p) {
		return n, r.fail(err)
	}
	return n, err
}

// pause stops the stall timer of a request that is being sent.
func (r *metered) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
}

// resume restarts the stall timer after the body was read up to high, unless that was its end.
func (r *metered) resume(high int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.high = max(r.high, high); r.timer != nil && r.high < r.end {
		r.timer.Reset(sendStall)
	}
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
