package transport_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wait"
)

// drip gives one byte each time, after a pause.
type drip struct{ every time.Duration }

func (d drip) Read(p []byte) (int, error) { time.Sleep(d.every); return copy(p, "x"), nil }

// steady gives n bytes each time, after a pause, until it has given size.
type steady struct {
	n, size int
	every   time.Duration
}

func (s *steady) Read(p []byte) (int, error) {
	if s.size <= 0 {
		return 0, io.EOF
	}
	time.Sleep(s.every)
	n := min(s.n, len(p), s.size)
	s.size -= n
	return n, nil
}

// A body that never pauses for long, and brings next to nothing, ends.
func TestDrippingReply(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		kind   call.Kind
		status int
		body   io.Reader
		err    error
		most   time.Duration
	}{
		{"a byte every 29 seconds", call.API, 200, drip{29 * time.Second}, wait.ErrStalled, 90 * time.Second},
		{"a byte every second", call.Token, 200, drip{time.Second}, wait.ErrStalled, 61 * time.Second},
		{"an error with a byte every 9 seconds", call.API, 500, drip{9 * time.Second}, wait.ErrStalled, 70 * time.Second},
		{"an error of a blob", call.Blob, 404, drip{9 * time.Second}, wait.ErrStalled, 70 * time.Second},
		{"fast, then drips", call.API, 200, io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), drip{time.Second}), wait.ErrStalled, 122 * time.Second},
		{"4 MiB at 4 KiB a second", call.API, 200, &steady{4 << 10, 4 << 20, time.Second}, nil, 1040 * time.Second},
		{"small and slow", call.API, 200, &steady{1, 20, 2 * time.Second}, nil, 40 * time.Second},
		{"a blob, which transfer watches", call.Blob, 200, &steady{1, 600, 2 * time.Second}, nil, 1200 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := transport.New(parse(t, regURL), transporterFunc(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: row.status, Body: io.NopCloser(row.body)}, nil
				}), nil)
				start := time.Now()
				resp, err := tr.Do(request(t, row.kind, http.MethodGet, regURL, nil))
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if took := time.Since(start); !errors.Is(err, row.err) || took > row.most {
					t.Errorf("%v after %v, want %v within %v", err, took, row.err, row.most)
				}
			})
		})
	}
}

// A connection that takes no byte of a body ends the request, whatever the operation; a source that takes its time does
// not.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		kind   call.Kind
		method string
	}{{call.API, http.MethodPut}, {call.Upload, http.MethodPatch}, {call.Token, http.MethodPost}} {
		t.Run(row.kind.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stuck := transporterFunc(func(r *http.Request) (*http.Response, error) {
					for range 3 { // takes three bytes, a minute apart, and then no more
						time.Sleep(time.Minute)
						if _, err := r.Body.Read(make([]byte, 1)); err != nil {
							return nil, err
						}
					}
					<-r.Context().Done()
					return nil, r.Context().Err()
				})
				tr := transport.New(parse(t, regURL), stuck, &transport.Options{Timeouts: transport.Timeouts{Token: time.Hour}})
				start := time.Now()
				_, err := tr.Do(request(t, row.kind, row.method, regURL, make([]byte, 1000))) //nolint:bodyclose // there is none
				if took := time.Since(start); !errors.Is(err, wait.ErrStalled) || errors.Is(err, transport.ErrHeaderTimeout) || took != 5*time.Minute {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
	t.Run("a slow source", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			tr := transport.New(parse(t, regURL), transporterFunc(func(r *http.Request) (*http.Response, error) {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return nil, err
				}
				_ = r.Body.Close()
				return &http.Response{StatusCode: http.StatusAccepted}, nil
			}), nil)
			body := transport.NewBody(sleepy{time.Hour}, 0, 3)
			r, err := http.NewRequestWithContext(call.WithKind(t.Context(), call.Upload), http.MethodPatch, regURL, body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := tr.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		})
	})
}

// sleepy is a source that takes its time for each byte.
type sleepy struct{ pause time.Duration }

func (s sleepy) ReadAt(p []byte, _ int64) (int, error) {
	time.Sleep(s.pause)
	return len(p), nil
}
