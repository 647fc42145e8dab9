// Package observe_test connects a client with OpenTelemetry and Prometheus. The adapters are a few lines each; copy them.
package observe_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/tracing/azotel"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prometheusMetrics returns a callback for ClientOptions.OnRequest, and the collectors that it feeds.
func prometheusMetrics(registry prometheus.Registerer) func(context.Context, acr.RequestMetrics) {
	labels := []string{"operation", "status"}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "acr_requests_total", Help: "Requests sent."}, labels)
	retries := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "acr_retries_total", Help: "Requests sent again."}, labels[:1])
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "acr_request_seconds", Help: "Time until the response began."}, labels)
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "acr_bytes_total", Help: "Bytes of bodies."}, []string{"direction"})
	waited := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "acr_waited_seconds_total", Help: "Time waited before requests."}, labels[:1])
	registry.MustRegister(requests, retries, seconds, bytes, waited)
	return func(_ context.Context, m acr.RequestMetrics) {
		status := strconv.Itoa(m.Status)
		requests.WithLabelValues(m.Operation, status).Inc()
		seconds.WithLabelValues(m.Operation, status).Observe(m.Duration.Seconds())
		if m.Try > 1 {
			retries.WithLabelValues(m.Operation).Inc()
		}
		waited.WithLabelValues(m.Operation).Add(m.Waited.Seconds())
		bytes.WithLabelValues("sent").Add(float64(m.BytesSent))
		bytes.WithLabelValues("received").Add(float64(m.BytesReceived))
	}
}

// otelMetrics returns a callback for ClientOptions.OnRequest.
func otelMetrics(meter metric.Meter) (func(context.Context, acr.RequestMetrics), error) {
	seconds, err := meter.Float64Histogram("acr.request.duration", metric.WithUnit("s"))
	if err != nil {
		return nil, err
	}
	retries, err := meter.Int64Counter("acr.retries", metric.WithUnit("{request}"))
	if err != nil {
		return nil, err
	}
	waited, err := meter.Float64Counter("acr.waited", metric.WithUnit("s"))
	if err != nil {
		return nil, err
	}
	bytes, err := meter.Int64Counter("acr.bytes", metric.WithUnit("By"))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, m acr.RequestMetrics) {
		operation := attribute.String("acr.operation", m.Operation)
		seconds.Record(ctx, m.Duration.Seconds(), metric.WithAttributes(operation, attribute.Int("http.response.status_code", m.Status)))
		if m.Try > 1 {
			retries.Add(ctx, 1, metric.WithAttributes(operation))
		}
		waited.Add(ctx, m.Waited.Seconds(), metric.WithAttributes(operation))
		bytes.Add(ctx, m.BytesSent, metric.WithAttributes(attribute.String("direction", "sent")))
		bytes.Add(ctx, m.BytesReceived, metric.WithAttributes(attribute.String("direction", "received")))
	}, nil
}

func withTraces(opts acr.ClientOptions, provider trace.TracerProvider) *acr.ClientOptions {
	opts.TracingProvider = azotel.NewTracingProvider(provider, nil)
	return &opts
}

// listThrottled lists tags of a registry that refuses the first request.
func listThrottled(set func(*acr.ClientOptions)) {
	srv, err := acrtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	srv.SeedImage(nil, "samples/app:v1")
	srv.On("ListTags").Nth(1).Status(429, time.Second)
	opts := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
	set(opts)
	client, err := acr.NewClient(srv.Endpoint(), nil, opts)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	if _, err := acr.Collect(client.Repository("samples/app").Tags(context.Background(), nil)); err != nil {
		log.Fatal(err)
	}
}

// Count the requests of a client with Prometheus.
func Example_prometheus() {
	registry := prometheus.NewRegistry()
	listThrottled(func(o *acr.ClientOptions) { o.OnRequest = prometheusMetrics(registry) })
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "acr_requests_total" && f.GetName() != "acr_retries_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			fmt.Print(f.GetName())
			for _, l := range m.GetLabel() {
				fmt.Print(" ", l.GetName(), "=", l.GetValue())
			}
			fmt.Println(" ", m.GetCounter().GetValue())
		}
	}
	problems, err := testutil.GatherAndLint(registry)
	fmt.Println(len(problems), err)
	// Output:
	// acr_requests_total operation=GetAccessToken status=200  1
	// acr_requests_total operation=ListTags status=200  1
	// acr_requests_total operation=ListTags status=429  1
	// acr_retries_total operation=ListTags  1
	// 0 <nil>
}

// Trace a client and measure its requests with OpenTelemetry.
func Example_openTelemetry() {
	spans := tracetest.NewInMemoryExporter()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	reader := sdkmetric.NewManualReader()
	onRequest, err := otelMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("job"))
	if err != nil {
		log.Fatal(err)
	}
	listThrottled(func(o *acr.ClientOptions) {
		*o = *withTraces(*o, traces)
		o.OnRequest = onRequest
	})
	for _, s := range spans.GetSpans() {
		fmt.Print("span ", s.Name)
		for _, a := range s.Attributes {
			if slices.Contains([]string{"acr.repository", "acr.requests", "acr.retries", "http.status_code"}, string(a.Key)) {
				fmt.Print(" ", a.Key, "=", a.Value.String())
			}
		}
		fmt.Println()
	}
	var got metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &got); err != nil {
		log.Fatal(err)
	}
	for _, m := range got.ScopeMetrics[0].Metrics {
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
			count := uint64(0)
			for _, p := range h.DataPoints {
				count += p.Count
			}
			fmt.Println(m.Name, "of", count, "requests")
		}
		if s, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "acr.retries" {
			for _, p := range s.DataPoints {
				operation, _ := p.Attributes.Value("acr.operation")
				fmt.Println(m.Name, "of", operation.AsString(), p.Value)
			}
		}
		if s, ok := m.Data.(metricdata.Sum[float64]); ok {
			sum := 0.0
			for _, p := range s.DataPoints {
				sum += p.Value
			}
			fmt.Println(m.Name, "at least a second:", sum >= 1)
		}
	}
	// Output:
	// span HTTP POST http.status_code=200
	// span acr.GetAccessToken
	// span HTTP GET http.status_code=429
	// span HTTP GET http.status_code=200
	// span acr.ListTags acr.repository=samples/app acr.requests=3 acr.retries=1
	// acr.request.duration of 3 requests
	// acr.retries of ListTags 1
	// acr.waited at least a second: true
}
