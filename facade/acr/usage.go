package acr

import (
	"context"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/version"
)

// Usage is what calls have cost. If a connection that was kept open turns out to be closed,
// net/http may repeat a request that only reads; the repetition is not counted.
type Usage struct {
	Requests      int64         // requests sent, including repetitions, redirects, storage and token requests
	Retries       int64         // requests, and parts of a transfer, that were repeated after a failure
	BytesSent     int64         // bytes of request bodies, including repetitions
	BytesReceived int64         // bytes of response bodies
	Tokens        int64         // access and refresh tokens obtained from the registry
	Waited        time.Duration // time spent in waits before retries and polls, and in delays by a Governor
}

// WithUsage returns a context and a function. The context counts what calls with it cost, whichever
// client they belong to; the function returns the counts so far. It may be called at any time and
// from any goroutine.
//
// A call that waits for a token that another call is obtaining is not charged for it. Waits of
// parallel requests add up. If ctx counts already, its counts include those of the new context.
func WithUsage(ctx context.Context) (counting context.Context, usage func() Usage) {
	counting, ledger := observe.WithLedger(ctx)
	return counting, func() Usage { return Usage(ledger.Counts()) }
}

// RequestMetrics describes one request, for metrics. Each repetition is a request of its own.
type RequestMetrics struct {
	Operation     string        // operation ID, such as "GetManifest"; "GetBlobContent" for storage
	Method        string        // HTTP method
	Host          string        // host and port of the registry or the storage
	Status        int           // status code; 0 if there was no response
	Try           int           // 1 for the first try, 2 for the first retry
	Waited        time.Duration // before this try: the pause after the previous one, and the delay by a Governor
	Duration      time.Duration // from sending until the response began, or the request failed
	BytesSent     int64         // bytes of the request body
	BytesReceived int64         // bytes of the response body
}

// onRequest returns the callback for the transport, nil if there is none.
func (o *ClientOptions) onRequest() func(context.Context, observe.Request) {
	if o.OnRequest == nil {
		return nil
	}
	return func(ctx context.Context, r observe.Request) { o.OnRequest(ctx, RequestMetrics(r)) }
}

// newTracer returns the tracer of a client. That of azcore's own client is not for spans with parallel requests in them: each of those
// would write its URL into one variable of the span.
func newTracer(p tracing.Provider) tracing.Tracer {
	tracer := p.NewTracer(version.Product, version.Semantic())
	if tracer.Enabled() {
		tracer.SetAttributes(tracing.Attribute{Key: "az.namespace", Value: version.Namespace})
	}
	return tracer
}

// track begins a call: its span, and the log records of its delays. end must be called with the
// error of the call; then the span gets the counts of what happened within it.
func (c *Client) track(ctx context.Context, name, repository string, dgst digest.Digest) (inner context.Context, end func(error)) {
	ctx = observe.WithLogger(ctx, c.options.Logger)
	tracer := c.tracer
	if !tracer.Enabled() {
		return ctx, func(error) {}
	}
	attributes := []tracing.Attribute{{Key: "acr.registry", Value: c.login.Host}}
	if repository != "" {
		attributes = append(attributes, tracing.Attribute{Key: "acr.repository", Value: repository})
	}
	if dgst != "" {
		attributes = append(attributes, tracing.Attribute{Key: "acr.digest", Value: string(dgst)})
	}
	ctx, ledger := observe.WithLedger(ctx)
	ctx, stop := runtime.StartSpan(ctx, "acr."+name, tracer, &runtime.StartSpanOptions{Attributes: attributes})
	span := tracer.SpanFromContext(ctx)
	return ctx, func(err error) {
		n := ledger.Counts()
		span.SetAttributes(
			tracing.Attribute{Key: "acr.requests", Value: n.Requests},
			tracing.Attribute{Key: "acr.retries", Value: n.Retries},
			tracing.Attribute{Key: "acr.bytes_sent", Value: n.BytesSent},
			tracing.Attribute{Key: "acr.bytes_received", Value: n.BytesReceived},
			tracing.Attribute{Key: "acr.tokens", Value: n.Tokens},
			tracing.Attribute{Key: "acr.waited_ms", Value: n.Waited.Milliseconds()},
		)
		stop(err)
	}
}

// storageSpan begins the span of a request to storage, which the policies of the pipeline do not
// see. Its attributes are those of azcore's spans.
func (c *Client) storageSpan(ctx context.Context, method string, link *transport.Link) (inner context.Context, end func(*http.Response, error)) {
	tracer := c.tracer
	if !tracer.Enabled() {
		return ctx, func(*http.Response, error) {}
	}
	ctx, span := tracer.Start(ctx, "HTTP "+method, &tracing.SpanOptions{Kind: tracing.SpanKindClient, Attributes: []tracing.Attribute{
		{Key: "http.method", Value: method}, {Key: "http.url", Value: link.String()}, {Key: "net.peer.name", Value: link.Host()},
	}})
	return ctx, func(resp *http.Response, err error) {
		if err != nil {
			span.SetStatus(tracing.SpanStatusError, err.Error())
		} else {
			span.SetAttributes(tracing.Attribute{Key: "http.status_code", Value: resp.StatusCode})
			if resp.StatusCode >= http.StatusBadRequest {
				span.SetStatus(tracing.SpanStatusError, http.StatusText(resp.StatusCode))
			}
		}
		span.End()
	}
}
