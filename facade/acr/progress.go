package acr

import (
	"context"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// Progress is how far an upload or download has got. Counts are bytes. Of an upload that was resumed Offset holds what came before,
// Sent and Resent do not.
type Progress struct {
	Total    int64 // size of the blob, -1 while it is not known
	Offset   int64 // acknowledged by the registry (upload), written and hashed in order (download)
	Sent     int64 // handed to the connection (upload) or received from it (download), repetitions included
	Resent   int64 // of these, bytes that had been sent or received before
	Hashed   int64 // hashed here
	Restarts int   // how many times it began again at the first byte
	Skipped  bool  // the repository had the blob already
	Mounted  bool  // the blob was mounted from another repository
	Done     bool  // the last event, of a transfer that succeeded
}

// meter counts a transfer and tells the callbacks of it.
type meter struct {
	transfer.Meter
	reporter *transfer.Reporter
}

// newMeter returns a meter and the transfer's context, which a panicking callback ends. stop must be called at the end, in the caller's
// goroutine: it raises that panic again.
func newMeter(ctx context.Context, progress func(Progress), more bool) (m *meter, inner context.Context, stop func()) {
	m = &meter{}
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
		m.reporter.Stop()
	}
}
