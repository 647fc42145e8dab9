package acr

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// Error is an error response from the registry: any HTTP status that the operation does not treat
// as success. errors.As finds it, and also the [*azcore.ResponseError] with the response.
//
// errors.Is matches it with the [ErrorCode] of each entry of the response, with [ErrNotFound],
// [ErrThrottled] and [ErrLocked], and with the causes of a failed sign-in, such as [ErrFirewall]. A
// refusal for want of a right matches [ErrDenied], whatever its code is, if the cause is known.
// The response to a HEAD request has no entries: with status 404 it matches [ErrManifestUnknown] or
// [ErrBlobUnknown], although Code is empty.
//
// Message is that of the first entry. If the body is not an error document, it is the start of the
// body. If the sign-in failed, it is a text of this package.
//
// A fake in a test can return a literal: &Error{StatusCode: 404} matches [ErrNotFound], and with
// Code: [ErrTagUnknown] it also matches that.
type Error struct {
	Operation     string        // operation id of the OpenAPI document, such as "ListTags"
	Method        string        // HTTP method
	URL           string        // without its query
	StatusCode    int           // HTTP status
	Code          ErrorCode     // code of the first entry; empty if the body has none, as for HEAD requests
	Message       string        // message of the first entry; if there is none, see the comment of Error
	Details       []ErrorDetail // every entry of the body
	CorrelationID string        // X-Ms-Correlation-Request-Id, which Azure support asks for
	RetryAfter    time.Duration // how long the registry asks to wait; 0 if it does not say

	during  string    // the caller's operation, if a token request for it was refused, or another one on its way
	advice  string    // what to do, if the cause is known
	missing ErrorCode // the meaning of a 404 without a body
	causes  []error   // errors of known causes
	body    []byte    // of the response, until its cause has been explained
	err     error     // *azcore.ResponseError
}

// ErrorDetail is an entry of an error response.
type ErrorDetail struct {
	Code    ErrorCode
	Message string
	Detail  json.RawMessage // any JSON value, nil when absent
}

// Error returns one line of at most 4 KiB: operation, request, status, code, message, details if
// they are short, advice if the cause is known, and correlation id. It contains no token, no signed
// URL and no control character.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("acr: ")
	if e.during != "" {
		b.WriteString(e.during + ": ")
	}
	fmt.Fprintf(&b, "%s: %s %s: %d", e.Operation, e.Method, shown(e.URL, 1024), e.StatusCode)
	if name := cmp.Or(string(e.Code), http.StatusText(e.StatusCode)); name != "" {
		b.WriteString(" " + shown(name, 128))
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", strings.TrimSuffix(shown(e.Message, 1536), "."))
	}
	if d := e.details(); d != "" {
		fmt.Fprintf(&b, " (%s)", d)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; retry after %s", e.RetryAfter)
	}
	if e.advice != "" {
		fmt.Fprintf(&b, "; %s", shown(e.advice, 768))
	}
	if e.CorrelationID != "" {
		fmt.Fprintf(&b, " (correlation id %s)", shown(e.CorrelationID, 128))
	}
	return b.String()
}

// shown returns a text as one line of at most limit bytes.
func shown(s string, limit int) string {
	const more = " [...]"
	if s = redact.OneLine(s); len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len(more)], "") + more
	}
	return s
}

// Unwrap returns the *azcore.ResponseError and the known causes.
func (e *Error) Unwrap() []error { return append([]error{e.err}, e.causes...) }

// Is reports whether target is an [ErrorCode], [ErrNotFound], [ErrThrottled] or [ErrLocked] that
// applies to the response, as the comment of Error says. Unwrap returns the causes.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		_, signIn := tokenCalls[e.Operation]
		return e.StatusCode == http.StatusNotFound && !signIn
	case ErrThrottled:
		return e.StatusCode == http.StatusTooManyRequests
	case ErrLocked:
		return e.has(codeDisallowed)
	case ErrDenied:
		return e.has(ErrDenied) || e.lacksRight()
	}
	code, ok := target.(ErrorCode)
	return ok && e.has(code)
}

// lacksRight reports whether the cause is known to be a missing right. The registry refuses with
// UNAUTHORIZED then as often as with DENIED.
func (e *Error) lacksRight() bool {
	return slices.ContainsFunc(e.causes, func(cause error) bool {
		return errors.Is(cause, ErrNoRole) || errors.Is(cause, ErrMissingAction) || errors.Is(cause, ErrABAC) || errors.Is(cause, ErrCatalogRole)
	})
}

// has reports whether an entry has the code.
func (e *Error) has(code ErrorCode) bool {
	switch {
	case code == "":
		return false
	case e.Code == code, slices.ContainsFunc(e.Details, func(d ErrorDetail) bool { return d.Code == code }):
		return true
	default:
		return e.StatusCode == http.StatusNotFound && e.Code == "" && e.missing == code
	}
}

