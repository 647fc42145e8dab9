package transport_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

func TestBodyReadsItsSection(t *testing.T) {
	t.Parallel()
	b := transport.NewBody(bytes.NewReader([]byte("0123456789")), 2, 5)
	if err := iotest.TestReader(b, []byte("23456")); err != nil {
		t.Error(err)
	}
	if _, err := b.Seek(-1, io.SeekStart); err == nil {
		t.Error("a negative position")
	}
	if got, err := io.ReadAll(transport.Fork(b)); err != nil || string(got) != "23456" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBodyOfShortSource(t *testing.T) {
	t.Parallel()
	b := transport.NewBody(bytes.NewReader([]byte("012")), 0, 5)
	if got, err := io.ReadAll(transport.Fork(b)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v: a source cut short must not look complete", got, err)
	}
}

// slowSource blocks its reads until told.
type slowSource struct{ entered, leave chan struct{} }

func (s slowSource) ReadAt(p []byte, _ int64) (int, error) {
	close(s.entered)
	<-s.leave
	return len(p), nil
}

// F29: a buffer may be used again once every attempt's body is closed and no read of it is on its way.
func TestBodyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := slowSource{make(chan struct{}), make(chan struct{})}
		b := transport.NewBody(src, 0, 4)
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal("nothing is under way:", err)
		}
		first, second := transport.Fork(b), transport.Fork(b)
		go func() { _, _ = first.Read(make([]byte, 4)) }()
		<-src.entered
		_ = first.Close() // does not wait for the read
		_ = second.Close()
		_ = second.Close()
		done := make(chan error, 1)
		go func() { done <- b.Wait(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatal("let go while a read is on its way:", err)
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		close(src.leave)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := first.Read(make([]byte, 1)); err == nil {
			t.Fatal("a closed body was read")
		}
	})
}

// F73: a fork that net/http has asked for and lost is not waited for; should it turn up after all, it cannot be read.
func TestBodyWaitForLostFork(t *testing.T) {
	t.Parallel()
	b := transport.NewBody(bytes.NewReader([]byte("0123")), 0, 4)
	lost := transport.Fork(b)
	if err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := lost.Read(make([]byte, 4)); n != 0 || err == nil {
		t.Errorf("%d bytes were read after the memory was given back", n)
	}
	if got, err := io.ReadAll(transport.Fork(b)); err != nil || string(got) != "0123" {
		t.Errorf("%q, %v", got, err)
	}
}

// A server that refuses before it has read the body leaves the old attempt's write loop running while the next one starts. With a shared seeker a part of such
// uploads arrives torn; see "early 401" in the doc of Body.
func TestBodyEarlyRefusal(t *testing.T) {
	t.Parallel()
	for version, http2 := range map[int]bool{1: false, 2: true} {
		t.Run("HTTP/"+strconv.Itoa(version), func(t *testing.T) {
			t.Parallel()
			refuseEarly(t, version, http2)
		})
	}
}

func refuseEarly(t *testing.T, version int, http2 bool) {
	t.Helper()
	content := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	want := sha256.Sum256(content)
	var torn, whole atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h := sha256.New()
		if _, err := io.Copy(h, r.Body); err != nil || [32]byte(h.Sum(nil)) != want {
			torn.Add(1)
			return
		}
		whole.Add(1)
	}))
	server.EnableHTTP2 = http2
	server.StartTLS()
	defer server.Close()
	tr := transport.New(parse(t, server.URL), server.Client(), nil)
	defer tr.CloseIdleConnections()
	p := runtime.NewPipeline("test", "v0", runtime.PipelineOptions{PerCall: []policy.Policy{retry.NewGuard()}, PerRetry: []policy.Policy{
		retry.New(policy.RetryOptions{}, retry.NewBudget(), nil), answer401{},
	}}, &policy.ClientOptions{Transport: tr, Retry: policy.RetryOptions{MaxRetries: -1}})
	runs := int32(40)
	if http2 {
		runs = 15
	}
	for range runs {
		body := transport.NewBody(bytes.NewReader(content), 0, int64(len(content)))
		r, err := http.NewRequestWithContext(call.WithKind(t.Context(), call.Upload), http.MethodPatch, server.URL+"/v2/a/blobs/uploads/u", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/octet-stream")
		req, err := runtime.NewRequestFromRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		wire.Drain(resp)
		if resp.ProtoMajor != version {
			t.Fatal(resp.Proto)
		}
		if err := body.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if torn.Load() != 0 || whole.Load() != runs {
		t.Errorf("%d torn, %d whole of %d", torn.Load(), whole.Load(), runs)
	}
}

// A body that we cannot fork goes out once: what repeats it would rewind the one that is being sent.
func TestForeignBodyIsNotRepeated(t *testing.T) {
	t.Parallel()
	tr := transport.New(parse(t, regURL), transporterFunc(func(r *http.Request) (*http.Response, error) {
		if r.GetBody != nil {
			t.Error("the transport may ask for the body again")
		}
		return &http.Response{StatusCode: 202}, nil
	}), nil)
	req := request(t, call.Upload, http.MethodPatch, regURL, nil)
	shared := io.NopCloser(bytes.NewReader([]byte("content")))
	req.Body, req.GetBody = shared, func() (io.ReadCloser, error) { return shared, nil }
	resp, err := tr.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	wire.Drain(resp)
}

// answer401 sends once without and once with an Authorization.
type answer401 struct{}

func (answer401) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	wire.Drain(resp)
	if err := req.RewindBody(); err != nil {
		return nil, err
	}
	req.Raw().Header.Set("Authorization", "Bearer x")
	return req.Next()
}

// TestBodyOfRefusedRedirect: net/http forks the body of a redirected request before it asks whether to follow; the fork must not keep the
// owner of the bytes waiting.
func TestBodyOfRefusedRedirect(t *testing.T) {
	t.Parallel()
	s, rec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	tr := transportOf(t, s, nil)
	body := transport.NewBody(bytes.NewReader([]byte("content")), 0, 7)
	req := request(t, call.Upload, http.MethodPatch, s.URL+"/v2/a/blobs/uploads/1", nil)
	req.Body, req.ContentLength = body, 7
	if _, err := tr.Do(req); !wire.IsUntrusted(err, wire.BadRedirect) { //nolint:bodyclose // there is no response
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := body.Wait(ctx); err != nil {
		t.Error(err)
	}
	if n := len(rec.requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}
