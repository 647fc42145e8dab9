package acr

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

// Error is the registry's no: any answer that the operation does not count as a success. errors.As finds it, and behind it the
// *azcore.ResponseError with the response.
//
// errors.Is matches it with the ErrorCode of every entry of the answer, with ErrNotFound and ErrThrottled by its status, with ErrLocked,
// and with the causes of a refused sign-in (ErrFirewall and those beside it).
type Error struct {
	Operation     string        // what was asked, as the OpenAPI document names it: "ListTags"
	Method        string        // HTTP method
	URL           string        // without its query
	StatusCode    int           // HTTP status
	Code          ErrorCode     // of the first entry; empty where the body has none, as in every answer to a HEAD
	Message       string        // of the first entry, or the start of a body that is no error document; in our words where sign-in was refused
	Details       []ErrorDetail // every entry of the body
	CorrelationID string        // X-Ms-Correlation-Request-Id: what Azure support asks for
	RetryAfter    time.Duration // how long the registry asks to wait; 0 where it does not say

	advice  string    // what to do about it, where the cause is known
	missing ErrorCode // the code that a bodyless 404 stands for
	causes  []error   // sentinels of known causes
	body    []byte    // of the answer, until its cause is explained
	err     error     // *azcore.ResponseError
}

// ErrorDetail is one entry of an error body.
type ErrorDetail struct {
	Code    ErrorCode
	Message string
	Detail  json.RawMessage // any JSON value, nil when absent
}

// Error is one line of at most 4 KiB: operation, request, status, code, message, what to do where the cause is known, and the
// correlation id. It holds no token, no signature of a URL, and no control character.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "acr: %s: %s %s: %d %s", e.Operation, e.Method, shown(e.URL, 1024), e.StatusCode, shown(cmp.Or(string(e.Code), http.StatusText(e.StatusCode)), 128))
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", strings.TrimSuffix(shown(e.Message, 1536), "."))
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

// shown is a text as one line of at most so many bytes.
func shown(s string, limit int) string {
	const more = " [...]"
	if s = wire.OneLine(s); len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len(more)], "") + more
	}
	return s
}

// Unwrap gives the *azcore.ResponseError.
func (e *Error) Unwrap() []error { return append([]error{e.err}, e.causes...) }

// Is matches wire codes and the sentinels that stand for a status.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		_, signIn := tokenCalls[e.Operation]
		return e.StatusCode == http.StatusNotFound && !signIn
	case ErrThrottled:
		return e.StatusCode == http.StatusTooManyRequests
	case ErrLocked:
		return e.has(ErrDisallowed)
	}
	code, ok := target.(ErrorCode)
	return ok && e.has(code)
}

// has tells whether any entry carries the code.
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
