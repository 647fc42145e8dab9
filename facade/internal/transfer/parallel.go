package transfer

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A range that everything else waits for is asked for anew over another connection when it takes slowFactor times as long as they do
// on the average, but not before slowLeast.
const (
	slowFactor = 4
	slowLeast  = 2 * time.Second
)

// ranges is the download of a blob's rest in ranges.
type ranges struct {
	*download
	ctx    context.Context
	cancel context.CancelCauseFunc
	start  int64          // where the first range begins
	free   chan []byte    // bounds the memory: a range is begun when a buffer is free, and they come back in the order of hashing
	work   chan *rangeJob // to the workers
	order  chan *rangeJob // to the hashing; has room for every range there can be at a time
	group  sync.WaitGroup
	crash  panicked

	mu   sync.Mutex
	open []*rangeJob // those that are not hashed, in order: what there is of a blob of any size

	spent, count atomic.Int64 // time and number of the ranges that are done
}

// rangeJob is one range.
type rangeJob struct {
	off, end int64
	buf      []byte
	body     atomic.Pointer[body] // once it has begun
	done     chan struct{}
}

// parallel downloads everything from what is hashed so far on, several ranges at once.
func (d *download) parallel() error {
	workers := int(min(int64(d.Workers), (d.size-d.h.n-1)/d.Part+1))
	r := &ranges{
		download: d, start: d.h.n, free: make(chan []byte, workers+2), work: make(chan *rangeJob), order: make(chan *rangeJob, workers+2),
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
	r.group.Wait()
	r.crash.raise()
	return err
}

// stopped returns why the download was given up.
func (r *ranges) stopped() error {
	if err := cause(r.download.ctx); err != nil {
		return err
	}
	return context.Cause(r.ctx)
}

// dispatch hands out the ranges in order, each with a buffer.
func (r *ranges) dispatch() {
	defer close(r.work)
	defer close(r.order)
	for off := r.start; off < r.size; {
		j := &rangeJob{off: off, end: off + min(r.Part, r.size-off), done: make(chan struct{})}
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
	b := newBody(r.ctx, r.blob, r.Meter, r.size, j.off, j.end)
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
		m, err := r.dst.WriteAt(j.buf[done:n], j.off+int64(done))
		if err := written(m, n-done, err); err != nil {
			return err
		}
		done = n
	}
	return nil
}

// hash hashes the ranges in order and gives their buffers back.
func (r *ranges) hash() error {
	scratch := make([]byte, 32<<10)
	for j := range r.order {
		if err := r.await(j); err != nil {
			return err
		}
		// These bytes were written by another core, or long ago: copied to the cache first they are hashed faster than in place.
		for b := j.buf; len(b) > 0; {
			n := copy(scratch, b)
			_, _ = r.h.Write(scratch[:n])
			b = b[n:]
		}
		r.taken()
		r.mu.Lock()
		r.open = slices.Delete(r.open, 0, 1)
		r.mu.Unlock()
		r.free <- j.buf[:cap(j.buf)]
		j.buf = nil
	}
	if r.h.n < r.size {
		return r.stopped()
	}
	return nil
}

// await waits for a range, and has it asked for anew when all others are much faster.
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
	for kicks := 0; ; {
		select {
		case <-j.done:
			return nil
		case <-r.ctx.Done():
			return r.stopped()
		case <-t.C:
			// Only when the others are done with all they can do: this one is what everything waits for.
			if b := j.body.Load(); b != nil && kicks < 2 && r.idle(j) {
				b.kick()
				kicks++
			}
			patience *= 2
			t.Reset(patience)
		}
	}
}

// idle tells whether every range behind j that was handed out is done, and no other can be: there is no memory for it, or no more of the blob.
func (r *ranges) idle(j *rangeJob) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.free) > 0 && r.open[len(r.open)-1].end < r.size {
		return false
	}
	for _, q := range r.open {
		if q.off <= j.off {
			continue
		}
		if q.body.Load() == nil {
			return true // not handed out
		}
		select {
		case <-q.done:
		default:
			return false
		}
	}
	return true
}
