package model_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// verdict is what a fault may do to a call.
type verdict int

const (
	// passes: the call returns what it would have returned without the fault.
	passes verdict = iota
	// ends: the call may fail, and may have done what it was to do; if it does not fail, it has.
	ends
)

// fault is something that goes wrong with a request of a call.
type fault struct {
	verdict verdict
	wild    bool // the error of a call that it ends need not be one of the library's
	leave   bool // the caller leaves a second after the beginning
	clear   bool // the registry says that it did nothing
	cuts    bool // the text of a refusal may be missing: the error then has its status
	set     func(f *acrtest.Fault) *acrtest.Fault
}

// revoked is the name of the fault that makes the registry forget the token of a request.
const revoked = "token revoked"

// faults are all of them, by name.
var faults = map[string]fault{
	"500":                    {verdict: passes, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Status(http.StatusInternalServerError) }},
	"503 for 5 seconds":      {verdict: passes, clear: true, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Status(http.StatusServiceUnavailable, 5*time.Second) }},
	"429":                    {verdict: passes, clear: true, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Status(http.StatusTooManyRequests, 2*time.Second) }},
	"reply lost":             {verdict: passes, set: func(f *acrtest.Fault) *acrtest.Fault { return f.DropReply() }},
	"reset before the body":  {verdict: passes, set: func(f *acrtest.Fault) *acrtest.Fault { return f.ResetRequestAfter(0) }},
	"reset in the reply":     {verdict: passes, cuts: true, set: func(f *acrtest.Fault) *acrtest.Fault { return f.ResetAfter(20) }},
	"reply cut short":        {verdict: passes, cuts: true, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Truncate(20) }},
	"stall":                  {verdict: ends, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Stall() }},
	"late reply":             {verdict: passes, set: func(f *acrtest.Fault) *acrtest.Fault { return f.DelayReply(20 * time.Second) }},
	revoked:                  {verdict: passes, clear: true, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Revoke() }},
	"connection closed":      {verdict: passes, set: func(f *acrtest.Fault) *acrtest.Fault { return f.CloseIdle() }},
	"down":                   {verdict: ends, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Always().Status(http.StatusServiceUnavailable) }},
	"denied":                 {verdict: ends, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Status(http.StatusForbidden) }},
	"busy for an hour":       {verdict: ends, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Status(http.StatusServiceUnavailable, time.Hour) }},
	"every reply lost":       {verdict: ends, wild: true, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Always().DropReply() }},
	"caller leaves":          {verdict: ends, wild: true, leave: true, set: func(f *acrtest.Fault) *acrtest.Fault { return f.Stall() }},
	"caller leaves too late": {verdict: ends, wild: true, leave: true, set: func(f *acrtest.Fault) *acrtest.Fault { return f.DelayReply(time.Hour) }},
}

var faultNames = slices.Sorted(maps.Keys(faults))

// statuses are those of the errors that the model expects.
var statuses = map[error]status{
	acr.ErrLocked: 405, acr.ErrManifestUnknown: 404, acr.ErrTagUnknown: 404, acr.ErrNameUnknown: 404, acr.ErrBlobUnknown: 404, acr.ErrManifestBlobUnknown: 400,
}

// expected reports whether an error is the one that the model expects; cut says that the text of a refusal may be missing.
func expected(got, want error, cut bool) bool {
	if errors.Is(got, want) {
		return true
	}
	if cut && statuses[want] != 0 {
		want = statuses[want]
	}
	if code, ok := want.(status); ok { //nolint:errorlint // the model's own
		e, ok := errors.AsType[*acr.Error](got)
		return ok && e.StatusCode == int(code)
	}
	return false
}

// isMissing reports whether the model says that there is nothing to delete or restore.
func isMissing(err error) bool {
	return slices.Contains([]error{acr.ErrTagUnknown, acr.ErrManifestUnknown, acr.ErrNameUnknown, acr.ErrBlobUnknown}, err)
}

// wellFormed reports whether a caller can tell the error from others, and print it.
func wellFormed(err error, wild bool) bool {
	return acrsuite.PrintableLine(err.Error()) &&
		(wild || acrsuite.Typed(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}
