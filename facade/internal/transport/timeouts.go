package transport

import (
	"net/http"
	"time"

	"github.com/acrkit/acrkit/facade/internal/call"
)

// Timeouts are how long the header of a response may take once the request has been sent. Zero means the default, a
// negative value no limit.
type Timeouts struct {
	// Read is for requests that change nothing: GET and HEAD. Default: 3 minutes.
	Read time.Duration
	// Chunk is for the chunks of an upload, and the request that opens it. Default: 10 minutes. A proxy that passes a
	// chunk on only once it has all of it answers when it has done so.
	Chunk time.Duration
	// Write is for all other requests. Default: 30 minutes. A registry may take many to put a large blob together, or to
	// delete a repository.
	Write time.Duration
	// Token is for token requests. Default: 1 minute.
	Token time.Duration
}

// tokenGrace leaves it to auth to end a token request, whose limit includes the body, and to say so in its words.
const tokenGrace = 5 * time.Second

// Defaults returns the timeouts with the defaults filled in.
func (t Timeouts) Defaults() Timeouts {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Read, 3 * time.Minute}, {&t.Chunk, 10 * time.Minute}, {&t.Write, 30 * time.Minute}, {&t.Token, time.Minute},
	} {
		switch {
		case *f.field == 0:
			*f.field = f.value
		case *f.field < 0:
			*f.field = 0
		}
	}
	return t
}

// of returns the timeout of a request, 0 for none.
func (t Timeouts) of(kind call.Kind, r *http.Request) time.Duration {
	switch {
	case kind == call.Token:
		if t.Token > 0 {
			return t.Token + tokenGrace
		}
		return 0
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return t.Read
	case kind == call.Upload && r.Method == http.MethodPatch, kind == call.Upload && r.Method == http.MethodPost && !hasBody(r):
		return t.Chunk
	}
	return t.Write
}

func hasBody(r *http.Request) bool {
	b, ok := r.Body.(*Body)
	return r.Body != nil && r.Body != http.NoBody && (!ok || b.n > 0)
}
