package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/pace"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

const (
	// maxErrorBody is what is read of a body that comes with a status of 400 and above.
	maxErrorBody = 64 << 10
	// maxHeader is what is accepted as response header.
	maxHeader = 64 << 10
)

// sender is one set of connections.
type sender struct {
	do    func(*http.Request) (*http.Response, error) // sends once: a RoundTripper, not a client, which would read a redirect's Location and put it into errors
	whole time.Duration                               // how long all of it may take, its body included; 0: any time
	idle  func()                                      // closes idle connections; nil: nobody can
	fetch bool                                        // do uses the fetch function of a JavaScript host
	queue bool                                        // there are so many connections at most, and requests wait for one
	busy  *atomic.Int64                               // counts the attempts that have not ended; nil: nobody asks
	told  func(context.Context, observe.Request)      // called at the end of each exchange; nil: nobody wants to know
	rate  *pace.Rate                                  // of the bytes of bodies; nil: any
}

// send makes one attempt of one request, whose response may take limit to begin.
func (s sender) send(req *http.Request, kind call.Kind, limit time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	x := &exchange{cancel: cancel, limit: limit, queue: s.queue, busy: s.busy}
	if s.busy != nil {
		s.busy.Add(1)
	}
	x.cost.begin(ctx, req, &s)
	if kind == call.Token {
		x.cost.rate = nil // token requests are small, and limited in time
	}
	if s.whole > 0 {
		x.whole = time.AfterFunc(s.whole, func() { cancel(errClientTimeout) })
	}
	r := req.Clone(x.trace(ctx))
	// Cookies and a Referer come from no one here; a policy of the caller's that adds them would send them to whatever answers.
	r.Header.Del("Cookie")
	r.Header.Del("Referer")
	if s.fetch {
		fetchOptions(r.Header)
	}
	x.attach(r, req.Body)

	panicked := true
	defer func() {
		if panicked { // a RoundTripper of the caller's
			x.end()
		}
	}()
	resp, err := s.do(r)
	panicked = false
	x.begun()
	x.cost.answered(resp)
	if err == nil && resp == nil {
		err = errors.New("the transport returned neither a response nor an error")
	}
	if err != nil {
		err = reason(ctx, err)
		if ctx.Err() == nil && x.unused() {
			if err = (lostIdleError{err}); s.idle != nil {
				s.idle() // the others are as old
			}
		}
		x.end()
		return nil, cleanError(req, err)
	}
	return s.accept(ctx, x, r, resp, kind)
}

// accept refuses a response that cannot be one, and puts limits on the body of any other. Its end ends
// the exchange.
func (s sender) accept(ctx context.Context, x *exchange, r *http.Request, resp *http.Response, kind call.Kind) (*http.Response, error) {
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if !spoken(resp) {
		_ = resp.Body.Close()
		x.end()
		return nil, wire.Untrusted(wire.BadVersion, resp.Proto)
	}
	if s.fetch && resp.StatusCode == 0 {
		_ = resp.Body.Close()
		x.end()
		return nil, wire.Untrusted(wire.BadRedirect, "the browser does not show where it leads")
	}
	body := &replyBody{Reader: resp.Body, Closer: resp.Body, x: x, ctx: ctx}
	switch {
	case resp.StatusCode >= 400:
		body.idle = idleErrorTimeout
		body.Reader = io.LimitReader(resp.Body, maxErrorBody)
		if resp.ContentLength > maxErrorBody {
			resp.ContentLength = -1
		}
	case wire.IsRedirect(resp.StatusCode):
		body.idle = idleRedirectTimeout // nobody wants to know what it says
	case kind != call.Blob:
		body.idle = idleTimeout
	}
	resp.Body = body
	if resp.Request != nil && resp.Request.Response != nil { // set by net/http when a redirect led to the request
		_ = resp.Body.Close()
		return nil, wire.Untrusted(wire.BadRedirect, "the caller's transport followed one by itself")
	}
	resp.Request = r
	if resp.StatusCode >= http.StatusBadRequest {
		resp.Body = &refusalBody{ReadCloser: body, ctx: ctx, resp: resp}
	}
	scrub := call.Of(ctx).Scrub
	if redact.Echoes(resp.Header, r.Header.Get("Authorization"), scrub); scrub != nil {
		resp.Status = scrub(resp.Status)
	}
	if headerSize(resp.Header) > maxHeader {
		_ = resp.Body.Close()
		return nil, wire.Refuse(wire.ErrTooLarge, "response header")
	}
	if err := wire.CheckHeaders(resp.StatusCode, resp.Header); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// spoken reports whether the response is of a version of HTTP that can have been spoken. net/http takes any digits in a
// status line, "HTTP/2.0" on a connection of HTTP/1.1 too. A transport that is not net/http's may leave the version out.
func spoken(resp *http.Response) bool {
	switch resp.Proto {
	case "", "HTTP/1.1", "HTTP/1.0":
		return true
	case "HTTP/2.0":
		return resp.TLS == nil || resp.TLS.NegotiatedProtocol == "h2"
	}
	return false
}

// attach gives the attempt a body of its own.
func (x *exchange) attach(r *http.Request, body io.ReadCloser) {
	switch b, ok := body.(*Body); {
	case body == nil:
	case body == http.NoBody, ok && b.n == 0:
		r.Body, r.GetBody = http.NoBody, nil
	case ok:
		r.ContentLength = b.n
		r.Body = x.body(b.fork())
		// The transport asks for the body again when a connection dies before a byte was written, or on an HTTP/2 GOAWAY.
		r.GetBody = func() (io.ReadCloser, error) { return x.body(b.fork()), nil }
	default:
		r.Body = x.body(body)
		r.GetBody = nil // azcore's rewinds the body that is being sent
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.connect()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// cleanError takes the query out of the URLs in an error of the transport: it may be a signature.
func cleanError(req *http.Request, err error) error {
	if refusal, ok := errors.AsType[*wire.Refusal](err); ok { // of the dial hook
		return refusal
	}
	for u, ok := errors.AsType[*url.Error](err); ok; u, ok = errors.AsType[*url.Error](err) {
		err = u.Err
	}
	if strings.Contains(err.Error(), "server response headers exceeded") { // net/http has no name for it
		return wire.Refuse(wire.ErrTooLarge, "response header")
	}
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(record.RecordHeader[:]) == "HTTP/" {
		err = http.ErrSchemeMismatch // as an http.Client says
	}
	text := err.Error()
	if scrub := call.Of(req.Context()).Scrub; scrub != nil {
		text = scrub(text)
	}
	if text = redact.OneLine(text); text != err.Error() {
		err = &shownError{err, text}
	}
	op := "Get"
	if req.Method != "" {
		op = req.Method[:1] + strings.ToLower(req.Method[1:])
	}
	return &url.Error{Op: op, URL: redact.URL(req.URL), Err: err}
}

// shownError is an error of which only a part may be shown. It can be compared, but not taken apart: net/http quotes header lines that it cannot read in errors of its own.
type shownError struct {
	err  error
	text string
}

func (e *shownError) Error() string { return e.text }

// Is finds what the whole error is.
func (e *shownError) Is(target error) bool { return errors.Is(e.err, target) }

// Format prints Error for every verb.
func (e *shownError) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(e.text)) }

// Timeout tells url.Error, which asks no further.
func (e *shownError) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.err)
	return ok && t.Timeout()
}

// headerSize is the size of a header as sent, roughly.
func headerSize(h http.Header) int {
	n := 0
	for k, vs := range h {
		for _, v := range vs {
			n += len(k) + len(v) + 4
		}
	}
	return n
}
