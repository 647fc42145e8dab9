package retry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/transport"
)

// smallBody is up to what a body that is not a *transport.Body is copied to make it one.
const smallBody = 4<<20 + 1

// NewGuard returns the policy that comes first of PipelineOptions.PerCall. Once per call it
//   - takes over the retry options a caller put into the context (policy.WithRetryOptions) for our retry policy and switches azcore's own off, which would repeat chunks;
//   - turns small bodies into a *transport.Body, so that each attempt has one of its own.
func NewGuard() policy.Policy { return guard{} }

type guard struct{}

// retryOverride carries a caller's per-call options to the retry policy.
type retryOverride struct{ options policy.RetryOptions }

func (guard) Do(req *policy.Request) (*http.Response, error) {
	ctx := req.Raw().Context()
	if o, ok := retryOptionsIn(ctx); ok {
		req.SetOperationValue(retryOverride{o})
	}
	if b := req.Body(); b != nil {
		if _, ok := b.(*transport.Body); !ok && req.Raw().ContentLength <= smallBody {
			data, err := io.ReadAll(b)
			if err != nil {
				return nil, err
			}
			if err := req.SetBody(transport.NewBody(bytes.NewReader(data), 0, int64(len(data))), req.Raw().Header.Get("Content-Type")); err != nil {
				return nil, err
			}
			_ = b.Close()
		}
	}
	return req.WithContext(policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1})).Next()
}

// retryOptionsIn reads what policy.WithRetryOptions put into ctx. azcore keeps the key to itself, but its retry policy asks the context for it.
func retryOptionsIn(ctx context.Context) (policy.RetryOptions, bool) {
	o, ok := ctx.Value(retryOptionsKey()).(policy.RetryOptions)
	return o, ok
}

var retryOptionsKey = sync.OnceValue(func() any {
	probe := &keyProbe{sample: policy.WithRetryOptions(context.Background(), policy.RetryOptions{})}
	if req, err := runtime.NewRequest(probe, http.MethodGet, "https://probe.invalid/"); err == nil {
		_, _ = runtime.NewRetryPolicy(nil).Do(req) // no policy follows: it fails without sending anything
	}
	return probe.key // nil, which finds nothing, should azcore ever stop asking
})

// keyProbe is a cancelled context that remembers which key of those asked for finds retry options.
type keyProbe struct {
	sample context.Context
	key    any
}

func (*keyProbe) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (*keyProbe) Done() <-chan struct{}                   { return nil }
func (*keyProbe) Err() error                              { return context.Canceled }
func (p *keyProbe) Value(key any) any {
	if _, ok := p.sample.Value(key).(policy.RetryOptions); ok {
		p.key = key
	}
	return nil
}
