package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

const regURL = "https://reg.azurecr.io/v2/"

// silent is a body from which nothing comes until the request's context ends.
type silent struct{ ctx context.Context }

func (s silent) Read([]byte) (int, error) { <-s.ctx.Done(); return 0, s.ctx.Err() }
func (silent) Close() error               { return nil }

// stallAfter answers with a status and one byte, then says no more.
func stallAfter(status int) transporterFunc {
	return func(r *http.Request) (*http.Response, error) {
		body := struct {
			io.Reader
			io.Closer
		}{io.MultiReader(strings.NewReader("x"), silent{r.Context()}), io.NopCloser(nil)}
		return &http.Response{StatusCode: status, Header: http.Header{"Location": {"/x"}}, Body: body}, nil
	}
}

// A33: a reply that stalls in the middle ends by itself, what is left unread of a refusal soon.
func TestStalledReply(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		call   call.Kind
		status int
		want   time.Duration
	}{
		{"list", call.API, 200, 30 * time.Second},
		{"token", call.Token, 200, 30 * time.Second},
		{"refusal", call.API, 503, 10 * time.Second},
		{"refusal of a blob", call.Blob, 503, 10 * time.Second},
		{"redirect of a blob", call.Blob, 307, time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := transport.New(parse(t, regURL), stallAfter(row.status), nil)
				start := time.Now()
				resp, err := tr.Do(request(t, row.call, http.MethodGet, regURL, nil))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				if took := time.Since(start); !errors.Is(err, wait.ErrStalled) || string(b) != "x" || took != row.want {
					t.Errorf("%q, %v after %v, want %v", b, err, took, row.want)
				}
				var ne net.Error
				if !errors.As(err, &ne) || !ne.Timeout() {
					t.Error("not a timeout:", err)
				}
				_ = resp.Body.Close()
				wire.Drain(resp)
			})
		})
	}
	t.Run("a slow reader is not a stalled reply", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			tr := transport.New(parse(t, regURL), transporterFunc(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("xyz"))}, nil
			}), nil)
			resp, err := tr.Do(request(t, call.API, http.MethodGet, regURL, nil))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour)
			}
			_ = resp.Body.Close()
		})
	})
}

// A reply that drips is not waited for before the next try.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		wire.Drain(&http.Response{Body: io.NopCloser(dripping{})})
		if took := time.Since(start); took > 2*time.Second {
			t.Error(took)
		}
	})
}

// dripping gives a byte a second, without end.
type dripping struct{}

func (dripping) Read(p []byte) (int, error) { time.Sleep(time.Second); return copy(p, "x"), nil }

// The Timeout of the caller's client holds for all of an exchange.
func TestClientTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, do := range map[string]transporterFunc{
			"header": func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
			"body":   stallAfter(200),
		} {
			tr := transport.New(parse(t, regURL), &http.Client{Transport: roundTripper(do), Timeout: 3 * time.Second}, nil)
			start := time.Now()
			resp, err := tr.Do(request(t, call.API, http.MethodGet, regURL, nil))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			var ne net.Error
			if !errors.As(err, &ne) || !ne.Timeout() || time.Since(start) != 3*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A transport that neither reads nor closes a body, as stand-ins in tests do, does not keep the owner of the bytes waiting.
func TestTransportThatForgetsBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, fails := range []bool{false, true} {
			tr := transport.New(parse(t, regURL), transporterFunc(func(r *http.Request) (*http.Response, error) {
				if again, err := r.GetBody(); err != nil || again == nil {
					t.Error(err)
				}
				if fails {
					return nil, errors.New("no network")
				}
				return &http.Response{StatusCode: 202}, nil
			}), nil)
			body := transport.NewBody(bytes.NewReader([]byte("content")), 0, 7)
			req := request(t, call.Upload, http.MethodPatch, regURL, nil)
			req.Body = body
			if resp, err := tr.Do(req); err == nil {
				_ = resp.Body.Close()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := body.Wait(ctx); err != nil {
				t.Errorf("fails: %v: %v", fails, err)
			}
			cancel()
		}
	})
}

