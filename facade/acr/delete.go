package acr

import (
	"context"
	"errors"
	"net/http"
)

// deleteOnce runs a deletion. What is not there when it is sent again after a try whose answer was lost was deleted by that try; what was
// not there in the first place is the caller's ErrNotFound.
func deleteOnce(ctx context.Context, send func(context.Context) error) error {
	ctx, tries := withAttempts(ctx)
	err := send(ctx)
	if tries.doubtful && errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// remove sends a deletion whose answer has no body worth reading.
func (r *Repository) remove(ctx context.Context, op *operation, send func(context.Context) (*http.Response, error)) error {
	return deleteOnce(ctx, func(ctx context.Context) error {
		resp, err := r.do(ctx, op, send)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}
