package retry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// script answers with statuses in turn, the last for ever; a status of 0 is a reset connection. It notes when it was asked.
type script struct {
	statuses []int
	header   http.Header
	mu       sync.Mutex
	at       []time.Time
	bodies   []string
}

func (s *script) Do(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		_ = r.Body.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.statuses[min(len(s.at), len(s.statuses)-1)]
	s.at, s.bodies = append(s.at, time.Now()), append(s.bodies, body)
	if status == 0 {
		return nil, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	}
	h := s.header.Clone()
	if status < 400 {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
}

func pipeline(t policy.Transporter, o policy.RetryOptions) runtime.Pipeline {
	return runtime.NewPipeline("test", "v0",
		runtime.PipelineOptions{PerCall: []policy.Policy{retry.NewGuard()}, PerRetry: []policy.Policy{retry.New(o, retry.NewBudget(), nil)}},
		&policy.ClientOptions{Transport: t, Retry: policy.RetryOptions{MaxRetries: -1}})
}

func ask(ctx context.Context, p runtime.Pipeline, method, body string) (*http.Response, error) {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, "https://reg.azurecr.io/", rd)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "text/plain")
	req, err := runtime.NewRequestFromRequest(r)
	if err != nil {
		return nil, err
	}
	runtime.SkipBodyDownload(req)
	resp, err := p.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return resp, err
}

func TestRetry(t *testing.T) {
	t.Parallel()
	after := func(s string) http.Header { return http.Header{"Retry-After": {s}} }
	api, upload := call.API, call.Upload
	for _, row := range []struct {
		name     string
		call     call.Kind
		method   string
		statuses []int
		header   http.Header
		options  policy.RetryOptions
		status   int // 0: an error
		tries    int
		min, max time.Duration
	}{
		{"good", api, "GET", []int{200}, nil, policy.RetryOptions{}, 200, 1, 0, 0},
		{"F47 503 once", api, "POST", []int{503, 200}, nil, policy.RetryOptions{}, 200, 2, 0, 250 * time.Millisecond},
		{"F47 reset once", api, "POST", []int{0, 200}, nil, policy.RetryOptions{}, 200, 2, 0, 250 * time.Millisecond},
		{"F61 502, 504, 500, 408", api, "GET", []int{502, 504, 500, 408, 200}, nil, policy.RetryOptions{}, 200, 5, 0, 3750 * time.Millisecond},
		{"A36 for ever", api, "GET", []int{503}, nil, policy.RetryOptions{}, 503, 5, 0, 3750 * time.Millisecond},
		{"reset for ever", api, "GET", []int{0}, nil, policy.RetryOptions{}, 0, 5, 0, 3750 * time.Millisecond},
		{"F57 403", api, "GET", []int{403}, nil, policy.RetryOptions{}, 403, 1, 0, 0},
		{"401 and 404 are answers", api, "GET", []int{404}, nil, policy.RetryOptions{}, 404, 1, 0, 0},
		{"F41 upload start", upload, "POST", []int{503, 202}, nil, policy.RetryOptions{}, 202, 2, 0, 250 * time.Millisecond},
		{"small blob", upload, "POST", []int{503, 201}, nil, policy.RetryOptions{}, 503, 1, 0, 0},
		{"F23 chunk", upload, "PATCH", []int{503, 202}, nil, policy.RetryOptions{}, 503, 1, 0, 0},
		{"F23 chunk, reset", upload, "PATCH", []int{0, 202}, nil, policy.RetryOptions{}, 0, 1, 0, 0},
		{"F26 commit", upload, "PUT", []int{0, 201}, nil, policy.RetryOptions{}, 0, 1, 0, 0},
		{"chunk, whatever the user says", upload, "PATCH", []int{503, 202}, after("1"), policy.RetryOptions{MaxRetries: 9, ShouldRetry: func(*http.Response, error) bool { return true }}, 503, 1, 0, 0},
		{"attributes", api, "PATCH", []int{503, 200}, nil, policy.RetryOptions{}, 200, 2, 0, 250 * time.Millisecond},
		{"F58 seconds", api, "GET", []int{429, 200}, after("7"), policy.RetryOptions{}, 200, 2, 7 * time.Second, 8 * time.Second},
		{"F58 seconds on 503", api, "GET", []int{503, 200}, after("7"), policy.RetryOptions{}, 200, 2, 7 * time.Second, 8 * time.Second},
		{"F58 milliseconds", api, "GET", []int{429, 200}, http.Header{"X-Ms-Retry-After-Ms": {"300"}}, policy.RetryOptions{}, 200, 2, 300 * time.Millisecond, 330 * time.Millisecond},
		{"F58 a minute", api, "GET", []int{429, 200}, after("60"), policy.RetryOptions{}, 200, 2, time.Minute, 61 * time.Second},
		{"F59 more than a minute", api, "GET", []int{429, 200}, after("61"), policy.RetryOptions{}, 429, 1, 0, 0},
		{"A35 a day", api, "GET", []int{429, 200}, after("86400"), policy.RetryOptions{}, 429, 1, 0, 0},
		{"A35 1e30", api, "GET", []int{429, 200}, after("1e30"), policy.RetryOptions{}, 429, 1, 0, 0},
		{"user: a longer wait", api, "GET", []int{429, 200}, after("120"), policy.RetryOptions{MaxRetryDelay: 3 * time.Minute}, 200, 2, 2 * time.Minute, 121 * time.Second},
		{"user: any wait", api, "GET", []int{429, 200}, after("86400"), policy.RetryOptions{MaxRetryDelay: -1}, 200, 2, 24 * time.Hour, 24*time.Hour + time.Second},
		{"user: a shorter one", api, "GET", []int{429, 200}, after("5"), policy.RetryOptions{MaxRetryDelay: time.Second}, 429, 1, 0, 0},
		{"user: no retries", api, "GET", []int{503, 200}, nil, policy.RetryOptions{MaxRetries: -1}, 503, 1, 0, 0},
		{"user: two retries", api, "GET", []int{503}, nil, policy.RetryOptions{MaxRetries: 2}, 503, 3, 0, 750 * time.Millisecond},
		{"user: no delay", api, "GET", []int{503}, nil, policy.RetryOptions{RetryDelay: -1}, 503, 5, 0, 0},
		{"user: other statuses", api, "GET", []int{404, 503}, nil, policy.RetryOptions{StatusCodes: []int{404}}, 503, 2, 0, 250 * time.Millisecond},
		{"user: own judgement", api, "GET", []int{200, 200, 404}, nil, policy.RetryOptions{ShouldRetry: func(r *http.Response, _ error) bool { return r.StatusCode == 200 }}, 404, 3, 0, 750 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{statuses: row.statuses, header: row.header}
				start := time.Now()
				body := ""
				if row.method != "GET" && row.name != "F41 upload start" {
					body = "body"
				}
				resp, err := ask(call.WithKind(t.Context(), row.call), pipeline(s, row.options), row.method, body)
				took := time.Since(start)
				status := 0
				if err == nil {
					status = resp.StatusCode
				}
				if status != row.status || len(s.at) != row.tries {
					t.Errorf("%d (%v) after %d tries, want %d after %d", status, err, len(s.at), row.status, row.tries)
				}
				if took < row.min || took > row.max {
					t.Errorf("took %v, want %v to %v", took, row.min, row.max)
				}
				for _, b := range s.bodies {
					if b != body {
						t.Errorf("body %q", b)
					}
				}
			})
		})
	}
}

func TestRetryBackoffGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{statuses: []int{503}}
		if _, err := ask(t.Context(), pipeline(s, policy.RetryOptions{MaxRetries: 9}), "GET", ""); err != nil {
			t.Fatal(err)
		}
		most := 250 * time.Millisecond
		for i := 1; i < len(s.at); i++ {
			if d := s.at[i].Sub(s.at[i-1]); d > most {
				t.Errorf("wait %d: %v, at most %v", i, d, most)
			}
			most = min(most*2, 30*time.Second)
		}
	})
}

// F60: a hundred workers meet a server that is down.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{statuses: []int{200}}
		p := pipeline(s, policy.RetryOptions{})
		for range 200 { // good times give no more than a full budget
			_, _ = ask(t.Context(), p, "GET", "")
		}
		s.at, s.statuses = nil, []int{503}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _, _ = ask(t.Context(), p, "GET", "") })
		}
		wg.Wait()
		if n := len(s.at); n > 110 {
			t.Errorf("%d attempts for 100 calls", n)
		}
		// What the server schedules is not charged.
		s.mu.Lock()
		s.header, s.at, s.statuses = http.Header{"Retry-After": {"1"}}, nil, []int{429, 200}
		s.mu.Unlock()
		if resp, err := ask(t.Context(), p, "GET", ""); err != nil || resp.StatusCode != 200 {
			t.Error(resp, err)
		}
		// The budget recovers, by time and by calls that go well.
		time.Sleep(time.Minute)
		s.mu.Lock()
		s.header, s.at, s.statuses = nil, nil, []int{503, 200}
		s.mu.Unlock()
		if resp, err := ask(t.Context(), p, "GET", ""); err != nil || resp.StatusCode != 200 {
			t.Error("a minute later:", resp, err)
		}
	})
}

