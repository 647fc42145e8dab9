package acr

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// takeOnce runs a call that takes something away: a deletion, or a restore out of the recycle bin. What is not there when it is sent again
// after a try whose answer was lost was taken by that try; what was not there in the first place is the caller's ErrNotFound. A 404 without
// a code is not the registry's word on the matter: a proxy or gateway in trouble says that too.
func takeOnce(ctx context.Context, send func(context.Context) error) error {
	ctx, tries := withTries(ctx)
	err := send(ctx)
	if refusal, ok := errors.AsType[*Error](err); ok && tries.Doubtful && refusal.Code != "" && refusal.Is(ErrNotFound) {
		return nil
	}
	return err
}

// take sends such a call, whose answer has no body worth reading.
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

// withTries lets the caller learn, after the call, whether an earlier try may have had effect.
func withTries(ctx context.Context) (context.Context, *call.Tries) {
	tries := &call.Tries{}
	return call.With(ctx, func(c *call.Call) { c.Tries = tries }), tries
}

// tally notes requests that were sent and got no clear answer. One that wire refused is clear.
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

// doubt notes that a try of this call may have been carried out though its answer was lost.
func doubt(ctx context.Context) {
	if tries := call.Of(ctx).Tries; tries != nil {
		tries.Doubtful = true
	}
}
