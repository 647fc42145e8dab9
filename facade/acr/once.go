package acr

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// takeOnce runs a call that removes something: a deletion, or a restore from the recycle bin. If a
// try got no clear response and a later try finds nothing, the earlier one succeeded, and takeOnce
// returns nil. If the first try finds nothing, the caller gets ErrNotFound. A 404 without an error
// code does not count, because proxies send that too when they fail.
func takeOnce(ctx context.Context, send func(context.Context) error) error {
	ctx, tries := withTries(ctx)
	err := send(ctx)
	if refusal, ok := errors.AsType[*Error](err); ok && tries.Doubtful && refusal.Code != "" && refusal.Is(ErrNotFound) {
		return nil
	}
	return err
}

// take sends such a call. The body of its response is not read.
func (r *Repository) take(ctx context.Context, op *operation, send func(context.Context) (*http.Response, error)) error {
	return takeOnce(ctx, func(ctx context.Context) error {
		resp, err := r.do(ctx, op, send)
		if err != nil {
			return err
		}
		wire.Drain(resp)
		return nil
	})
}

// withTries returns a context that records whether a try of the call may have taken effect without
// a response.
func withTries(ctx context.Context) (context.Context, *call.Tries) {
	tries := &call.Tries{}
	return call.With(ctx, func(c *call.Call) { c.Tries = tries }), tries
}

// tally records requests that were sent and got no clear response. A response that wire refused is
// clear.
type tally struct{}

// Do implements policy.Policy.
func (tally) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if _, refused := errors.AsType[*wire.Refusal](err); refused {
		return resp, err
	}
	if err != nil || resp.StatusCode == http.StatusInternalServerError || resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusGatewayTimeout {
		doubt(req.Raw().Context())
	}
	return resp, err
}

// doubt records that a try of this call may have taken effect although its response was lost.
func doubt(ctx context.Context) {
	if tries := call.Of(ctx).Tries; tries != nil {
		tries.Doubtful = true
	}
}
