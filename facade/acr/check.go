package acr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

const (
	maxErrorBody  = 64 << 10 // what is read of an error body
	maxErrorItems = 100      // how many of its entries are kept
	maxPlainText  = 256      // how much is shown of a body that is no error document
)

// check is the one gate between the registry's answers and the rest of the package: it lets a success of the operation pass, with its
// body open, and turns everything else into an error, with the body read and closed.
func (op *operation) check(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, op.fail(err)
	}
	if op.ok(resp.StatusCode) {
		return resp, nil
	}
	return nil, op.refused(resp)
}

// fail says of an error that is no answer of the registry which operation it ended. A refused sign-in is an answer. What lies beneath, be it
// an answer, can still be found.
func (op *operation) fail(err error) error {
	switch err.(type) { //nolint:errorlint // only the outermost one says which operation it ended
	case *Error, *callError:
		return err
	}
	if e, ok := errors.AsType[*auth.Error](err); ok && e.StatusCode != 0 {
		return signInRefused(e)
	}
	return &callError{operation: op.id, err: err}
}

// callError is an operation that ended without an answer, or with one that could not be used.
type callError struct {
	operation string
	err       error
}

// Error is one line without secrets, whatever the cause's text holds.
func (e *callError) Error() string {
	return wire.OneLine("acr: " + e.operation + ": " + plain(e.err))
}

// plain is the text of an error within one of this package: the package's name stands at its head alone.
func plain(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "acr: "), ": acr: ", ": ")
}

// Unwrap gives the cause.
func (e *callError) Unwrap() error { return e.err }

// Is matches the name that a verdict of wire has in this package.
func (e *callError) Is(target error) bool {
	return target == ErrStalled && errors.Is(e.err, wire.ErrHeaderTimeout)
}

// refused makes the *Error of an answer that is no success.
func (op *operation) refused(resp *http.Response) *Error {
	body, _ := wire.ReadAll(resp.Body, maxErrorBody) // what could be read is as much as there is to show
	_ = resp.Body.Close()
	body = scrub(resp, body)
	e := &Error{
		Operation:     op.id,
		StatusCode:    resp.StatusCode,
		CorrelationID: wire.OneLine(resp.Header.Get("X-Ms-Correlation-Request-Id")),
		missing:       op.missing,
	}
	if resp.Request != nil {
		e.Method, e.URL = resp.Request.Method, wire.RedactURL(resp.Request.URL)
	}
	if d, ok := wire.RetryAfter(resp.Header, time.Now()); ok {
		e.RetryAfter = d
	}
	e.readBody(body)
	e.advice, e.body = advise(op, e), body
	e.err = responseError(resp, e.Code, body)
	return e
}

type scrubKey struct{}

// withScrub lets the answers to the requests made with ctx be freed of the client's secrets, should a server repeat one.
func withScrub(ctx context.Context, scrub func(string) string) context.Context {
	return context.WithValue(ctx, scrubKey{}, scrub)
}

// scrub takes the client's secrets out of an error body.
func scrub(resp *http.Response, body []byte) []byte {
	if resp.Request != nil {
		if scrub, ok := resp.Request.Context().Value(scrubKey{}).(func(string) string); ok {
			return []byte(scrub(string(body)))
		}
	}
	return body
}

// readBody takes the entries of an error document, or the first words of anything else.
func (e *Error) readBody(body []byte) {
	var doc gen.ErrorBody
	if json.Unmarshal(body, &doc) == nil && len(doc.Errors) > 0 {
		for _, item := range doc.Errors[:min(len(doc.Errors), maxErrorItems)] {
			e.Details = append(e.Details, ErrorDetail{Code: ErrorCode(wire.OneLine(item.Code)), Message: wire.OneLine(item.Message), Detail: item.Detail})
		}
		e.Code, e.Message = e.Details[0].Code, e.Details[0].Message
		return
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(body[:min(len(body), maxPlainText)]), "\ufeff"))
	if strings.HasPrefix(text, "<") { // a page of a proxy, or storage's XML: nothing to read in one line
		text = ""
	}
	e.Message = wire.OneLine(text)
}

// responseError keeps the answer for callers who look for azcore's error: its body to read again, as far as it may be shown (azcore logs
// it), and its request without what signed it.
func responseError(resp *http.Response, code ErrorCode, body []byte) error {
	kept := *resp
	kept.Header = resp.Header.Clone()
	kept.Header.Del("Location") // may carry a signature
	kept.Header.Del("Set-Cookie")
	kept.Body = io.NopCloser(strings.NewReader(wire.OneLine(string(body))))
	if resp.Request != nil {
		request := resp.Request.Clone(resp.Request.Context())
		request.Header.Del("Authorization")
		request.Header.Del("Cookie")
		request.Body, request.GetBody, request.Response = nil, nil, nil
		request.URL.RawQuery, request.URL.User = "", nil
		kept.Request = request
	}
	return runtime.NewResponseErrorWithErrorCode(&kept, string(code))
}

// tokenCalls are where the token operations are sent.
var tokenCalls = map[string][2]string{
	"ExchangeEntraToken":      {http.MethodPost, "/oauth2/exchange"},
	"GetAccessToken":          {http.MethodPost, "/oauth2/token"},
	"GetAccessTokenWithBasic": {http.MethodGet, "/oauth2/token"},
}

// signInRefused is the *Error of a token request that the registry refused. Its words are ours: the registry's might repeat the token.
func signInRefused(cause *auth.Error) *Error {
	call := tokenCalls[cause.Operation]
	e := &Error{
		Operation:     cause.Operation,
		Method:        call[0],
		URL:           call[1],
		StatusCode:    cause.StatusCode,
		Code:          ErrorCode(cause.Code),
		CorrelationID: cause.CorrelationID,
		RetryAfter:    cause.RetryAfter,
		err:           &azcore.ResponseError{ErrorCode: cause.Code, StatusCode: cause.StatusCode},
	}
	e.explain(cause)
	return e
}

// located completes the URL of a refused sign-in, which does not know where it was sent.
func (c *Client) located(err error) error {
	if e, ok := err.(*Error); ok && strings.HasPrefix(e.URL, "/") { //nolint:errorlint // as fail gave it
		e.URL = c.login.String() + e.URL
	}
	return err
}

// contradicts is the error of a reply that cannot be what it says it is.
func contradicts(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
}
