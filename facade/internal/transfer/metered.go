package transfer

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// metered is the body of one request: it counts what is read of it, ends the request when it stalls, and keeps the error that reading it
// gave: what is wrong with the source shows only as a broken request otherwise.
type metered struct {
	io.ReaderAt
	m      *Meter
	err    atomic.Pointer[error]
	cancel context.CancelCauseFunc // of the request

	mu    sync.Mutex
	timer *time.Timer // runs while the request is under way
}

// sendStall is how long the connection may take no byte of a body and give no answer. It is longer than that of a download, as the last
// megabytes lie in buffers of the system where nobody sees them move.
const sendStall = 2 * time.Minute

type meteredKey struct{}

// Sending is to be called by a Session when the request of a context that it was given goes out, and what it returns when it has its
// answer: only between the two is a request given up for a stall. What comes before, as signing in, has limits of its own.
func Sending(ctx context.Context) (answered func()) {
	r, ok := ctx.Value(meteredKey{}).(*metered)
	if !ok {
		return func() {}
	}
	t := time.AfterFunc(sendStall, func() { r.cancel(ErrStalled) })
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

// watch returns the context of a request that is given up when it stalls, and what turns the request's error into the reason.
func (r *metered) watch(ctx context.Context) (context.Context, func(error) error) {
	inner, cancel := context.WithCancelCause(ctx)
	r.cancel = cancel
	return context.WithValue(inner, meteredKey{}, r), func(err error) error {
		defer cancel(nil)
		if err != nil && ctx.Err() == nil && inner.Err() != nil {
			return ErrStalled
		}
		return err
	}
}

func (r *metered) ReadAt(p []byte, off int64) (int, error) {
	r.pause(true) // the source may take its time
	n, err := r.ReaderAt.ReadAt(p, off)
	r.pause(false)
	if n > 0 {
		r.m.moved(off, int64(n))
	}
	if err != nil && n < len(p) {
		return n, r.fail(err)
	}
	return n, err
}

// pause stops the clock of a request that is under way, or sets it to its start.
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

// fail keeps the error.
func (r *metered) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // nobody asks for more than the source is to have
	}
	r.err.CompareAndSwap(nil, &err)
	return err
}

func (r *metered) failed() error {
	if e := r.err.Load(); e != nil {
		return *e
	}
	return nil
}
