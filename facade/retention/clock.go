package retention

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
)

// clock is the registry's clock: its time at one moment, and what has passed since. The local time
// of day plays no part.
type clock struct {
	registry time.Time
	local    time.Time
}

// readClock reads the registry's time from its response to a list of repositories. If the request
// fails, it returns that error, unless the registry refuses only the list: an identity that may not
// list the repositories can still plan those that are named, and the refusal has a date too.
func readClock(ctx context.Context, c *acr.Client) (*clock, error) {
	var resp *http.Response
	started := time.Now()
	var failed error
	for _, err := range c.RepositoryNames(policy.WithCaptureResponse(ctx, &resp), &acr.ListOptions{PageSize: 1}) {
		failed = err
		break
	}
	if failed != nil && (!mayDoOthers(failed) || resp == nil) {
		return nil, failed
	}
	if resp == nil || resp.Header.Get("Date") == "" {
		return nil, fmt.Errorf("retention: %w: the response has no date", ErrClock)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return nil, fmt.Errorf("retention: %w: %w", ErrClock, err)
	}
	return &clock{date.UTC(), started}, nil
}

// mayDoOthers reports whether the cause of a refusal is a right that the list alone needs.
func mayDoOthers(refusal error) bool {
	causes := []error{acr.ErrCatalogRole, acr.ErrAnonymous, acr.ErrNoRole, acr.ErrMissingAction, acr.ErrABAC}
	return slices.ContainsFunc(causes, func(cause error) bool { return errors.Is(refusal, cause) })
}

// now is the registry's time now.
func (c *clock) now() time.Time { return c.registry.Add(time.Since(c.local)) }
