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

// newPipeline lays the policies, outermost first: telemetry, the caller's per-call policies, retry, the token, the clock of uploads, the
// tally of what was sent, the caller's per-retry policies, tracing, logging, wire. azcore's own retry is off: it resends bodies over a
// shared seeker, and knows neither uploads nor a budget.
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
		Tracing:                runtime.TracingOptions{Namespace: "Microsoft.ContainerRegistry"},
	}, &options)
}

// tokenOptions are the caller's options for token requests, with what else every request has.
func (c *Client) tokenOptions() policy.ClientOptions {
	o := c.options.ClientOptions
	o.PerCallPolicies = slices.Concat([]policy.Policy{sourceClient(c.options.SourceClient)}, o.PerCallPolicies)
	o.PerRetryPolicies = slices.Concat([]policy.Policy{journal{c.options.Logger}}, o.PerRetryPolicies)
	return o
}

// sourceClient names the caller in each request, if it has a name.
type sourceClient string

// Do implements policy.Policy.
func (s sourceClient) Do(req *policy.Request) (*http.Response, error) {
	if s != "" {
		req.Raw().Header.Set("X-Meta-Source-Client", string(s))
	}
	return req.Next()
}

// plainSlashes sends "a/b" as it stands where gen would escape the slash: names passed checkName, so that nothing else needs escaping.
func plainSlashes(_ context.Context, r *http.Request) error {
	r.URL.RawPath = ""
	return nil
}

// journal writes one debug record per exchange, without headers, queries and bodies.
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
	j.logger.LogAttrs(ctx, slog.LevelDebug, "registry exchange", attrs...)
	return resp, err
}
