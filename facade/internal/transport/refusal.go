package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// brokenRefusal is the error of the body of a refusal (a status of 400 and above) that breaks off or stalls. The request
// may be sent again for the whole of it; at the end the refusal counts with what there is of its text, because its
// status says more than that a connection broke.
type brokenRefusal struct {
	resp *http.Response
	text []byte // what came of the body
	err  error
}

func (e *brokenRefusal) Error() string {
	return fmt.Sprintf("the response with status code %d broke off: %v", e.resp.StatusCode, e.err)
}

// Unwrap returns the cause.
func (e *brokenRefusal) Unwrap() error { return e.err }

// refusalIn returns the refusal whose body is the reason of an error, or nil.
func refusalIn(err error) *http.Response {
	e, ok := errors.AsType[*brokenRefusal](err)
	if !ok {
		return nil
	}
	resp := *e.resp
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(e.text)), -1
	return &resp
}

// refusalBody is the body of a refusal.
type refusalBody struct {
	io.ReadCloser
	ctx  context.Context // the exchange's
	resp *http.Response
	text []byte
}

// Read returns a brokenRefusal where the body breaks off, unless the caller's context has ended. Nobody repeats a POST
// or PATCH whose response broke off, so the body of such a refusal ends there.
func (b *refusalBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.text = append(b.text, p[:n]...)
	switch {
	case err == nil, errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return n, err
	case b.ctx.Err() != nil && !errors.Is(context.Cause(b.ctx), wait.ErrStalled):
		return n, err
	case b.resp.Request.Method == http.MethodPost, b.resp.Request.Method == http.MethodPatch:
		return n, io.EOF
	}
	return n, &brokenRefusal{b.resp, b.text, err}
}
