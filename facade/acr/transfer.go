package acr

import (
	"context"
	"errors"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// Progress is the state of an upload or download. Sizes and offsets are in bytes. For a resumed
// upload Offset includes the bytes sent earlier; Sent and Resent do not.
type Progress struct {
	Total    int64 // size of the blob; -1 while unknown
	Offset   int64 // acknowledged by the registry (upload), written and hashed in order (download)
	Sent     int64 // sent (upload) or received (download), including repetitions
	Resent   int64 // part of Sent that had been sent or received before
	Hashed   int64 // hashed by this client
	Restarts int   // how often the transfer started again from the first byte
	Skipped  bool  // the repository already had the blob, so nothing was sent
	Mounted  bool  // the blob was mounted from another repository
	Done     bool  // set in the last event of a successful transfer
}

// Fraction returns which part of the blob is done, from 0 to 1, for a progress bar: 0 while the
// size is unknown, and 1 only once the transfer has succeeded.
func (p Progress) Fraction() float64 {
	switch {
	case p.Done:
		return 1
	case p.Total <= 0 || p.Offset <= 0:
		return 0
	}
	return min(float64(p.Offset)/float64(p.Total), 1-1e-9)
}

// meter counts the bytes of a transfer and reports them to the callbacks.
type meter struct {
	transfer.Meter
	reporter *transfer.Reporter
}

// newMeter returns a meter and the context of the transfer, which ends if a callback panics. stop
// must be called with the transfer's error at the end, in the caller's goroutine: it panics again
// with the callback's value.
func (r *Repository) newMeter(ctx context.Context, call string, dgst digest.Digest, progress func(Progress), more bool) (m *meter, inner context.Context, stop func(error)) {
	m = &meter{}
	m.SetTotal(transfer.Unknown)
	inner, end := r.client.track(ctx, call, r.name, dgst)
	inner, cancel := context.WithCancelCause(inner)
	if progress == nil && !more {
		return m, inner, func(err error) { cancel(nil); end(err) }
	}
	var tell func(transfer.Event)
	if progress != nil {
		tell = func(e transfer.Event) { progress(Progress(e)) }
	}
	m.reporter = transfer.NewReporter(&m.Meter, tell, cancel)
	return m, inner, func(err error) {
		defer end(err)
		defer cancel(nil)
		m.reporter.Stop(ctx)
	}
}

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