const (
	maxErrorBody  = 64 << 10 // what is read of an error body
	maxErrorItems = 100      // how many of its entries are kept
	maxPlainText  = 256      // how much is kept of a body that is not an error document
)

// refused returns the *Error of a response that is not a success.
func (op *operation) refused(resp *http.Response) *Error {
	body, _ := wire.ReadAll(resp.Body, nil, -1, maxErrorBody) // an incomplete body is used as far as it goes
	_ = resp.Body.Close()
	body = scrub(resp, body)
	e := &Error{
		Operation:     op.id,
		StatusCode:    resp.StatusCode,
		CorrelationID: redact.OneLine(resp.Header.Get("X-Ms-Correlation-Request-Id")),
		missing:       op.missing,
	}
	if resp.Request != nil {
		e.Method, e.URL = resp.Request.Method, redact.URL(resp.Request.URL)
	}
	if d, ok := wire.RetryAfter(resp.Header, time.Now()); ok {
		e.RetryAfter = d
	}
	e.readBody(body)
	e.body = body
	e.advice = advise(op, e)
	e.err = responseError(resp, e.Code, body)
	return e
}

// scrub removes the client's own secrets from an error body, in case the registry repeats one.
func scrub(resp *http.Response, body []byte) []byte {
	if resp.Request != nil {
		if scrub := call.Of(resp.Request.Context()).Scrub; scrub != nil {
			return []byte(scrub(string(body)))
		}
	}
	return body
}

// readBody reads the entries of an error document, or the beginning of any other body.
func (e *Error) readBody(body []byte) {
	var doc gen.ErrorBody
	if json.Unmarshal(body, &doc) == nil && len(doc.Errors) > 0 {
		for _, item := range doc.Errors[:min(len(doc.Errors), maxErrorItems)] {
			e.Details = append(e.Details, ErrorDetail{Code: ErrorCode(redact.OneLine(item.Code)), Message: redact.OneLine(item.Message), Detail: item.Detail})
		}
		e.Code, e.Message = e.Details[0].Code, e.Details[0].Message
		return
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(body[:min(len(body), maxPlainText)]), "\ufeff"))
	if strings.HasPrefix(text, "<") { // a page of a proxy, or XML of storage: not readable in one line
		text = ""
	}
	e.Message = redact.OneLine(text)
}

// responseError returns azcore's error for a response. Its body can be read again, without secrets
// (azcore logs it), and its request has no credential.
func responseError(resp *http.Response, code ErrorCode, body []byte) error {
	kept := *resp
	kept.Header = resp.Header.Clone()
	kept.Header.Del("Location") // may carry a signature
	kept.Header.Del("Set-Cookie")
	kept.Body = io.NopCloser(strings.NewReader(redact.OneLine(string(body))))
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

// signInRefused returns the *Error of a token request that the registry refused during a call. Its text is
// written here, because the registry's text might contain the token.
func signInRefused(during string, cause *auth.Error) *Error {
	call := tokenCalls[cause.Operation]
	e := &Error{
		during:        during,
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

// completeURL completes the URL of a refused sign-in, which does not know where it was sent.
func (c *Client) completeURL(err error) error {
	if e, ok := err.(*Error); ok && strings.HasPrefix(e.URL, "/") { //nolint:errorlint // as fail gave it
		e.URL = c.login.String() + e.URL
	}
	return err
}

const (
	maxDetail  = 256 // bytes of a detail that is shown
	maxDetails = 4   // how many are shown
)

// details returns the details of the entries as text, as far as they are short and say more than the message.
func (e *Error) details() string {
	var texts []string
	for _, d := range e.Details {
		text := detailText(d.Detail)
		if text == "" || len(text) > maxDetail || strings.Contains(e.Message, text) || slices.Contains(texts, text) {
			continue
		}
		if len(texts) == maxDetails {
			texts = append(texts, "...")
			break
		}
		texts = append(texts, text)
	}
	return shown(strings.Join(texts, "; "), (maxDetails+1)*maxDetail)
}

// detailText returns a JSON value as text: "name: value" for the members of an object. It is empty if the value says nothing.
func detailText(raw json.RawMessage) string {
	var value any
	if len(raw) > 2*maxDetail || json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return plainValue(value)
}

func plainValue(value any) string {
	var texts []string
	switch v := value.(type) {
	case nil:
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if text := plainValue(v[name]); text != "" {
				texts = append(texts, name+": "+text)
			}
		}
	case []any:
		for _, item := range v {
			if text := plainValue(item); text != "" {
				texts = append(texts, text)
			}
		}
	default:
		texts = append(texts, fmt.Sprint(v))
	}
	return strings.Join(texts, ", ")
}
