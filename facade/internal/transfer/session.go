package transfer

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// Unknown stands for a number of bytes that the other side did not state.
const Unknown int64 = -1

// Session is an upload session at a registry: the seven calls that the upload loop makes. They are
// made one at a time. A call that fails returns a [*Fault]. No call returns before it has stopped
// reading its Chunk.
type Session interface {
	// Start opens a new upload.
	Start(ctx context.Context) (State, error)
	// Whole uploads a small blob in the request that opens the upload. It returns true if the
	// registry stored the blob; otherwise the State of the upload that the registry opened instead.
	Whole(ctx context.Context, dgst digest.Digest, c Chunk) (State, bool, error)
	// Chunk appends to the upload at location. The session itself never repeats it once the
	// registry may have applied a byte of it.
	Chunk(ctx context.Context, location string, c Chunk) (State, error)
	// Status asks how many bytes the registry has.
	Status(ctx context.Context, location string) (State, error)
	// Commit completes the upload with a digest, and with a last chunk unless its Size is 0.
	Commit(ctx context.Context, location string, dgst digest.Digest, c Chunk) error
	// Stat returns the size of a stored blob, and a Fault of kind Gone if there is none. It settles
	// whether a commit was applied.
	Stat(ctx context.Context, dgst digest.Digest) (int64, error)
	// Cancel ends the upload.
	Cancel(ctx context.Context, location string) error
}

// State is what the registry says of an upload.
type State struct {
	Location string // where the next request goes: opaque, used byte for byte; empty if unchanged
	Offset   int64  // how many bytes the registry has; Unknown if it does not say; 1 may also mean 0, as "0-0" stands for both
	MinChunk int64  // least size of a chunk that is not the last one; 0 for none
}

// Chunk is the part of a blob that begins at Offset. Data is addressed by the offsets of the blob.
// Until the call that received the chunk returns, Data may be read any number of times and
// concurrently.
type Chunk struct {
	Offset, Size int64
	Data         io.ReaderAt
}

// How long an upload that is not continued may hold up its caller.
const (
	cancelTime  = 5 * time.Second
	cancelGrace = 60 * time.Millisecond // once the caller's context has ended
)

// Abandon cancels an upload that is not continued, even if ctx has ended: then it does not wait for
// the registry's answer longer than a moment. It is best effort, since registries drop abandoned
// uploads by themselves after a while.
func Abandon(ctx context.Context, s Session, location string) {
	detached, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	done := make(chan struct{})
	var crash panicked
	go func() {
		defer close(done)
		defer stop()
		_ = crash.catch(func() error { return s.Cancel(detached, location) }) // nobody can act on the error
	}()
	if ctx.Err() == nil {
		<-done
		crash.raise()
		return
	}
	t := time.NewTimer(cancelGrace)
	defer t.Stop()
	select {
	case <-done:
		crash.raise()
	case <-t.C:
	}
}
