package transfer

import (
	"context"
	"sync"
	"time"
)

// reportEvery is the interval between two calls of a progress callback.
const reportEvery = 100 * time.Millisecond

// callbackGrace is how long a callback or destination may be blocked after the end of the context.
const callbackGrace = 60 * time.Millisecond

// Reporter calls the callbacks of a transfer from one goroutine, so that a slow callback does not
// delay the transfer and a panicking one ends it in order. A nil Reporter does nothing.
type Reporter struct {
	meter    *Meter
	progress func(Event)
	stop     chan struct{}
	wake     chan struct{}
	ended    chan struct{}
	once     sync.Once

	panicked panicked

	mu      sync.Mutex
	pending func() // the latest one posted
	left    bool   // Stop has returned: no callback begins any more
}

// NewReporter starts to report on m. progress may be nil. cancel is called if a callback panics.
// Stop must be called.
func NewReporter(m *Meter, progress func(Event), cancel func(error)) *Reporter {
	r := &Reporter{meter: m, progress: progress, stop: make(chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go r.run(cancel)
	return r
}

func (r *Reporter) run(cancel func(error)) {
	defer close(r.ended)
	if err := r.panicked.catch(func() error { r.loop(); return nil }); err != nil {
		cancel(err)
	}
}

func (r *Reporter) loop() {
	var tick <-chan time.Time
	if r.progress != nil {
		t := time.NewTicker(reportEvery)
		defer t.Stop()
		tick = t.C
	}
	var last Event
	for {
		stopped := false
		select {
		case <-tick:
		case <-r.wake:
			r.runPending()
			continue
		case <-r.stop:
			stopped = true
			r.runPending()
		}
		if r.progress != nil {
			if e := r.meter.Event(); e != last && !r.abandoned() {
				r.progress(e)
				last = e
			}
		}
		if stopped {
			return
		}
	}
}

func (r *Reporter) runPending() {
	r.mu.Lock()
	f, left := r.pending, r.left
	r.pending = nil
	r.mu.Unlock()
	if f != nil && !left {
		f()
	}
}

// abandoned reports whether nobody waits for callbacks any more.
func (r *Reporter) abandoned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}

// Post arranges that f is called soon. If an earlier function still waits to be called, f takes its
// place.
func (r *Reporter) Post(f func()) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.pending = f
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Stop reports for the last time and waits for the callbacks to return. If a callback panicked, the
// first call of Stop panics with the same value, in the goroutine of the caller whose callback it
// was. If ctx ends, Stop does not wait longer than a moment for a callback that is blocked; by then
// at most one runs, and none follows.
func (r *Reporter) Stop(ctx context.Context) {
	if r == nil {
		return
	}
	first := false
	r.once.Do(func() { first = true; close(r.stop) })
	if !endsSoon(ctx, r.ended) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.left = true
		return
	}
	if first {
		r.panicked.raise()
	}
}
