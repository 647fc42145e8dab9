package wire

import (
	"errors"

	"github.com/acrkit/acrkit/facade/internal/redact"
)

// What wire refuses, for errors.Is; facade/acr exports them anew. Every refusal is a [*Refusal] that unwraps to one of these.
var (
	// ErrEndpoint: the endpoint is not an https URL of a registry the credential may be sent to.
	ErrEndpoint = errors.New("endpoint refused")
	// ErrForeignOrigin: the server pointed to, or a request was made for, another origin than the login server's.
	ErrForeignOrigin = errors.New("foreign origin refused")
	// ErrRedirect: a redirect where none is followed, one too many, or one without a usable target.
	ErrRedirect = errors.New("redirect refused")
	// ErrForbiddenAddress: a storage link that leads to a loopback, link-local, multicast or metadata address.
	ErrForbiddenAddress = errors.New("address refused")
	// ErrBadLocation: the Location of an upload is missing, malformed or outside the upload's path.
	ErrBadLocation = errors.New("bad Location header")
	// ErrBadLink: the Link of a page is malformed or leads to another list.
	ErrBadLink = errors.New("bad Link header")
	// ErrBadRange: a Content-Range that cannot be read.
	ErrBadRange = errors.New("bad Content-Range header")
	// ErrTooLarge: a reply, or its header, is larger than what is read of it.
	ErrTooLarge = errors.New("reply is larger than allowed")
)

// Refusal is an answer or a URL that was not acted upon. Retrying cannot help, and azcore is told so.
type Refusal struct {
	// Err is one of the sentinels.
	Err error
	// Detail says what was met: one line, without query and secrets.
	Detail string
}

// Refuse returns a refusal whose detail is made fit to be shown.
func Refuse(err error, detail string) *Refusal {
	return &Refusal{Err: err, Detail: redact.OneLine(detail)}
}

func (r *Refusal) Error() string { return r.Err.Error() + ": " + r.Detail }

// Unwrap returns the sentinel.
func (r *Refusal) Unwrap() error { return r.Err }

// NonRetriable marks the error for azcore's and our retry policy.
func (*Refusal) NonRetriable() {}
