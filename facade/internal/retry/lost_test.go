package retry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/transport"
)

// A healthy server that closes its idle connections without a word: no retry is spent on that, however often it
// happens, and no call fails. Each connection carries one request here; at the next it is closed.
func TestLostIdleConnectionsAreFree(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	used := map[string]bool{}
	home := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		again := used[r.RemoteAddr]
		used[r.RemoteAddr] = true
		mu.Unlock()
		if again {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(home.Close)
	login, err := url.Parse(home.URL)
	if err != nil {
		t.Fatal(err)
	}
	tr := transport.New(login, home.Client(), nil)
	p := runtime.NewPipeline("test", "v0", runtime.PipelineOptions{
		PerCall:  []policy.Policy{retry.NewGuard()},
		PerRetry: []policy.Policy{retry.New(policy.RetryOptions{RetryDelay: time.Hour}, retry.NewBudget(), nil)},
	}, &policy.ClientOptions{Transport: tr, Retry: policy.RetryOptions{MaxRetries: -1}})
	for n := range 100 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, home.URL, strings.NewReader("small"))
		if err != nil {
			t.Fatal(err)
		}
		req, err := runtime.NewRequestFromRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.Do(req)
		if err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		_ = resp.Body.Close()
	}
}

// A request whose response does not begin in time may still be carried out: only those that read are sent again, once.
func TestUnansweredRequests(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int{"GET": 2, "HEAD": 2, "PUT": 1, "DELETE": 1, "POST": 1, "PATCH": 1} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				silent := transporterFunc(func(*http.Request) (*http.Response, error) { n++; return nil, transport.ErrHeaderTimeout })
				_, err := ask(t.Context(), pipeline(silent, policy.RetryOptions{}), method, "")
				if !errors.Is(err, transport.ErrHeaderTimeout) || n != want {
					t.Errorf("%v after %d requests, want %d", err, n, want)
				}
			})
		})
	}
	t.Run("token", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			n := 0
			silent := transporterFunc(func(*http.Request) (*http.Response, error) { n++; return nil, transport.ErrHeaderTimeout })
			ctx := call.WithKind(context.WithoutCancel(t.Context()), call.Token)
			if _, err := ask(ctx, pipeline(silent, policy.RetryOptions{}), "POST", ""); err == nil || n != 2 {
				t.Errorf("%v after %d requests", err, n)
			}
		})
	})
}
