package acr_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"

	"github.com/acrkit/acrkit/facade/acr"
)

// spanPrinter prints each span when it ends. With OpenTelemetry, azotel.NewTracingProvider makes such a provider.
func spanPrinter() tracing.Provider {
	return spansThatEnd(func(name string, attributes map[string]any) {
		fmt.Print("span ", name)
		for _, k := range slices.Sorted(maps.Keys(attributes)) {
			switch k {
			case "acr.repository", "acr.requests", "acr.retries", "http.status_code":
				fmt.Print(" ", k, "=", attributes[k])
			}
		}
		fmt.Println()
	})
}

// spansThatEnd returns a provider that hands over the name and the attributes of each span when it ends.
func spansThatEnd(ended func(name string, attributes map[string]any)) tracing.Provider {
	type current struct{}
	start := func(ctx context.Context, name string, o *tracing.SpanOptions) (context.Context, tracing.Span) {
		var mu sync.Mutex
		seen := map[string]any{}
		set := func(attributes ...tracing.Attribute) {
			mu.Lock()
			defer mu.Unlock()
			for _, a := range attributes {
				seen[a.Key] = a.Value
			}
		}
		set(o.Attributes...)
		span := tracing.NewSpan(tracing.SpanImpl{SetAttributes: set, End: func() { ended(name, seen) }})
		return context.WithValue(ctx, current{}, span), span
	}
	return tracing.NewProvider(func(string, string) tracing.Tracer {
		return tracing.NewTracer(start, &tracing.TracerOptions{SpanFromContext: func(ctx context.Context) tracing.Span {
			span, _ := ctx.Value(current{}).(tracing.Span)
			return span
		}})
	}, nil)
}

// See what an upload, a download that breaks off and a list that is throttled cost: their spans, the usage of each call, and
// the metrics of the client.
func ExampleWithUsage() {
	srv, _, done := exampleRegistry()
	defer done()

	var mu sync.Mutex
	metrics := map[string]int{}
	opts := exampleOptions(srv)
	opts.RegistryWideToken = true
	opts.TracingProvider = spanPrinter()
	opts.OnRequest = func(_ context.Context, m acr.RequestMetrics) {
		mu.Lock()
		defer mu.Unlock()
		metrics[fmt.Sprintf("%s try=%d status=%d", m.Operation, m.Try, m.Status)]++
	}
	client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), opts)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	repository := client.Repository("samples/app")

	ctx, usage := acr.WithUsage(context.Background())
	if _, err := repository.HeadManifest(ctx, "v1"); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("sign-in and HEAD: %d requests, %d tokens\n\n", usage().Requests, usage().Tokens)

	ctx, usage = acr.WithUsage(context.Background())
	blob, err := repository.UploadBlob(ctx, strings.NewReader(strings.Repeat("acr", 100_000)), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("upload: %d request, %d bytes sent\n\n", usage().Requests, usage().BytesSent)

	srv.On("GetBlobContent").Nth(1).ResetAfter(100_000)
	ctx, usage = acr.WithUsage(context.Background())
	var content bytes.Buffer
	reader, err := repository.GetBlob(ctx, blob.Digest, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := content.ReadFrom(reader); err != nil {
		log.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("download of %d bytes: %d requests, %d retry\n\n", content.Len(), usage().Requests, usage().Retries)

	srv.On("ListTags").Nth(1).Status(429, time.Second)
	ctx, usage = acr.WithUsage(context.Background())
	if _, err := acr.Collect(repository.Tags(ctx, nil)); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("list: %d requests, %d retry, waited %v\n\n", usage().Requests, usage().Retries, usage().Waited.Truncate(time.Second))

	mu.Lock()
	defer mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(metrics)) {
		fmt.Println(k, metrics[k])
	}
	// Output:
	// span HTTP POST http.status_code=200
	// span acr.ExchangeEntraToken
	// span HTTP POST http.status_code=200
	// span acr.GetAccessToken
	// span HTTP HEAD http.status_code=200
	// span acr.HeadManifest acr.repository=samples/app acr.requests=3 acr.retries=0
	// sign-in and HEAD: 3 requests, 2 tokens
	//
	// span HTTP POST http.status_code=201
	// span acr.UploadBlob acr.repository=samples/app acr.requests=1 acr.retries=0
	// upload: 1 request, 300000 bytes sent
	//
	// span HTTP GET http.status_code=307
	// span HTTP GET http.status_code=200
	// span HTTP GET http.status_code=206
	// span acr.GetBlob acr.repository=samples/app acr.requests=3 acr.retries=1
	// download of 300000 bytes: 3 requests, 1 retry
	//
	// span HTTP GET http.status_code=429
	// span HTTP GET http.status_code=200
	// span acr.ListTags acr.repository=samples/app acr.requests=2 acr.retries=1
	// list: 2 requests, 1 retry, waited 1s
	//
	// ExchangeEntraToken try=1 status=200 1
	// GetAccessToken try=1 status=200 1
	// GetBlob try=1 status=307 1
	// GetBlobContent try=1 status=200 1
	// GetBlobContent try=1 status=206 1
	// HeadManifest try=1 status=200 1
	// ListTags try=1 status=429 1
	// ListTags try=2 status=200 1
	// StartUpload try=1 status=201 1
}