// F72: every wait ends with the context. One that is known to end before the wait does is not waited for: the caller learns why.
func TestRetryEndsWithContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{statuses: []int{429}, header: http.Header{"Retry-After": {"50"}}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		if _, err := ask(ctx, pipeline(s, policy.RetryOptions{}), "GET", ""); !errors.Is(err, context.Canceled) || time.Since(start) != 3*time.Second || len(s.at) != 1 {
			t.Error(err, time.Since(start), len(s.at))
		}
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		start = time.Now()
		if resp, err := ask(ctx, pipeline(s, policy.RetryOptions{}), "GET", ""); err != nil || resp.StatusCode != 429 || time.Since(start) != 0 {
			t.Error(resp, err, time.Since(start))
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.header = nil
		if _, err := ask(ctx, pipeline(s, policy.RetryOptions{RetryDelay: time.Hour}), "GET", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// F60: those who were told to wait for the same time come back within a tenth of it, not all at once.
func TestRetrySpreads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 20 {
			s := &script{statuses: []int{429, 200}, header: http.Header{"Retry-After": {"5"}}}
			if _, err := ask(t.Context(), pipeline(s, policy.RetryOptions{}), "GET", ""); err != nil || len(s.at) != 2 {
				t.Fatal(err, len(s.at))
			}
			wait := s.at[1].Sub(s.at[0])
			waits[wait] = true
			if wait < 5*time.Second || wait > 5500*time.Millisecond {
				t.Error(wait)
			}
		}
		if len(waits) < 10 {
			t.Error(waits)
		}
	})
}

// Errors about who is there, not about how it went, are final at once, as net/http and its dialer wrap them.
func TestRetryPermanentErrors(t *testing.T) {
	t.Parallel()
	lookup := func(found bool) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "reg.azurecr.io", IsNotFound: !found, IsTemporary: found}}
	}
	for name, row := range map[string]struct {
		cause error
		tries int32
	}{
		"no such host":                     {lookup(false), 1},
		"a name server in trouble":         {lookup(true), 5},
		"a certificate that does not hold": {&tls.CertificateVerificationError{Err: errors.New("x")}, 1},
		"an unknown authority":             {x509.UnknownAuthorityError{}, 1},
		"another host's certificate":       {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "reg.azurecr.io"}, 1},
		"an expired certificate":           {x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}, 1},
		"no TLS":                           {http.ErrSchemeMismatch, 1},
		"a refusal":                        {wire.Untrusted(wire.BadRedirect, "x"), 1},
		"a reset":                          {&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				err := error(&url.Error{Op: "Get", URL: "https://reg.azurecr.io/", Err: row.cause})
				failing := transporterFunc(func(*http.Request) (*http.Response, error) { n.Add(1); return nil, err })
				if _, got := ask(t.Context(), pipeline(failing, policy.RetryOptions{}), "GET", ""); !errors.Is(got, err) || n.Load() != row.tries {
					t.Errorf("%v after %d tries, want %d", got, n.Load(), row.tries)
				}
			})
		})
	}
}

func TestRetryTryTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := pipeline(transporterFunc(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
		}), policy.RetryOptions{TryTimeout: time.Second})
		if resp, err := ask(t.Context(), p, "GET", ""); err != nil || resp.StatusCode != 200 || n != 2 {
			t.Error(resp, err, n)
		}
	})
}

// A caller's options for one call are obeyed by our policy, and never by azcore's, which would repeat a chunk.
func TestGuardTakesOverRetryOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := map[string]int{}
		for name, c := range map[string]call.Kind{"GET": call.API, "PATCH": call.Upload} {
			s := &script{statuses: []int{503}}
			ctx := policy.WithRetryOptions(call.WithKind(t.Context(), c), policy.RetryOptions{MaxRetries: 2, RetryDelay: -1})
			if _, err := ask(ctx, pipeline(s, policy.RetryOptions{}), name, "body"); err != nil {
				t.Error(err)
			}
			tries[name] = len(s.at)
		}
		if d := cmp.Diff(map[string]int{"GET": 3, "PATCH": 1}, tries); d != "" {
			t.Error(d)
		}
	})
}

// transporterFunc is a policy.Transporter.
type transporterFunc func(*http.Request) (*http.Response, error)

func (f transporterFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }
