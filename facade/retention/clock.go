package retention

import (
	"context"
	"fmt"
	"net/http"
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

// readClock reads the registry's time off its response to one request. A refusal tells the time as
// well.
func readClock(ctx context.Context, c *acr.Client) (*clock, error) {
	var resp *http.Response
	started := time.Now()
	var failed error
	for _, err := range c.RepositoryNames(policy.WithCaptureResponse(ctx, &resp), &acr.ListOptions{PageSize: 1}) {
		failed = err
		break
	}
	if resp == nil {
		return nil, fmt.Errorf("retention: %w: there was no response: %w", ErrClock, failed)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return nil, fmt.Errorf("retention: %w: %w", ErrClock, err)
	}
	return &clock{date.UTC(), started}, nil
}

// now is the registry's time now.
func (c *clock) now() time.Time { return c.registry.Add(time.Since(c.local)) }
