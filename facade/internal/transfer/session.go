package transfer

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
)

// Unknown stands for a number of bytes that the other side did not tell.
const Unknown int64 = -1

// Session is an upload at a registry: what the loop needs of it, and all that it knows. Its methods are called one at a time. They
// classify what fails as a Fault, and do not return before they have let go of the chunk.
type Session interface {
	// Start opens a new upload.
	Start(ctx context.Context) (State, error)
	// Chunk appends to the upload at location. It is never repeated by the session itself once a byte of it may have been applied.
	Chunk(ctx context.Context, location string, c Chunk) (State, error)
	// Status asks how far the upload has got.
	Status(ctx context.Context, location string) (State, error)
	// Commit completes the upload with a digest, and with a last chunk unless its Size is 0.
	Commit(ctx context.Context, location string, dgst digest.Digest, c Chunk) error
	// Cancel ends the upload.
	Cancel(ctx context.Context, location string) error
}

// State is what the registry says of an upload.
type State struct {
	Location string // where to go on: opaque, used byte for byte; empty: where it was
	Offset   int64  // how many bytes it has. Unknown when it does not say; 1 may also mean none, as "0-0" stands for both
	MinChunk int64  // least size of a chunk that is not the last one, 0 for none
}

// Chunk is the part of a blob from Offset on. Data is addressed by the blob's own offsets, may be read any number of times and by several
// readers at once, until the method that it was passed to returns.
type Chunk struct {
	Offset, Size int64
	Data         io.ReaderAt
}

// Limits of the courtesy of cancelling.
const (
	cancelTime = 5 * time.Second
	hurryTime  = 60 * time.Millisecond
)

// Abandon ends an upload that is not gone on with, whatever became of ctx. It waits for that, but not long when ctx has ended. It is best
// effort: registries drop abandoned uploads by themselves, some day.
func Abandon(ctx context.Context, s Session, location string) {
	detached, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		_ = s.Cancel(detached, location) // there is nobody to tell
	}()
	if ctx.Err() == nil {
		<-done
		return
	}
	t := time.NewTimer(hurryTime)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// Limits is what was learned of a registry; one value is shared by all uploads to it.
type Limits struct {
	maxChunk atomic.Int64 // what a 413 taught, 0 for nothing
	noWhole  atomic.Bool  // it does not take a blob in the request that opens the upload
	noTail   atomic.Bool  // it ignores the body of the request that commits
	tail     atomic.Bool  // it has taken one
}

// shrink records that bodies are to have at most n bytes, and returns how many they are to have.
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

// cap returns n, or less where less was learned.
func (l *Limits) cap(n int64) int64 {
	if m := l.maxChunk.Load(); m > 0 && m < n {
		return m
	}
	return n
}
