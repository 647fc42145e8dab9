package guides_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
)

func withLog(opts acr.ClientOptions, w io.Writer) *acr.ClientOptions {
	opts.Logger = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo})) // LevelDebug: every request
	return &opts
}

func costOf(ctx context.Context, repository *acr.Repository) (acr.Usage, error) {
	ctx, usage := acr.WithUsage(ctx)
	_, err := acr.Collect(repository.Tags(ctx, nil))
	return usage(), err
}

type requestCounter struct {
	mu     sync.Mutex
	counts map[string]int // in a real program a counter vector of Prometheus or OpenTelemetry
}

func (c *requestCounter) observe(_ context.Context, m acr.RequestMetrics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[fmt.Sprintf("%s %d", m.Operation, m.Status)]++
}

func withMetrics(opts acr.ClientOptions, c *requestCounter) *acr.ClientOptions {
	opts.OnRequest = c.observe
	return &opts
}

// A throttled list: what it cost, what the metrics and the log say.
func Example_observability() {
	srv, _, done := start()
	defer done()
	var log bytes.Buffer
	counter := &requestCounter{counts: map[string]int{}}
	client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), withMetrics(*withLog(*reach(srv), &log), counter))
	check(err)
	defer client.CloseIdleConnections()

	srv.On("ListTags").Nth(1).Status(429, time.Second)
	usage, err := costOf(context.Background(), client.Repository("shop/web"))
	check(err)
	fmt.Println(usage.Requests, "requests,", usage.Retries, "retry,", usage.Tokens, "tokens")
	fmt.Println(counter.counts["ListTags 429"], counter.counts["ListTags 200"])
	fmt.Println(strings.Count(log.String(), "level=INFO"), "delay in the log")
	// Output:
	// 4 requests, 1 retry, 2 tokens
	// 1 1
	// 1 delay in the log
}
