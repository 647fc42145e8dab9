package transfer

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// Event is how far a transfer has got.
type Event struct {
	Total    int64
	Offset   int64
	Sent     int64
	Resent   int64
	Hashed   int64
	Restarts int
	Skipped  bool
	Mounted  bool
	Done     bool
}

// Meter counts what a transfer does. Its zero value counts; it may be read at any time.
type Meter struct {
	total, offset, sent, resent, hashed, restarts atomic.Int64

	high atomic.Int64 // end of what was moved at least once
	flag atomic.Uint32
}

const (
	flagSkipped = 1 << iota
	flagMounted
	flagDone
)

// Event returns the counts.
func (m *Meter) Event() Event {
	f := m.flag.Load()
	return Event{
		Total: m.total.Load(), Offset: m.offset.Load(), Sent: m.sent.Load(), Resent: m.resent.Load(), Hashed: m.hashed.Load(),
		Restarts: int(m.restarts.Load()), Skipped: f&flagSkipped != 0, Mounted: f&flagMounted != 0, Done: f&flagDone != 0,
	}
}

// SetTotal sets the size of the blob, Unknown included.
func (m *Meter) SetTotal(n int64) { m.total.Store(n) }

// SetSkipped marks the blob as having been there.
func (m *Meter) SetSkipped(n int64) { m.total.Store(n); m.flag.Or(flagSkipped) }

// SetMounted marks the blob as mounted.
func (m *Meter) SetMounted(n int64) { m.total.Store(n); m.flag.Or(flagMounted) }

// SetDone marks the transfer as complete.
func (m *Meter) SetDone() { m.flag.Or(flagDone) }

// moved counts n bytes at off as sent or received.
func (m *Meter) moved(off, n int64) {
	m.sent.Add(n)
	for end := off + n; ; {
		high := m.high.Load()
		if end <= high {
			m.resent.Add(n)
			return
		}
		if m.high.CompareAndSwap(high, end) {
			if again := high - off; again > 0 {
				m.resent.Add(again)
			}
			return
		}
	}
}

// metered counts what is read from a source, and keeps the error that reading it gave: what is wrong with the source shows only as a
// broken request otherwise.
type metered struct {
	io.ReaderAt
	m     *Meter
	err   atomic.Pointer[error]
	timer atomic.Pointer[time.Timer]
}

// sendStall is how long the connection may take no byte of a body and give no answer. It is longer than that of a download, as the last
// megabytes lie in buffers of the system where nobody sees them move.
const sendStall = 2 * time.Minute

// watch returns the context of a request that is given up when it stalls, and what turns the request's error into the reason.
func (r *metered) watch(ctx context.Context) (context.Context, func(error) error) {
	inner, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(sendStall, func() { cancel(ErrStalled) })
	r.timer.Store(t)
	return inner, func(err error) error {
		r.timer.Store(nil)
		t.Stop()
		defer cancel(nil)
		if err != nil && ctx.Err() == nil && inner.Err() != nil {
			return ErrStalled
		}
		return err
	}
}

func (r *metered) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if n > 0 {
		r.m.moved(off, int64(n))
		if t := r.timer.Load(); t != nil {
			t.Reset(sendStall)
		}
	}
	if err != nil && n < len(p) {
		return n, r.fail(err)
	}
	return n, err
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

// reportEvery is how often a callback is told of progress.
const reportEvery = 100 * time.Millisecond
