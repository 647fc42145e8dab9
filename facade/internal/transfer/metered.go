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
	err    atomic.Pointer[error]
	cancel context.CancelCauseFunc // of the request

	mu    sync.Mutex
	timer *time.Timer // runs while the request is under way
}

// sendStall is how long a connection may take no byte of a body and bring no answer. It is longer
// than the limit of a download, as the last megabytes lie in buffers of the system where nobody
// sees them move.
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
	t := time.AfterFunc(sendStall, func() { r.cancel(wait.ErrStalled) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = t
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		t.Stop()
		r.timer = nil
	}
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
	r.pause(true) // a slow source is no stalled connection
	n, err := r.src.ReadAt(p, off)
	r.pause(false)
	if n > 0 {
		r.meter.moved(off, int64(n))
	}
	if err != nil && n < len(p) {
		return n, r.fail(err)
	}
	return n, err
}

// pause stops the stall timer of a request that is being sent, or restarts it.
func (r *metered) pause(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.timer == nil:
	case yes:
		r.timer.Stop()
	default:
		r.timer.Reset(sendStall)
	}
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
