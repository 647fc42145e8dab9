package images

import (
	"context"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
)

// Progress is the state of a copy.
type Progress struct {
	Bytes Bytes // Total is 0 until all manifests of the source have been read
	Nodes int   // number of manifests and blobs to copy; 0 until all manifests have been read
	Ready int   // number of these that are at the target
	Done  bool  // set in the last call of a successful copy
}

// progressEvery is the time between two calls of CopyOptions.Progress.
const progressEvery = 200 * time.Millisecond

// meter counts a copy.
type meter struct {
	tell func(Progress)

	mu sync.Mutex
	p  Progress
}

func newMeter(tell func(Progress)) *meter { return &meter{tell: tell} }

// start begins to tell of the copy, until stop is called. A callback that panics ends the context;
// stop panics with its value.
func (m *meter) start(ctx context.Context) (_ context.Context, stop func(done bool)) {
	if m.tell == nil {
		return ctx, func(bool) {}
	}
	ctx, cancel := context.WithCancel(ctx)
	end, ended := make(chan bool), make(chan any, 1)
	go func() {
		defer func() {
			raised := recover()
			cancel()
			ended <- raised
			for range end { // a callback that panicked hears nothing more
			}
		}()
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				m.tell(m.now(false))
			case done := <-end:
				m.tell(m.now(done))
				return
			}
		}
	}()
	return ctx, func(done bool) {
		select {
		case end <- done:
		case raised := <-ended:
			ended <- raised
		}
		raised := <-ended
		close(end)
		if raised != nil {
			panic(raised)
		}
	}
}

func (m *meter) now(done bool) Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.p
	p.Done = done
	return p
}

func (m *meter) bytes() Bytes { return m.now(false).Bytes }

// begin says how much there is to do, and what is there already.
func (m *meter) begin(b Bytes, nodes int) {
	m.add(func(p *Progress) { p.Bytes, p.Nodes = b, nodes })
}

func (m *meter) add(change func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.p)
}

func (m *meter) finished()       { m.add(func(p *Progress) { p.Ready++ }) }
func (m *meter) present(n int64) { m.add(func(p *Progress) { p.Bytes.Present += n }) }
func (m *meter) sent(n int64)    { m.add(func(p *Progress) { p.Bytes.Sent += n }) }

// blob counts one blob on its way.
func (m *meter) blob(size int64) *blobMeter { return &blobMeter{m: m, size: size, action: Send} }

// blobMeter counts a blob: what is at the target so far is in Bytes.Sent. The mutex of the meter guards its fields.
type blobMeter struct {
	m            *meter
	size         int64
	sent, resent int64
	action       Action // what became of the blob, as far as was told
	over         bool   // nothing more counts: after the end of a context, calls of a callback may be late
}

// progress tells how far the transfer of the blob is.
func (b *blobMeter) progress(e acr.Progress) {
	b.m.add(func(p *Progress) {
		b.reach(p, e.Offset, e.Resent)
		switch {
		case e.Mounted:
			b.action = Mount
		case e.Skipped:
			b.action = Present
		}
	})
}

// read tells that n more bytes were read from the source.
func (b *blobMeter) read(n int) {
	b.m.add(func(p *Progress) { b.reach(p, b.sent+int64(n), b.resent) })
}

// reach counts n bytes as being at the target, and how many were sent more than once. The mutex is held.
func (b *blobMeter) reach(p *Progress, n, resent int64) {
	if b.over {
		return
	}
	n = min(max(n, 0), b.size)
	p.Bytes.Sent += n - b.sent
	p.Bytes.Resent += resent - b.resent
	b.sent, b.resent = n, resent
}

// outcome returns what became of the blob.
func (b *blobMeter) outcome() Action {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	return b.action
}

// restart says that the blob begins anew, with another blobMeter.
func (b *blobMeter) restart() {
	b.m.add(func(p *Progress) {
		p.Bytes.Sent -= b.sent
		p.Bytes.Resent += b.sent
		b.over = true
	})
}

// abort says that the blob was given up.
func (b *blobMeter) abort() {
	b.m.add(func(p *Progress) {
		p.Bytes.Sent -= b.sent
		b.over = true
	})
}

// end counts the blob as what became of it.
func (b *blobMeter) end(a Action) {
	b.m.add(func(p *Progress) {
		p.Bytes.Sent -= b.sent
		*p.Bytes.of(a) += b.size
		b.over = true
	})
}

// uncount takes back how a blob was counted: it has to be sent again.
func (m *meter) uncount(size int64, a Action) {
	m.add(func(p *Progress) { *p.Bytes.of(a) -= size })
}

// of is where bytes of an action are counted.
func (b *Bytes) of(a Action) *int64 {
	switch a {
	case Mount:
		return &b.Mounted
	case Present:
		return &b.Present
	default:
		return &b.Sent
	}
}
