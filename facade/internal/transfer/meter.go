package transfer

import (
	"sync"
	"sync/atomic"
)

// Event is the state of a transfer at one moment.
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

// Meter counts what a transfer does. The zero value is ready to use. It may be read at any time.
type Meter struct {
	total, offset, hashed, restarts atomic.Int64

	mu           sync.Mutex
	seen         spans // bytes that were transferred at least once; guarded by mu
	sent, resent int64 // guarded by mu: their difference is how far a transfer is
	flag         atomic.Uint32
}

const (
	flagSkipped = 1 << iota
	flagMounted
	flagDone
)

// Event returns the counts.
func (m *Meter) Event() Event {
	f := m.flag.Load()
	m.mu.Lock()
	sent, resent := m.sent, m.resent
	m.mu.Unlock()
	return Event{
		Total: m.total.Load(), Offset: m.offset.Load(), Sent: sent, Resent: resent, Hashed: m.hashed.Load(),
		Restarts: int(m.restarts.Load()), Skipped: f&flagSkipped != 0, Mounted: f&flagMounted != 0, Done: f&flagDone != 0,
	}
}

// SetTotal sets the size of the blob, or Unknown.
func (m *Meter) SetTotal(n int64) { m.total.Store(n) }

// SetSkipped records that the registry had the blob already.
func (m *Meter) SetSkipped(n int64) { m.setAll(n); m.flag.Or(flagSkipped) }

// SetMounted records that the blob was mounted.
func (m *Meter) SetMounted(n int64) { m.setAll(n); m.flag.Or(flagMounted) }

// setAll records that the registry has all n bytes of the blob.
func (m *Meter) setAll(n int64) {
	m.total.Store(n)
	m.offset.Store(max(n, 0))
}

// SetDone records that the transfer is complete.
func (m *Meter) SetDone() { m.flag.Or(flagDone) }

// moved counts n bytes at off as sent or received, and as resent if they were before.
func (m *Meter) moved(off, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent += n
	m.resent += m.seen.add(off, off+n)
}
