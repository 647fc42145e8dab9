package wire

import (
	"errors"

	"github.com/acrkit/acrkit/facade/internal/redact"
)

// What wire refuses, for errors.Is; facade/acr exports them anew. Every refusal is a [*Refusal] that unwraps to one of these.
var (
	// ErrEndpoint: the endpoint is not an https URL of a registry the credential may be sent to.
	ErrEndpoint = errors.New("endpoint refused")
	// ErrUntrusted is returned when a URL, address or range that a server named is not acted upon. The [Matter] of the
	// refusal says which.
	ErrUntrusted = errors.New("untrusted response")
	// ErrTooLarge: a reply, or its header, is larger than what is read of it.
	ErrTooLarge = errors.New("reply is larger than allowed")
)

// Matter is what a server is not trusted with.
type Matter string

// The matters of [ErrUntrusted].
const (
	// ForeignOrigin is a URL on another origin than the login server's.
	ForeignOrigin Matter = "foreign origin"
	// BadRedirect is a redirect where none is followed, one too many, or one without a usable target.
	BadRedirect Matter = "redirect not followed"
	// ForbiddenAddress is a storage link that leads to a loopback, link-local, multicast or metadata address.
	ForbiddenAddress Matter = "forbidden address"
	// BadLocation is a missing or malformed Location of an upload, or one outside the upload's path.
	BadLocation Matter = "bad Location header"
	// BadLink is a malformed Link of a page, or one that leads to another list.
	BadLink Matter = "bad Link header"
	// BadVersion is a status line with a version of HTTP that was not spoken.
	BadVersion Matter = "impossible HTTP version"
	// Contradiction is a header that may be given once, and was given with two values.
	Contradiction Matter = "contradictory headers"
	// BadRange is a Content-Range that cannot be read.
	BadRange Matter = "bad Content-Range header"
)

// Refusal is an answer or a URL that was not acted upon. Retrying cannot help, and azcore is told so.
type Refusal struct {
	// Err is one of the sentinels.
	Err error
	// Matter is what an untrusted response is about; empty for the other sentinels.
	Matter Matter
	// Detail says what was met: one line, without query and secrets.
	Detail string
}

// Refuse returns a refusal whose detail is made fit to be shown.
func Refuse(err error, detail string) *Refusal {
	return &Refusal{Err: err, Detail: redact.OneLine(detail)}
}

// Untrusted returns a refusal of [ErrUntrusted].
func Untrusted(m Matter, detail string) *Refusal {
	return &Refusal{Err: ErrUntrusted, Matter: m, Detail: redact.OneLine(detail)}
}

// IsUntrusted reports whether err is, or wraps, a refusal of the matter.
func IsUntrusted(err error, m Matter) bool {
	r, ok := errors.AsType[*Refusal](err)
	return ok && r.Matter == m
}

// Error returns one line: the sentinel, the matter and the detail.
func (r *Refusal) Error() string {
	text := r.Err.Error() + ": "
	if r.Matter != "" {
		text += string(r.Matter) + ": "
	}
	return text + r.Detail
}

// Unwrap returns the sentinel.
func (r *Refusal) Unwrap() error { return r.Err }

// NonRetriable marks the error for azcore's and our retry policy.
func (*Refusal) NonRetriable() {}
