package acr

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/version"
)

// newPipeline builds the policies, outermost first: telemetry, the caller's per-call policies,
// retry, token, timing of uploads, tally, the caller's per-retry policies, tracing, logging,
// transport. azcore's own retries are off: they send bodies again from a shared reader, and know
// neither uploads nor a budget.
func newPipeline(c *Client, budget *retry.Budget) (*azcore.Client, error) {
	options := c.options.ClientOptions
	retries := options.Retry
	options.Retry = policy.RetryOptions{MaxRetries: -1}
	options.Transport = c.transport
	return azcore.NewClient(version.Product, version.Semantic(), runtime.PipelineOptions{
		AllowedHeaders:         []string{"Docker-Content-Digest", "Docker-Upload-Uuid", "Range", "Content-Range", "Retry-After", "X-Ms-Correlation-Request-Id"},
		AllowedQueryParameters: []string{"n", "last", "orderby", "digest", "artifactType", "mount", "from"},
		PerCall:                []policy.Policy{retry.NewGuard(), sourceClient(c.options.SourceClient)},
		PerRetry:               []policy.Policy{retry.New(retries, budget, c.gate()), c.auth.Policy(), uploading{}, tally{}, journal{c.options.Logger}},
		Tracing:                runtime.TracingOptions{Namespace: version.Namespace},
	}, &options)
}

// tokenOptions returns the options of the pipeline for token requests: the caller's, and the
// policies that every request has.
func (c *Client) tokenOptions() policy.ClientOptions {
	o := c.options.ClientOptions
	o.PerCallPolicies = slices.Concat([]policy.Policy{sourceClient(c.options.SourceClient)}, o.PerCallPolicies)
	o.PerRetryPolicies = slices.Concat([]policy.Policy{journal{c.options.Logger}}, o.PerRetryPolicies)
	return o
}

// sourceClient adds the header that names the caller, if ClientOptions.SourceClient is set.
type sourceClient string

// Do implements policy.Policy.
func (s sourceClient) Do(req *policy.Request) (*http.Response, error) {
	if s != "" {
		req.Raw().Header.Set("X-Meta-Source-Client", string(s))
	}
	return req.Next()
}

// plainSlashes sends the slashes of a repository name as they are; gen escapes them. Names were
// checked by checkName, so nothing else needs escaping.
func plainSlashes(_ context.Context, r *http.Request) error {
	r.URL.RawPath = ""
	return nil
}

// journal logs one debug record for each request, without headers, queries and bodies.
type journal struct{ logger *slog.Logger }

// Do implements policy.Policy.
func (j journal) Do(req *policy.Request) (*http.Response, error) {
	ctx := req.Raw().Context()
	if j.logger == nil || !j.logger.Enabled(ctx, slog.LevelDebug) {
		return req.Next()
	}
	start := time.Now()
	resp, err := req.Next()
	attrs := []slog.Attr{
		slog.String("method", req.Raw().Method),
		slog.String("url", redact.URL(req.Raw().URL)),
		slog.Duration("duration", time.Since(start)),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", redact.OneLine(err.Error())))
	} else {
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("correlation_id", redact.OneLine(resp.Header.Get("X-Ms-Correlation-Request-Id"))))
	}
	j.logger.LogAttrs(ctx, slog.LevelDebug, "registry request", attrs...)
	return resp, err
}
