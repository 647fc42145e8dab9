// Package call holds what the layers of the request pipeline know of a request. The value travels in the request's
// context: the generated client between the layers takes nothing else along.
package call

import (
	"context"
	"time"
)

// Call describes the requests of one call. Each field says who sets it and who reads it.
type Call struct {
	// Kind says how redirects and repetitions of the request are treated. Set by acr and auth; read by transport and
	// retry.
	Kind Kind
	// Sign asks for an access token. Without it, the request is sent unsigned. Set by acr, read by auth.
	Sign bool
	// Scopes are what the access token has to allow: "repository:a/b:pull,push", for a mount a second one for the
	// source. A token without scopes says only who is asking. Set by acr, read by auth.
	Scopes []string
	// Scrub removes the client's secrets from text that a server has sent. Set by acr, read by acr and transport.
	Scrub func(string) string
	// Tries is where the tries of the call are noted; nil if nobody wants to know. Set and read by acr.
	Tries *Tries
	// Operation names the request in metrics, as "UploadChunk". Set by acr and auth, read by transport.
	Operation string
	// Stay keeps a read at the client's own endpoint. Avoid is a host whose endpoint a read goes to last. Set and read by acr.
	Stay  bool
	Avoid string
	// Hasty says that there is another endpoint to ask: the request is tried twice at most. Set by acr, read by retry.
	Hasty bool
	// Try counts the sendings of the request, from 1; 0 if nobody counted. Set by retry, read by transport.
	Try int
	// Waited is how long the request waited before this try. Set by retry, read by transport.
	Waited time.Duration
	// Pins names the connections that requests have to use, for each registry one. Set by acr, read by transport.
	Pins []Pin
}

// Tries is what a call remembers of its tries.
type Tries struct {
	// Doubtful is true if the registry may have carried out a try whose response was lost.
	Doubtful bool
}

// Pin is a *transport.Pin: connections of one push, all to the same address.
type Pin interface {
	// Address returns the address in use, as "ip:port".
	Address() string
}

type key struct{}

// Of returns the call that a request with the context belongs to: the zero Call if there is none.
func Of(ctx context.Context) Call {
	if ctx == nil {
		return Call{}
	}
	c, _ := ctx.Value(key{}).(Call)
	return c
}

// With returns a context whose call is that of ctx as changed by set. Of a nil context it returns nil, which is refused
// where it is used.
func With(ctx context.Context, set func(*Call)) context.Context {
	if ctx == nil {
		return nil
	}
	c := Of(ctx)
	set(&c)
	return context.WithValue(ctx, key{}, c)
}

// WithKind is With for the kind alone.
func WithKind(ctx context.Context, k Kind) context.Context {
	return With(ctx, func(c *Call) { c.Kind = k })
}
