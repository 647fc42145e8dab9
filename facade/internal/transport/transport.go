package transport

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/pace"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// Options are the choices of New; the zero value is usable.
type Options struct {
	// StrictStorage allows blob redirects to wire.StorageSuffixes only. Default: any https host.
	StrictStorage bool
	// Timeouts are how long responses may take to begin.
	Timeouts Timeouts
	// OnRequest is called when the response to a request has been read, or the request has failed.
	OnRequest func(context.Context, observe.Request)
	// Rate limits the bytes of bodies, in both directions together; nil: no limit.
	Rate *pace.Rate
}

// Transport is the innermost policy.Transporter of a registry's pipeline. It sends requests to the login origin and nowhere else, without cookies; follows redirects by
// [wire.Decide] alone; forks request bodies; cuts the bodies of errors at 64 KiB; gives up on replies that stall. Safe for concurrent use.
type Transport struct {
	login    wire.Origin
	loopback bool
	strict   []string
	timeouts Timeouts
	registry sender
	tokens   sender       // for token requests while all connections of registry are in use; zero: there is none
	busy     atomic.Int64 // attempts over registry
	storage  sender
	own      []*http.Transport // made here, to be closed here
	base     *http.Transport   // registry's, nil where it is of another kind
	inline   atomic.Bool       // the registry sends blobs itself
}

var _ policy.Transporter = (*Transport)(nil)

// New returns the transport of the registry at login.
//
// base nil: connections of its own, HTTP/1.1, at most 100 to the registry, proxies from the environment. Of an *http.Client the Transport and the Timeout are
// used, neither cookie jar nor redirect rule; its RoundTripper serves storage too, in an HTTP/1.1 copy where it is an *http.Transport, so that parallel ranges get connections of their own. Any
// other Transporter is used as it is, and a redirect it follows by itself is an error.
func New(login *url.URL, base policy.Transporter, opts *Options) *Transport {
	t := &Transport{login: wire.OriginOf(login)}
	if opts == nil {
		opts = &Options{}
	}
	t.timeouts = opts.Timeouts.Defaults()
	t.loopback = wire.IsLoopback(t.login.Host)
	if opts.StrictStorage {
		t.strict = wire.StorageSuffixes()
	}
	if c, ok := base.(*http.Client); ok && c == nil {
		base = nil
	}
	switch base := base.(type) {
	case nil:
		registry, tokens, storage := newRegistryTransport(), newRegistryTransport(), newStorageTransport()
		guardDial(storage, t.login, t.loopback)
		t.own, t.base = []*http.Transport{registry, tokens, storage}, registry
		t.registry = sender{do: roundTrip(registry), idle: registry.CloseIdleConnections, fetch: usesFetch(registry), queue: true, busy: &t.busy}
		t.tokens = sender{do: roundTrip(tokens), idle: tokens.CloseIdleConnections, fetch: usesFetch(tokens), queue: true}
		t.storage = sender{do: roundTrip(storage), idle: storage.CloseIdleConnections, fetch: usesFetch(storage)}
	case *http.Client:
		rt := base.Transport
		if rt == nil {
			rt = http.DefaultTransport
		}
		t.registry = sender{do: rt.RoundTrip, whole: base.Timeout}
		if tr, ok := rt.(*http.Transport); ok {
			storage := storageClone(tr)
			guardDial(storage, t.login, t.loopback)
			t.own, t.base = []*http.Transport{storage}, tr
			t.registry.fetch, t.registry.queue = usesFetch(tr), tr.MaxConnsPerHost > 0
			rt = storage
		}
		t.storage = sender{do: rt.RoundTrip, whole: base.Timeout, idle: (&http.Client{Transport: rt}).CloseIdleConnections, fetch: t.registry.fetch}
	default:
		t.registry = sender{do: base.Do}
		t.storage = t.registry
	}
	for _, s := range []*sender{&t.registry, &t.tokens, &t.storage} {
		s.told, s.rate = opts.OnRequest, opts.Rate
	}
	return t
}

// CloseIdleConnections closes the idle connections of the transport's own making; those of a caller's client are the caller's.
func (t *Transport) CloseIdleConnections() {
	for _, tr := range t.own {
		tr.CloseIdleConnections()
	}
}

// Do sends req to the login origin. A redirect is followed, handed out (call.Blob) or refused as the context's Call says. The caller closes the response's body.
// Errors: *wire.Refusal, *url.Error (without query).
func (t *Transport) Do(req *http.Request) (*http.Response, error) {
	kind := call.Of(req.Context()).Kind
	if _, err := wire.Decide(wire.Move{Call: kind, Step: wire.StepSend, Method: req.Method, Login: t.login, To: req.URL}); err != nil {
		closeBody(req)
		return nil, err
	}
	if req.Host != "" && wire.OriginOf(&url.URL{Scheme: req.URL.Scheme, Host: req.Host}) != t.login {
		closeBody(req)
		return nil, wire.Untrusted(wire.ForeignOrigin, "Host header "+req.Host)
	}
	via := t.senderFor(req, kind)
	for hops := 0; ; hops++ {
		resp, err := via.send(req, kind, t.timeouts.of(kind, req))
		if err != nil {
			return nil, err
		}
		if kind == call.Blob && req.Method == http.MethodGet && resp.StatusCode < 300 {
			t.inline.Store(true)
		}
		if !wire.IsRedirect(resp.StatusCode) || kind == call.Blob && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
			return resp, nil
		}
		next, err := wire.RedirectTarget(resp)
		if err == nil {
			_, err = wire.Decide(wire.Move{Call: kind, Step: wire.StepRedirect, Method: req.Method, Login: t.login, Hops: hops, To: next})
		}
		if err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
		wire.Drain(resp)
		req = req.Clone(req.Context())
		req.URL, req.Host = next, ""
	}
}
