package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// Link is the checked target of a blob redirect: a URL whose query is a credential for some minutes. It prints without it.
type Link struct {
	owner  *Transport
	method string
	url    *url.URL
	agent  string // the redirected request's User-Agent
	// authorization goes along while the chain has stayed on the login origin.
	authorization string
	scrub         func(string) string // takes the secrets of the client out of a text, as of the redirected request
	hops          int
	left          bool
}

// String returns the link without its query.
func (l *Link) String() string { return redact.URL(l.url) }

// Registry returns the host and port of the registry that sent the link.
func (l *Link) Registry() string {
	return strings.TrimPrefix(l.owner.login.String(), "https://")
}

// Host returns the host and port of the storage.
func (l *Link) Host() string { return l.url.Host }

// GoString is String.
func (l *Link) GoString() string { return l.String() }

// Format prints String for every verb.
func (l *Link) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(l.String())) }

// LogValue is String.
func (l *Link) LogValue() slog.Value { return slog.StringValue(l.String()) }

// BlobLink checks the redirect in resp, the answer to a call.Blob GET or HEAD, drains and closes its body, and returns the target. The target is asked only by Fetch.
// Errors: wire.ErrUntrusted if the target is missing, malformed, not https, not storage (in strict mode), or at a
// forbidden address.
func (t *Transport) BlobLink(resp *http.Response) (*Link, error) {
	defer wire.Drain(resp)
	if !wire.IsRedirect(resp.StatusCode) || resp.Request == nil {
		return nil, wire.Untrusted(wire.BadRedirect, "not a redirect: "+resp.Status)
	}
	return t.link(resp, &Link{
		owner: t, method: resp.Request.Method, agent: resp.Request.Header.Get("User-Agent"), authorization: resp.Request.Header.Get("Authorization"),
		scrub: call.Of(resp.Request.Context()).Scrub,
	})
}

// link returns where resp, which answered from, goes on.
func (t *Transport) link(resp *http.Response, from *Link) (*Link, error) {
	to, err := wire.RedirectTarget(resp)
	if err != nil {
		return nil, err
	}
	verdict, err := wire.Decide(wire.Move{
		Call: call.Blob, Step: wire.StepRedirect, Method: from.method, Login: t.login, Hops: from.hops, Left: from.left, To: to,
		Storage: t.strict, Loopback: t.loopback,
	})
	if err != nil {
		return nil, err
	}
	l := &Link{owner: t, method: from.method, agent: from.agent, scrub: from.scrub, url: to, hops: from.hops + 1, left: from.left || wire.OriginOf(to) != t.login}
	if verdict.Credential {
		l.authorization = from.authorization
	}
	return l, nil
}

// fetchHeader are the request headers that go to storage.
var fetchHeader = []string{"Range", "If-Range", "If-Match", "Accept", "Accept-Encoding", "User-Agent"}

// Fetch sends the GET (or HEAD, as the redirected request was) to the link, with Range, If-Range, If-Match, Accept, Accept-Encoding (default: identity) and User-Agent (default: the
// redirected request's) of header and nothing else, over the storage connections. What is left of three hops is followed. Every other status comes back as it is, a 401 too; the caller closes the body.
// Secrets are taken out of what storage says as they are of what the registry says: it may repeat them.
// A link may be fetched many times, also at the same time, until storage says it has expired.
// Errors: *wire.Refusal, *url.Error (without query).
func (t *Transport) Fetch(ctx context.Context, link *Link, header http.Header) (*http.Response, error) {
	t = link.owner // the link may be of another endpoint's transport
	ctx = call.With(ctx, func(k *call.Call) { k.Scrub = link.scrub })
	for {
		req, err := http.NewRequestWithContext(ctx, link.method, "https://storage.invalid/", nil)
		if err != nil {
			return nil, err
		}
		u := *link.url
		req.URL, req.Host = &u, u.Host // as the server wrote it: the signature covers the path, double slashes included
		req.Header.Set("Accept-Encoding", "identity")
		req.Header.Set("User-Agent", link.agent)
		for _, k := range fetchHeader {
			if v := header.Get(k); v != "" {
				req.Header.Set(k, v)
			}
		}
		via := t.storage
		if link.authorization != "" {
			req.Header.Set("Authorization", link.authorization)
			via = t.registry
		}
		resp, err := via.send(req, call.Blob, t.timeouts.of(call.Blob, req))
		if err != nil {
			return nil, err
		}
		if !wire.IsRedirect(resp.StatusCode) {
			return resp, nil
		}
		link, err = t.link(resp, link)
		wire.Drain(resp)
		if err != nil {
			return nil, err
		}
	}
}

// RenewStorage closes the idle connections to storage, those of a caller's client too: what is fetched next comes over a new one.
func (t *Transport) RenewStorage() {
	if t.storage.idle != nil {
		t.storage.idle()
	}
}
