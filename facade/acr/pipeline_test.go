package acr_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/internal/version"
)

// passport is a caller's policy that notes what passes.
type passport struct{ seen []string }

// Do implements policy.Policy.
func (s *passport) Do(req *policy.Request) (*http.Response, error) {
	agent, _, _ := strings.Cut(req.Raw().UserAgent(), " (")
	s.seen = append(s.seen, req.Raw().URL.Path+" "+agent+" "+req.Raw().Header.Get("X-Meta-Source-Client"))
	return req.Next()
}

// TestTokenRequestsAreTheCallersToo: his name, his policies and his logger hold for token requests as for any other.
func TestTokenRequestsAreTheCallersToo(t *testing.T) {
	t.Parallel()
	s := &passport{}
	var log strings.Builder
	c := acrsuite.NewClient(t, acrsuite.NewServer(t), func(o *acr.ClientOptions) {
		o.Telemetry.ApplicationID = "puller"
		o.SourceClient = "azure/aks"
		o.PerRetryPolicies = []policy.Policy{s}
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"/oauth2/exchange", "/oauth2/token", "/v2/"}
	for i := range want {
		want[i] += " puller azsdk-go-acrkit/" + version.Semantic() + " azure/aks"
	}
	if !slices.Equal(s.seen, want) {
		t.Errorf("%q, want %q", s.seen, want)
	}
	if text := log.String(); strings.Count(text, "registry request") != 3 || strings.Contains(text, "eyJ") {
		t.Error(text)
	}
}

// TestUsageIsWhatTheRegistrySaw: usage, metrics and the emulator's ledger agree about a job with faults, and what is waited for is logged.
func TestUsageIsWhatTheRegistrySaw(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		s.SeedImage(t, "samples/app:v1")
		var mu sync.Mutex
		var seen acr.Usage
		var text strings.Builder
		c := acrsuite.NewClient(t, s, func(o *acr.ClientOptions) {
			o.Logger = slog.New(slog.NewTextHandler(&text, nil))
			o.OnRequest = func(_ context.Context, m acr.RequestMetrics) {
				mu.Lock()
				defer mu.Unlock()
				seen.Requests++
				seen.BytesSent += m.BytesSent
				seen.BytesReceived += m.BytesReceived
				if m.Try > 1 {
					seen.Retries++
					seen.Waited += m.Waited
				}
				if m.Operation == "" || m.Host == "" || m.Status == 0 && m.Operation != "UploadChunk" && m.Operation != "GetBlobContent" {
					t.Errorf("%+v", m)
				}
			}
		})
		r := c.Repository("samples/app")
		s.On("ListTags").Nth(1).Status(503)
		s.On("GetManifest").Nth(1).Status(429, 20*time.Second)
		s.On("UploadChunk").Nth(2).ResetRequestAfter(1000)
		s.On("GetBlobContent").Nth(1).ResetAfter(5000)

		outer, all := acr.WithUsage(t.Context())
		inner, lists := acr.WithUsage(outer)
		if _, err := acr.Collect(r.Tags(inner, nil)); err != nil {
			t.Fatal(err)
		}
		if u := lists(); u.Requests != 4 || u.Retries != 1 || u.Tokens != 2 {
			t.Errorf("the list: %+v", u)
		}
		if _, err := r.GetManifest(outer, "v1"); err != nil {
			t.Fatal(err)
		}
		content := bytes.Repeat([]byte("x"), 300<<10)
		desc, err := r.UploadBlob(outer, bytes.NewReader(content), &acr.UploadOptions{ChunkSize: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		reader, err := r.GetBlob(outer, desc.Digest, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, reader); err != nil {
			t.Fatal(err)
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
		u, ledger := all(), s.Ledger().Requests()
		sent, received := int64(0), int64(0)
		for _, q := range ledger {
			sent, received = sent+q.BytesIn, received+q.BytesOut
		}
		if u.Requests != int64(len(ledger)) || u.Requests != seen.Requests {
			t.Errorf("%d requests, metrics of %d, the registry saw %d", u.Requests, seen.Requests, len(ledger))
		}
		if u.BytesReceived > received || u.BytesReceived < received-5000 || u.BytesReceived != seen.BytesReceived || u.BytesSent < sent || u.BytesSent != seen.BytesSent {
			t.Errorf("%+v, metrics %+v, the registry read %d and wrote %d", u, seen, sent, received)
		}
		if u.Retries != 4 || u.Waited < 20*time.Second || seen.Retries != 2 || seen.Waited < 20*time.Second {
			t.Errorf("%+v, metrics %+v", u, seen)
		}
		if n := strings.Count(text.String(), "msg=retrying"); n != 4 || !strings.Contains(text.String(), "status 429") {
			t.Errorf("%d retries are logged:\n%s", n, text.String())
		}
	})
}

// What the caller's code panics with reaches the caller, and keeps no other call from going on: not those that wait for the
// turn of the request, nor those that wait for the link that it asked for.
func TestPanicsHoldNothingUp(t *testing.T) {
	t.Parallel()
	for where, install := range map[string]func(o *acr.ClientOptions, cry func()){
		"a policy": func(o *acr.ClientOptions, cry func()) {
			o.PerRetryPolicies = append(o.PerRetryPolicies, acrsuite.PolicyFunc(func(req *policy.Request) (*http.Response, error) { cry(); return req.Next() }))
		},
		"OnRequest": func(o *acr.ClientOptions, cry func()) {
			o.OnRequest = func(context.Context, acr.RequestMetrics) { cry() }
		},
		"the transport": func(o *acr.ClientOptions, cry func()) {
			if inner, ok := o.Transport.(*http.Client); ok {
				next := inner.Transport
				o.Transport = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { cry(); return next.RoundTrip(r) })}
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
			content := acrsuite.Content(100_000)
			d := srv.SeedBlob(t, "a/b", content)
			srv.SeedImage(t, "a/b:v1")
			governor, err := acr.NewGovernor(&acr.GovernorOptions{Concurrency: 1})
			if err != nil {
				t.Fatal(err)
			}
			var panics atomic.Bool
			r := acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) {
				o.Governor = governor
				install(o, func() {
					if panics.Load() {
						panic("cry")
					}
				})
			}).Repository("a/b")
			view, err := r.BlobReaderAt(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			for name, call := range map[string]func() error{
				"GetManifest":  func() error { _, err := r.GetManifest(t.Context(), "v1"); return err },
				"Tags":         func() error { _, err := acr.Collect(r.Tags(t.Context(), nil)); return err },
				"ReadAt":       func() error { _, err := view.ReadAt(make([]byte, 100), 0); return err },
				"DownloadBlob": func() error { _, err := r.DownloadBlob(t.Context(), d, nowhere{}, nil); return err },
			} {
				panics.Store(true)
				func() {
					defer func() {
						if v := recover(); v != "cry" {
							t.Errorf("%s, %s: recovered %v", where, name, v)
						}
					}()
					err := call()
					t.Errorf("%s, %s: no panic, but %v", where, name, err)
				}()
				panics.Store(false)
				if err := call(); err != nil {
					t.Errorf("%s, %s, after a panic: %v", where, name, err)
				}
			}
		})
	}
}
