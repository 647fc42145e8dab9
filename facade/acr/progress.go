package acr

import (
	"context"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// Progress is the state of an upload or download. All counts are in bytes. For a resumed upload
// Offset includes the bytes sent earlier; Sent and Resent do not.
type Progress struct {
	Total    int64 // size of the blob; -1 while unknown
	Offset   int64 // acknowledged by the registry (upload), written and hashed in order (download)
	Sent     int64 // sent (upload) or received (download), including repetitions
	Resent   int64 // part of Sent that had been sent or received before
	Hashed   int64 // hashed by this client
	Restarts int   // how often the transfer started again from the first byte
	Skipped  bool  // the repository already had the blob, so nothing was sent
	Mounted  bool  // the blob was mounted from another repository
	Done     bool  // set in the last event of a successful transfer
}

// Fraction returns which part of the blob is done, from 0 to 1, for a progress bar: 0 while the
// size is unknown, and 1 only once the transfer has succeeded.
func (p Progress) Fraction() float64 {
	switch {
	case p.Done:
		return 1
	case p.Total <= 0 || p.Offset <= 0:
		return 0
	}
	return min(float64(p.Offset)/float64(p.Total), 1-1e-9)
}

// meter counts the bytes of a transfer and reports them to the callbacks.
type meter struct {
	transfer.Meter
	reporter *transfer.Reporter
}

// newMeter returns a meter and the context of the transfer, which ends if a callback panics. stop
// must be called at the end, in the caller's goroutine: it panics again with the callback's value.
func newMeter(ctx context.Context, progress func(Progress), more bool) (m *meter, inner context.Context, stop func()) {
	m = &meter{}
	m.SetTotal(transfer.Unknown)
	inner, cancel := context.WithCancelCause(ctx)
	if progress == nil && !more {
		return m, inner, func() { cancel(nil) }
	}
	var tell func(transfer.Event)
	if progress != nil {
		tell = func(e transfer.Event) { progress(Progress(e)) }
	}
	m.reporter = transfer.NewReporter(&m.Meter, tell, cancel)
	return m, inner, func() {
		defer cancel(nil)
		m.reporter.Stop(ctx)
	}
}
