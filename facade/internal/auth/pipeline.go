package auth

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/version"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// tokenPipeline is the pipeline of token requests: the caller's policies, retries and spans like any other request's, but no token.
func tokenPipeline(c Config, v *vault) (*azcore.Client, error) {
	budget := c.Budget
	if budget == nil {
		budget = retry.NewBudget()
	}
	retries := c.Pipeline.Retry
	if limit := limitsOf(c.Timeout).try; retries.TryTimeout <= 0 || retries.TryTimeout > limit {
		retries.TryTimeout = limit
	}
	logging := c.Pipeline.Logging
	logging.IncludeBody = false
	return azcore.NewClient(version.Product, version.Semantic(),
		runtime.PipelineOptions{
			PerCall:  []policy.Policy{retry.NewGuard()},
			PerRetry: []policy.Policy{retry.New(retries, budget, c.Gate), readReply{}},
			Tracing:  runtime.TracingOptions{Namespace: version.Namespace},
		},
		&policy.ClientOptions{
			Logging:          logging,
			Retry:            policy.RetryOptions{MaxRetries: -1},
			Telemetry:        c.Pipeline.Telemetry,
			TracingProvider:  c.Pipeline.TracingProvider,
			Transport:        scrubbing{c.Transport, v},
			PerCallPolicies:  c.Pipeline.PerCallPolicies,
			PerRetryPolicies: c.Pipeline.PerRetryPolicies,
		})
}

// scrubbing takes secrets out of the headers of replies, where azcore's log shows what a server repeats of a request's body.
type scrubbing struct {
	policy.Transporter
	vault *vault
}

// Do implements policy.Transporter.
func (f scrubbing) Do(r *http.Request) (*http.Response, error) {
	resp, err := f.Transporter.Do(r)
	if err != nil {
		return nil, err
	}
	for _, values := range resp.Header {
		for i, v := range values {
			values[i] = f.vault.scrub(v)
		}
	}
	return resp, nil
}

// readReply reads a reply within its try, so that one that breaks off is asked for again.
type readReply struct{}

// Do implements policy.Policy.
func (readReply) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil {
		return nil, err
	}
	body, err := wire.ReadAll(resp.Body, nil, -1, maxReply+1) // so that ask finds that a reply is too large
	_ = resp.Body.Close()
	if err != nil && !errors.Is(err, wire.ErrTooLarge) && resp.StatusCode == http.StatusOK {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
