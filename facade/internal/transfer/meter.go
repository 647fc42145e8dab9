package transfer

import (
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

// reportEvery is how often a callback is told of progress.
const reportEvery = 100 * time.Millisecond
