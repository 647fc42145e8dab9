package acr

import (
	"context"
	"errors"
	"net/http"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

// takeOnce runs a call that takes something away: a deletion, or a restore out of the recycle bin. What is not there when it is sent again
// after a try whose answer was lost was taken by that try; what was not there in the first place is the caller's ErrNotFound. A 404 without
// a code is not the registry's word on the matter: a proxy or gateway in trouble says that too.
func takeOnce(ctx context.Context, send func(context.Context) error) error {
	ctx, tries := withAttempts(ctx)
	err := send(ctx)
	if refusal, ok := errors.AsType[*Error](err); ok && tries.doubtful && refusal.Code != "" && refusal.Is(ErrNotFound) {
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
