package transfer

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// A range that everything else waits for is requested again over another connection if it takes
// slowFactor times as long as the average range, but not before slowLeast.
const (
	slowFactor = 4
	slowLeast  = 2 * time.Second
)

// ranges downloads the rest of a blob in ranges.
type ranges struct {
	d      *download
	ctx    context.Context
	cancel context.CancelCauseFunc
	start  int64          // where the first range begins
	free   chan []byte    // bounds the memory: a range needs a free buffer to begin, and hash returns buffers in order
	work   chan *rangeJob // to the workers
	order  chan *rangeJob // to hash; has room for all ranges that can exist at a time
	group  sync.WaitGroup
	crash  panicked

	mu   sync.Mutex
	open []*rangeJob // those that were begun and are not hashed yet, in order

	spent, count atomic.Int64 // total time and number of the ranges that are done
}

// rangeJob is one range.
type rangeJob struct {
	off, end int64
	buf      []byte
	body     atomic.Pointer[body] // once it has begun
	done     chan struct{}
}

// parallel downloads everything that is not hashed yet, several ranges at once.
func (d *download) parallel() error {
	workers := int(min(int64(d.opts.Workers), (d.size-d.h.n-1)/d.opts.Part+1))
	r := &ranges{
		d: d, start: d.h.n, free: make(chan []byte, workers+2), work: make(chan *rangeJob), order: make(chan *rangeJob, workers+2),
	}
	r.ctx, r.cancel = context.WithCancelCause(d.ctx)
	for range cap(r.free) {
		r.free <- nil // made when first used
	}
	r.group.Go(r.dispatch)
	for range workers {
		r.group.Go(r.fetch)
	}
	err := r.hash()
	r.cancel(ErrClosed)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.group.Wait()
	}()
	if !endsSoon(d.ctx, ended) { // a write to the destination is blocked
		return r.stopped()
	}
	r.crash.raise()
	return err
}

// stopped returns why the download ended early.
func (r *ranges) stopped() error {
	if err := wait.Cause(r.d.ctx); err != nil {
		return err
	}
	return context.Cause(r.ctx)
}

// dispatch gives the workers the ranges in order, each with a buffer.
func (r *ranges) dispatch() {
	defer close(r.work)
	defer close(r.order)
	for off := r.start; off < r.d.size; {
		j := &rangeJob{off: off, end: off + min(r.d.opts.Part, r.d.size-off), done: make(chan struct{})}
		off = j.end
		select {
		case buf := <-r.free:
			if buf == nil {
				buf = make([]byte, j.end-j.off)
			}
			j.buf = buf[:j.end-j.off]
		case <-r.ctx.Done():
			return
		}
		r.mu.Lock()
		r.open = append(r.open, j)
		r.mu.Unlock()
		r.order <- j
		select {
		case r.work <- j:
		case <-r.ctx.Done():
			return
		}
	}
}

// fetch is a worker: it downloads range after range.
func (r *ranges) fetch() {
	for j := range r.work {
		began := time.Now()
		if err := r.crash.catch(func() error { return r.get(j) }); err != nil {
			r.cancel(err)
			return
		}
		r.spent.Add(int64(time.Since(began)))
		r.count.Add(1)
		close(j.done)
	}
}

// get downloads one range.
func (r *ranges) get(j *rangeJob) error {
	b := newBody(r.ctx, r.d.blob, r.d.opts.Meter, r.d.size, j.off, j.end)
	b.skip = false
	j.body.Store(b)
	defer b.disconnect()
	for done := 0; done < len(j.buf); {
		n, want := done, min(done+2*pipePiece, len(j.buf))
		for n < want {
			m, err := b.Read(j.buf[n:want])
			if err != nil {
				if atEnd(err) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
			n += m
		}
		if r.ctx.Err() != nil {
			return r.stopped() // an earlier write may have been blocked until now
		}
		m, err := r.d.dst.WriteAt(j.buf[done:n], j.off+int64(done))
		if err := writeError(m, n-done, err); err != nil {
			return err
		}
		done = n
	}
	return nil
}

// hash hashes the ranges in order and returns their buffers.
func (r *ranges) hash() error {
	scratch := make([]byte, 32<<10)
	for j := range r.order {
		if err := r.await(j); err != nil {
			return err
		}
		// Another core wrote these bytes, or they were written long ago: copying them to the cache
		// first is faster.
		for b := j.buf; len(b) > 0; {
			n := copy(scratch, b)
			_, _ = r.d.h.Write(scratch[:n])
			b = b[n:]
		}
		r.d.progressed()
		r.mu.Lock()
		r.open = slices.Delete(r.open, 0, 1)
		r.mu.Unlock()
		r.free <- j.buf[:cap(j.buf)]
		j.buf = nil
	}
	if r.d.h.n < r.d.size {
		return r.stopped()
	}
	return nil
}

// await waits for a range. It replaces the connection of the range, twice at most, if all others
// are done much sooner.
func (r *ranges) await(j *rangeJob) error {
	select {
	case <-j.done:
		return nil
	default:
	}
	patience := slowLeast
	if n := r.count.Load(); n > 0 {
		patience = max(patience, time.Duration(slowFactor*r.spent.Load()/n))
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	for replaced := 0; ; {
		select {
		case <-j.done:
			return nil
		case <-r.ctx.Done():
			return r.stopped()
		case <-t.C:
			if b := j.body.Load(); b != nil && replaced < 2 && r.waitsFor(j) {
				b.replaceConnection()
				replaced++
			}
			patience *= 2
			t.Reset(patience)
		}
	}
}

// waitsFor reports whether everything waits for j: every range behind it that was begun is done,
// and no other can begin, for want of a free buffer or because the blob has no more.
func (r *ranges) waitsFor(j *rangeJob) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.free) > 0 && r.open[len(r.open)-1].end < r.d.size {
		return false
	}
	for _, q := range r.open {
		if q.off <= j.off {
			continue
		}
		if q.body.Load() == nil {
			return true // not begun
		}
		select {
		case <-q.done:
		default:
			return false
		}
	}
	return true
}