// The wait for headers begins anew when the transport sends the body once more.
func TestHeaderTimeoutOfResentBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := transport.New(parse(t, regURL), transporterFunc(func(r *http.Request) (*http.Response, error) {
			_ = r.Body.Close()
			time.Sleep(50 * time.Second)
			again, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			time.Sleep(9*time.Minute + 50*time.Second)
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			_ = again.Close()
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), nil)
		start := time.Now()
		_, err := tr.Do(request(t, call.Upload, http.MethodPatch, regURL, []byte("x")))
		if want := 20*time.Minute + 40*time.Second; !errors.Is(err, transport.ErrHeaderTimeout) || time.Since(start) != want {
			t.Errorf("%v after %v, want %v", err, time.Since(start), want)
		}
	})
}

// errorTree is the text of an error and of all that errors.As finds in it, in two forms.
func errorTree(err error) string {
	if err == nil {
		return ""
	}
	text := fmt.Sprintf("%v %#v\n", err, err)
	switch e := err.(type) { //nolint:errorlint // the tree itself is walked
	case interface{ Unwrap() error }:
		text += errorTree(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			text += errorTree(err)
		}
	}
	return text
}

// A55: a redirect that cannot be read is refused without a word of its signature, at any depth of the error.
func TestUnreadableRedirect(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"https://a.blob.core.windows.net/%zz?sig=canary", "https://[::1?sig=canary", "https://a b/?sig=canary", "/x\x7f?sig=canary"} {
		home, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		tr := transportOf(t, home, nil)
		for _, call := range []call.Kind{call.API, call.Blob, call.Token} {
			resp, err := tr.Do(request(t, call, http.MethodGet, home.URL, nil))
			if err == nil {
				_, err = tr.BlobLink(resp)
			}
			// The last one is refused by net/http.
			if !wire.IsUntrusted(err, wire.BadRedirect) && location[0] != '/' || err == nil || strings.Contains(errorTree(err), "canary") {
				t.Errorf("%s, %q: %s", call, location, errorTree(err))
			}
		}
	}
}

// A55: a caller's transport may wrap errors of net/http; no URL within shows its query.
func TestWrappedTransportErrors(t *testing.T) {
	t.Parallel()
	inner := &url.Error{Op: "Get", URL: "https://a.invalid/?sig=canary", Err: &url.Error{Op: "Get", URL: "https://b.invalid/?sig=canary", Err: context.DeadlineExceeded}}
	for _, cause := range []error{inner, fmt.Errorf("tracing: %w", inner), fmt.Errorf("GET https://c.invalid/?sig=canary: %w", context.DeadlineExceeded)} {
		tr := transport.New(parse(t, regURL), transporterFunc(func(*http.Request) (*http.Response, error) { return nil, cause }), nil)
		_, err := tr.Do(request(t, call.API, http.MethodGet, regURL, nil))
		var ue *url.Error
		if !errors.As(err, &ue) || !ue.Timeout() || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "canary") {
			t.Error(err)
		}
		if ue, ok := errors.AsType[*url.Error](errors.Unwrap(err)); ok {
			t.Error("another one within:", ue)
		}
	}
}

// Blobs that the registry sends itself may be held open in any number: calls that come later find a connection.
func TestOpenBlobsHoldNothingUp(t *testing.T) {
	t.Parallel()
	home := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/blob" {
			<-r.Context().Done()
		}
	}))
	defer home.Close()
	tr := transport.New(parse(t, home.URL), nil, nil)
	defer tr.CloseIdleConnections()
	transport.TrustForTest(tr, home.Client())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 120 { // more than there are connections to the registry
		req := request(t, call.Blob, http.MethodGet, home.URL+"/blob", nil)
		resp, err := tr.Do(req.WithContext(call.WithKind(ctx, call.Blob)))
		if err != nil {
			t.Fatalf("blob %d: %v", i, err)
		}
		defer func() { _ = resp.Body.Close() }()
	}
	resp, err := tr.Do(request(t, call.API, http.MethodGet, home.URL, nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}
