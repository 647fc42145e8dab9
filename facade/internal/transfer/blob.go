package transfer

import (
	"context"
	"io"
)

// Blob is a blob at a registry: all that downloads need of it. It may be opened concurrently.
type Blob interface {
	// Open requests the bytes from off on, up to end unless that is Unknown. A registry may ignore
	// both and send the blob from its start; Part says which bytes arrived. An error is a [*Fault],
	// of kind NoRange if off lies outside of the blob. fresh asks for a new link to the content and
	// a new connection, because the bytes so far were wrong. Open must have time limits of its own:
	// only it knows whether it waits for an answer or for a sign-in.
	Open(ctx context.Context, off, end int64, fresh bool) (*Part, error)
}

// Part is an answer with a part of a blob, or with all of it.
type Part struct {
	Body   io.ReadCloser
	Offset int64 // of the first byte of Body
	End    int64 // offset behind the last byte of Body; Unknown if the answer does not say
	Size   int64 // of the whole blob; Unknown if the answer does not say
}
