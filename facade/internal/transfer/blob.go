package transfer

import (
	"context"
	"io"
)

// Blob is a blob at a registry: what the downloads need of it, and all that they know. It may be opened any number of times at once.
type Blob interface {
	// Open asks for the bytes from off on, up to end unless that is Unknown. A registry may ignore both and send the blob from its
	// start; Part says what came. What fails is a Fault: NoRange where off lies outside of the blob. fresh asks for a new link to the
	// content and a connection of its own, as the bytes that came before turned out to be wrong. Open sees to it that it returns: only it
	// knows what it waits for, an answer or somebody's sign-in.
	Open(ctx context.Context, off, end int64, fresh bool) (*Part, error)
}

// Part is an answer with a part of a blob, or all of it.
type Part struct {
	Body   io.ReadCloser
	Offset int64 // of the first byte of Body
	End    int64 // offset behind its last byte; Unknown where the answer does not say
	Size   int64 // of the whole blob; Unknown where the answer does not say
}
