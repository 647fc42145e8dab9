package images

import (
	"sync"

	"github.com/opencontainers/go-digest"
)

// queue hands out blobs, the largest first, as long as those on their way stay within a memory
// budget. A blob that does not fit waits while smaller ones pass it from the other end.
type queue struct {
	mu     sync.Mutex
	wake   *sync.Cond
	blobs  []*blobNode
	held   map[digest.Digest]int64
	left   int64
	memory func(*blobNode) int64
	closed bool
}

func newQueue(blobs []*blobNode, budget int64, memory func(*blobNode) int64) *queue {
	q := &queue{blobs: blobs, left: budget, memory: memory, held: map[digest.Digest]int64{}}
	q.wake = sync.NewCond(&q.mu)
	return q
}

// next waits for a blob that fits. It returns false when there is none any more.
func (q *queue) next() (*blobNode, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.blobs) > 0 {
		last := len(q.blobs) - 1
		first, small := q.blobs[0], q.blobs[last]
		switch {
		case q.memory(first) <= q.left || len(q.held) == 0:
			q.blobs = q.blobs[1:]
			return q.take(first), true
		case q.memory(small) <= q.left:
			q.blobs = q.blobs[:last]
			return q.take(small), true
		}
		q.wake.Wait()
	}
	return nil, false
}

func (q *queue) take(b *blobNode) *blobNode {
	q.held[b.descriptor.Digest] = q.memory(b)
	q.left -= q.memory(b)
	return b
}

// done gives back what a blob held.
func (q *queue) done(b *blobNode) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.left += q.held[b.descriptor.Digest]
	delete(q.held, b.descriptor.Digest)
	q.wake.Broadcast()
}

// close ends the queue.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}
