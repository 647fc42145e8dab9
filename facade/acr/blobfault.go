package acr

import (
	"errors"
	"net/http"

	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// Verdicts on transfers of blobs.
var (
	// ErrUploadLost: the registry no longer knows the upload, and what was sent cannot be sent again; or five requests in a row brought
	// no byte further. The text says how far it had got; the error unwraps to what the last request failed with.
	ErrUploadLost = transfer.ErrLost
	// ErrSourceChanged: the source of an upload was changed while it was being read.
	ErrSourceChanged = transfer.ErrChanged
	// ErrStalled: the other side sent nothing of a blob for 30 seconds, or did not begin an answer for a minute, again and again.
	ErrStalled = transfer.ErrStalled
	// ErrNotMounted: the registry did not mount the blob; it has to be uploaded.
	ErrNotMounted = errors.New("not mounted")
	// ErrClosed: the writer or reader was used after its end.
	ErrClosed = transfer.ErrClosed
)

// transferError says of what a transfer ended with which call it ended.
type transferError struct {
	doing string
	err   error
}

func (e *transferError) Error() string {
	return wire.OneLine("acr: " + e.doing + ": " + plain(e.err))
}

// Unwrap gives the cause.
func (e *transferError) Unwrap() error { return e.err }

// Is matches the names that verdicts have in this package.
func (e *transferError) Is(target error) bool {
	switch target {
	case ErrDigestMismatch:
		return errors.Is(e.err, transfer.ErrDigest)
	case ErrSizeMismatch:
		return errors.Is(e.err, transfer.ErrSize)
	case ErrMalformedReply:
		return errors.Is(e.err, transfer.ErrProtocol)
	}
	return false
}

// transferred wraps what a transfer ended with. What already says which operation failed, and bad arguments, stay as they are.
func transferred(doing string, err error) error {
	switch err.(type) { //nolint:errorlint // only the outermost one has a text of its own
	case nil:
		return nil
	case *Error, *callError, *ArgumentError, *transferError:
		return err
	}
	return &transferError{doing, err}
}

// unsent is an error of a request that wire refused, or that there is no token for. Sign-in has been repeated already.
type unsent interface {
	error
	NonRetriable()
}

// uploadFault classifies what a request of an upload session failed with. settled tells that the retry policy has repeated the request
// already as far as that makes sense.
func uploadFault(err error, settled bool) error {
	if err == nil {
		return nil
	}
	f := &transfer.Fault{Kind: transfer.Doubt, Err: err}
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		if _, never := errors.AsType[unsent](err); never {
			f.Kind = transfer.Final
		}
	case e.has(ErrBlobUploadInvalid), e.has(ErrBlobUploadUnknown), e.StatusCode == http.StatusNotFound, e.StatusCode == http.StatusGone:
		f.Kind = transfer.Gone
	case e.has(ErrDigestInvalid):
		f.Kind = transfer.BadDigest
	case e.StatusCode == http.StatusRequestEntityTooLarge:
		f.Kind = transfer.TooLarge
	case e.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		f.Kind = transfer.NoRange
	default:
		f.Kind = statusKind(e.StatusCode)
		f.After = e.RetryAfter
	}
	if settled && (f.Kind == transfer.Doubt || f.Kind == transfer.Busy) {
		f.Kind = transfer.Final
	}
	return f
}

// statusKind is what an HTTP status without further meaning says of a repetition.
func statusKind(status int) transfer.Kind {
	switch {
	case status == http.StatusTooManyRequests, status >= 500, status == http.StatusRequestTimeout:
		return transfer.Busy
	}
	return transfer.Final
}

// opGetBlobContent is how an *Error names a request to the storage that the registry sends readers of a blob to. It is none of the
// registry's operations.
var opGetBlobContent = &operation{id: "GetBlobContent"}

// storageFault is the answer of storage that is none of the successes.
func storageFault(resp *http.Response) error {
	e := opGetBlobContent.refused(resp)
	if e.Code == "" {
		e.Code = ErrorCode(wire.OneLine(resp.Header.Get("X-Ms-Error-Code")))
	}
	e.advice = ""
	if e.StatusCode == http.StatusForbidden {
		e.advice = "storage refuses the registry's link: a firewall or a private endpoint may keep this address from the blobs"
	}
	f := &transfer.Fault{Kind: statusKind(e.StatusCode), After: e.RetryAfter, Err: e}
	if e.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		f.Kind = transfer.NoRange
	}
	return f
}
