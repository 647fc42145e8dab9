package transport

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/acrkit/acrkit/facade/internal/call"
)

// Pin keeps the requests of one push at the address the login host resolved to first, over connections of their own: the name of a geo-replicated registry may
// resolve to another replica halfway, which does not have yet what was pushed to the first (MS Learn, "Geo-replication"). The TLS name stays the host's. Close it after the push.
type Pin struct {
	owner *Transport
	loose bool            // reads may be sent to another endpoint if this one fails
	own   *http.Transport // nil: nothing can be pinned, and requests go over the transport's connections
	via   sender

	tokens atomic.Bool // token requests use its connections: so a call that has to sign in dials once

	mu   sync.Mutex
	addr string
}

// NewPin returns a pin; nothing is dialled. A loose one keeps requests at an address only as long as their endpoint works. Where the connections are not of an *http.Transport, or go through a proxy or by fetch, it changes nothing.
func (t *Transport) NewPin(loose bool) *Pin {
	p := &Pin{owner: t, loose: loose, via: t.registry}
	if t.base == nil || t.base.DialTLSContext != nil || usesFetch(t.base) {
		return p
	}
	p.own = t.base.Clone()
	dial := p.own.DialContext
	if old := p.own.Dial; dial == nil && old != nil { //nolint:staticcheck // a caller may still use it
		dial = func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) }
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	home := net.JoinHostPort(t.login.Host, t.login.Port)
	p.own.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.EqualFold(addr, home) { // a location may write the host in capitals
			return dial(ctx, network, addr) // a proxy
		}
		pinned := p.Address()
		if pinned != "" {
			if conn, err := dial(ctx, network, pinned); err == nil || ctx.Err() != nil {
				return conn, err
			}
			// The replica is gone. Moving on may cost a few retries, staying costs the push.
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok {
			return conn, nil
		}
		if first := p.pin(pinned, tcp.String()); first != tcp.String() {
			if other, err := dial(ctx, network, first); err == nil {
				_ = conn.Close()
				return other, nil
			}
		}
		return conn, nil
	}
	p.tokens.Store(t.tokens.do != nil || p.own.MaxConnsPerHost == 0)
	p.via = t.registry
	p.via.do, p.via.idle = p.own.RoundTrip, p.own.CloseIdleConnections
	return p
}

// pin moves the pin from one address to another and returns where it is then: elsewhere, if another dial was faster.
func (p *Pin) pin(from, to string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addr == from {
		p.addr = to
	}
	return p.addr
}

// Address is the "ip:port" in use, "" before the first connection and where nothing is pinned.
func (p *Pin) Address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Close closes the pin's idle connections, if it has any. Token requests do not use it any more.
func (p *Pin) Close() {
	if p == nil {
		return
	}
	p.tokens.Store(false)
	if p.own != nil {
		p.own.CloseIdleConnections()
	}
}

// With sends the requests made with the returned context to the login origin over the connections of p. Of a nil p it
// returns ctx.
func (p *Pin) With(ctx context.Context) context.Context {
	if p == nil {
		return ctx
	}
	return call.With(ctx, func(c *call.Call) { c.Pins = append(slices.Clip(c.Pins), p) })
}

// pinOf returns the innermost pin of this transport that ctx has, or nil. A call may be about two registries, each with a
// pin of its own.
func (t *Transport) pinOf(ctx context.Context) *Pin {
	for _, p := range slices.Backward(call.Of(ctx).Pins) {
		if p, ok := p.(*Pin); ok && p.owner == t {
			return p
		}
	}
	return nil
}

// Pinned reports whether ctx has a pin of this transport, and whether that is a loose one.
func (t *Transport) Pinned(ctx context.Context) (pinned, loose bool) {
	p := t.pinOf(ctx)
	return p != nil, p != nil && p.loose
}

// senderFor returns the connections for a request to the login origin. Blobs that the registry sends itself come over the connections for storage: any number of them may be held
// open, and must not take those that other calls wait for. Token requests do not wait behind calls: the chunks of a hundred
// uploads hold their connections for minutes, and their tokens end meanwhile. Nor do they use a pin that is closed: a fetch of a
// token may outlive the call that began it.
func (t *Transport) senderFor(req *http.Request, kind call.Kind) sender {
	if kind == call.Token && t.tokens.do != nil && t.busy.Load() >= maxConns {
		return t.tokens
	}
	if p := t.pinOf(req.Context()); p != nil && (kind != call.Token || p.tokens.Load()) {
		return p.via
	}
	if kind == call.Blob && req.Method == http.MethodGet && t.inline.Load() {
		return t.storage
	}
	return t.registry
}
