package acr

import (
	"errors"
	"net/http"

	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// unsent is an error of a request that wire refused, or for which there is no token. The sign-in
// was already repeated.
type unsent interface {
	error
	NonRetriable()
}

// uploadFault classifies the error of a request of an upload session. settled means that the retry
// policy has already repeated the request as often as useful.
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
	case e.has(codeDigestInvalid):
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

// startFault classifies the error of a request that opens an upload: no session can be gone yet. A
// 404 without a code comes from a proxy, not from the registry, and may be temporary.
func startFault(err error, settled bool) error {
	err = uploadFault(err, settled)
	f, ok := errors.AsType[*transfer.Fault](err)
	if !ok || f.Kind != transfer.Gone {
		return err
	}
	f.Kind = transfer.Final
	if e, ok := errors.AsType[*Error](f.Err); ok && e.StatusCode == http.StatusNotFound && e.Code == "" {
		f.Kind = transfer.Busy
	}
	return f
}

// statusKind returns what an HTTP status alone says about repeating the request.
func statusKind(status int) transfer.Kind {
	switch {
	case status == http.StatusTooManyRequests, status >= 500, status == http.StatusRequestTimeout:
		return transfer.Busy
	}
	return transfer.Final
}

// storageFault returns the error for a response of storage that is not a success.
func storageFault(resp *http.Response) error {
	e := opGetBlobContent.refused(resp)
	if e.Code == "" {
		e.Code = ErrorCode(redact.OneLine(resp.Header.Get("X-Ms-Error-Code")))
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
