package transfer

import "sync/atomic"

// Limits is what was learned of a registry. One value is shared by all uploads to it.
type Limits struct {
	maxChunk atomic.Int64 // the largest body that it did not refuse with a 413; 0: none was refused
	noWhole  atomic.Bool  // it does not take a blob in the request that opens the upload
	noTail   atomic.Bool  // it ignores the body of the request that commits
	tail     atomic.Bool  // it has stored the body of a request that commits
}

// shrink records that bodies must have at most n bytes, and returns n.
func (l *Limits) shrink(n int64) int64 {
	for {
		old := l.maxChunk.Load()
		if old != 0 && old <= n {
			return n
		}
		if l.maxChunk.CompareAndSwap(old, n) {
			return n
		}
	}
}

// atMost returns n, or the largest body that the registry takes if that is less.
func (l *Limits) atMost(n int64) int64 {
	if m := l.maxChunk.Load(); m > 0 && m < n {
		return m
	}
	return n
}
