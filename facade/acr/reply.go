package acr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/jsonscan"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// reply is a response whose body has been read.
type reply struct {
	body   []byte
	header http.Header
	status int
	length int64 // Content-Length, -1 when not stated
	sent   *http.Request
	name   string // of the repository that was asked; empty for the registry itself
}

// fail is op.fail for an error about the content of the reply, which may hold a secret of the client.
func (r *reply) fail(op *operation, err error) error { return op.fail(r.hide(err)) }

// hide returns the error, or if its text holds a secret of the client one without it.
func (r *reply) hide(err error) error {
	if r.sent == nil {
		return err
	}
	scrub := call.Of(r.sent.Context()).Scrub
	if scrub == nil {
		return err
	}
	if text := scrub(err.Error()); text != err.Error() {
		return &hiddenError{err, text}
	}
	return err
}

// hiddenError is an error whose text holds a secret. It can be compared, but not taken apart.
type hiddenError struct {
	err  error
	text string
}

// Error returns the text without the secret.
func (e *hiddenError) Error() string { return e.text }

// Is finds what the whole error is.
func (e *hiddenError) Is(target error) bool { return errors.Is(e.err, target) }

// Format prints Error for every verb.
func (e *hiddenError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.text) }

// describe says who sent the reply, with which status and type, and what it looks like if not like a JSON object.
func (r *reply) describe() string {
	var where string
	if r.sent != nil {
		where = r.sent.Method + " " + redact.URL(r.sent.URL) + " "
	}
	text := fmt.Sprintf("%sanswered %d with content of type %s", where, r.status, quote(r.header.Get("Content-Type")))
	switch start := bytes.TrimSpace(r.body); {
	case len(start) == 0:
		text += ", which is empty"
	case start[0] == '<':
		text += ", which looks like HTML or XML from a portal or proxy"
	case start[0] != '{' && !json.Valid(start):
		text += ", which looks like plain text from a portal or proxy"
	}
	return text
}

// errCutShort is returned for a body or document that ends before it is complete. Asking again may
// help.
var errCutShort = jsonscan.ErrCutShort

// question is a request whose reply is held in memory.
type question struct {
	op    *operation
	name  string // of the repository; empty for the registry itself
	limit int64  // how long the body may be
	buf   []byte // holds the body if it is large enough
	send  func(context.Context) (*http.Response, error)
	// look sees the response before its body is read, and may refuse it. Nil looks at nothing.
	look func(*http.Response) error
	// use reads the reply. If it fails, again says whether the reply may have been cut short on its
	// way. Nil uses nothing.
	use func(got reply) (again bool, err error)
}

// read sends a request and reads its reply. A reply that is cut short is requested once more; this
// is the only place where that is done.
func (c *Client) read(ctx context.Context, q question) (got reply, err error) {
	got, again, err := c.readOnce(ctx, q)
	if again && ctx.Err() == nil {
		doubt(ctx)
		observe.Again(ctx, redact.OneLine(err.Error()))
		ctx = call.With(ctx, func(k *call.Call) { k.Avoid = got.sent.URL.Host })
		got, _, err = c.readOnce(ctx, q)
	}
	return got, err
}

// readOnce is one try of read.
func (c *Client) readOnce(ctx context.Context, q question) (got reply, again bool, err error) {
	resp, end, err := c.begin(ctx, q.op, q.name, q.send)
	defer func() { end(err) }()
	if err != nil {
		return reply{}, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	var body []byte
	if q.look != nil {
		err = q.look(resp)
	}
	if err == nil {
		body, err = readBody(resp, q.buf, q.limit)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return reply{}, false, q.op.fail(wait.Cause(ctx))
	case err != nil:
		return reply{sent: resp.Request}, errors.Is(err, errCutShort), q.op.fail(err)
	}
	got = reply{body: body, header: resp.Header, status: resp.StatusCode, length: resp.ContentLength, sent: resp.Request, name: q.name}
	if q.use != nil {
		again, err = q.use(got)
	}
	return got, again, err
}

// readBody reads a body of at most limit bytes.
func readBody(resp *http.Response, buf []byte, limit int64) ([]byte, error) {
	body, err := wire.ReadAll(resp.Body, buf, resp.ContentLength, limit)
	if err != nil && !errors.Is(err, wire.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", errCutShort, err)
	}
	return body, err
}

// maxPropertySize is how much of a document of properties is read into memory: enough for a manifest
// with 100,000 tags.
const maxPropertySize = 4 << 20

// readDocument is read for a JSON document of properties.
func readDocument[T any](ctx context.Context, c *Client, op *operation, name string, send func(context.Context) (*http.Response, error), decode func([]byte) (T, error)) (T, error) {
	return readDecoded(ctx, c, question{op: op, name: name, limit: maxPropertySize, send: send}, decode)
}

// readDecoded is read for a JSON document. It sets q.use.
func readDecoded[T any](ctx context.Context, c *Client, q question, decode func([]byte) (T, error)) (v T, err error) {
	q.use = func(got reply) (bool, error) {
		doc, err := decode(got.body)
		if err != nil {
			return errors.Is(err, errCutShort), q.op.malformed(&got, err)
		}
		v = doc
		return false, nil
	}
	_, err = c.read(ctx, q)
	return v, err
}

// takeOnce runs a call that removes something: a deletion, or a restore from the recycle bin. If a
// try got no clear response and a later try finds nothing, the earlier one succeeded, and takeOnce
// returns nil. If the first try finds nothing, the caller gets ErrNotFound. A 404 without an error
// code does not count, because proxies send that too when they fail.
func takeOnce(ctx context.Context, send func(context.Context) error) error {
	ctx, tries := withTries(ctx)
	err := send(ctx)
	if refusal, ok := errors.AsType[*Error](err); ok && tries.Doubtful && refusal.Code != "" && refusal.Is(ErrNotFound) {
		return nil
	}
	return err
}

// take sends such a call. The body of its response is not read.
func (r *Repository) take(ctx context.Context, op *operation, send func(context.Context) (*http.Response, error)) error {
	return takeOnce(ctx, func(ctx context.Context) error {
		resp, err := r.do(ctx, op, send)
		if err != nil {
			return err
		}
		wire.Drain(resp)
		return nil
	})
}

// withTries returns a context that records whether a try of the call may have taken effect without
// a response.
func withTries(ctx context.Context) (context.Context, *call.Tries) {
	tries := &call.Tries{}
	return call.With(ctx, func(c *call.Call) { c.Tries = tries }), tries
}

// tally records requests that were sent and got no clear response. A response that wire refused is
// clear.
type tally struct{}

// Do implements policy.Policy.
func (tally) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if _, refused := errors.AsType[*wire.Refusal](err); refused {
		return resp, err
	}
	if err != nil || resp.StatusCode == http.StatusInternalServerError || resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusGatewayTimeout {
		doubt(req.Raw().Context())
	}
	return resp, err
}

// doubt records that a try of this call may have taken effect although its response was lost.
func doubt(ctx context.Context) {
	if tries := call.Of(ctx).Tries; tries != nil {
		tries.Doubtful = true
	}
}
