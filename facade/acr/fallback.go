package acr

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// downTime is how long an endpoint that failed is asked only after the others.
const downTime = time.Minute

// router is the HTTP client of the generated code. It sends a request to the client's endpoint, and
// one that only reads to the fallback endpoints if that fails. Each endpoint has a client of its
// own, and so its own tokens and its own login origin: nothing of one is sent to another.
type router struct {
	endpoints []*Client // the first is the client's own

	mu   sync.Mutex
	down map[*Client]time.Time // until when
}

// newFallbacks creates the clients of ClientOptions.FallbackEndpoints.
func (c *Client) newFallbacks(cred auth.Credential) error {
	c.router = &router{endpoints: []*Client{c}, down: map[*Client]time.Time{}}
	options := c.options
	options.FallbackEndpoints = nil
	for _, endpoint := range c.options.FallbackEndpoints {
		other, err := newClient(endpoint, cred, &options)
		if err != nil {
			return err
		}
		for _, e := range c.router.endpoints {
			if e.login.Host == other.login.Host {
				return badArgument("FallbackEndpoints", e.login.Host, "it is given twice, or is the client's own endpoint")
			}
		}
		c.router.endpoints = append(c.router.endpoints, other)
	}
	return nil
}

// serving returns the client of the endpoint that sent a response.
func (c *Client) serving(resp *http.Response) *Client {
	if resp != nil && resp.Request != nil && resp.Request.URL != nil {
		for _, e := range c.router.endpoints {
			if wire.OriginOf(e.login) == wire.OriginOf(resp.Request.URL) {
				return e
			}
		}
	}
	return c
}

// staying returns a context whose reads are not sent to fallback endpoints, because they belong to
// a write.
func staying(ctx context.Context) context.Context {
	return call.With(ctx, func(k *call.Call) { k.Stay = true })
}

// Do implements gen.HttpRequestDoer.
func (f *router) Do(r *http.Request) (*http.Response, error) {
	k, own := call.Of(r.Context()), f.endpoints[0]
	reads := (r.Method == http.MethodGet || r.Method == http.MethodHead) && (k.Kind == call.API || k.Kind == call.Blob)
	if pinned, loosely := own.transport.Pinned(r.Context()); len(f.endpoints) == 1 || !reads || k.Stay || pinned && !loosely {
		resp, err := own.send(r)
		f.note(own, resp, err)
		return resp, err
	}
	for order := f.order(k.Avoid); ; order = order[1:] {
		e, last := order[0], len(order) == 1
		resp, err := e.send(f.request(r, e, !last))
		f.note(e, resp, err)
		if !endpointFailed(r.Context(), resp, err) {
			return resp, err
		}
		f.mark(e)
		if last {
			return resp, err
		}
		observe.Info(r.Context(), "falling back to another endpoint", slog.String("from", e.login.Host),
			slog.String("to", order[1].login.Host), slog.String("reason", redact.Outcome(resp, err)))
		observe.Repeated(r.Context())
		wire.Drain(resp)
	}
}

// send sends a request over the client's own pipeline.
func (c *Client) send(r *http.Request) (*http.Response, error) {
	return transport.Doer{Pipeline: c.azure.Pipeline()}.Do(r)
}

// request returns the request as it is sent to an endpoint. A hasty one is tried twice only.
func (f *router) request(r *http.Request, e *Client, hasty bool) *http.Request {
	scrub := call.Of(r.Context()).Scrub
	r = r.Clone(call.With(r.Context(), func(k *call.Call) {
		k.Hasty = hasty
		k.Scrub = func(text string) string { return e.auth.Scrub(scrub(text)) }
	}))
	r.URL.Host, r.Host = e.login.Host, ""
	return r
}

// order returns the endpoints in the order in which they are asked: the caller's, but those last
// that were down, and the one to avoid.
func (f *router) order(avoid string) []*Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	var up, later []*Client
	for _, e := range f.endpoints {
		if e.login.Host == avoid || time.Now().Before(f.down[e]) {
			later = append(later, e)
		} else {
			up = append(up, e)
		}
	}
	return append(up, later...)
}

// note notes that an endpoint works: what was just written there is to be read there again.
func (f *router) note(e *Client, resp *http.Response, err error) {
	if len(f.endpoints) == 1 || retry.Failed(resp, err) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.down, e)
}

// mark notes that an endpoint failed.
func (f *router) mark(e *Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[e] = time.Now().Add(downTime)
}

// endpointFailed reports whether an endpoint failed: no connection, no response, or a status code from
// 500 on. Any other outcome would be the same at another endpoint.
func endpointFailed(ctx context.Context, resp *http.Response, err error) bool {
	if ctx.Err() != nil || !retry.Failed(resp, err) {
		return false
	}
	if err == nil {
		return true
	}
	if signIn, ok := errors.AsType[*auth.Error](err); ok && (signIn.StatusCode >= http.StatusInternalServerError || signIn.Unreachable()) {
		return true
	}
	_, refused := errors.AsType[unsent](err)
	return !refused
}
