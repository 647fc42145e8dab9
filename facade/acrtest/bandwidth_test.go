package acrtest_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A connection carries what its cap allows, within a tenth, however fine the timers of the system are. Where the machine is too busy
// for a cap, it is left out.
//
//nolint:paralleltest // it measures
func TestBandwidthReachesItsCap(t *testing.T) {
	const mib = 1 << 20
	free := newStream(t)
	for _, limit := range []int64{50 * mib, 150 * mib, 500 * mib} {
		capped := newStream(t, acrtest.WithBandwidth(limit))
		size := limit / 4 // a quarter of a second
		for _, method := range []string{http.MethodPut, http.MethodGet} {
			share, measured := 0.0, 0
			for range 12 {
				if free.rate(method, size/8) < float64(limit) {
					continue // the cap is beyond this machine, or beyond it under the race detector
				}
				before := free.rate(method, size)
				share = capped.rate(method, size) / float64(limit)
				if min(before, free.rate(method, size)) < 1.5*float64(limit) {
					continue // somebody else has the machine
				}
				if measured++; share > 0.9 && share < 1.1 || measured == 6 {
					break
				}
			}
			t.Logf("%s at %d MiB/s: %.2f of it, measured %d times", method, limit/mib, share, measured)
			if measured == 6 && (share < 0.9 || share > 1.1) { // never within a tenth: no other program is so busy so often
				t.Errorf("%s at %d MiB/s: %.2f of it", method, limit/mib, share)
			}
		}
	}
}

// stream is a server of the emulator that takes and gives bytes, and nothing else.
type stream struct {
	t    *testing.T
	http *http.Client
	url  string
}

func newStream(t *testing.T, opts ...acrtest.Option) stream {
	t.Helper()
	s := acrtest.New(t, opts...)
	url, err := s.Canary(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		n, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		_, _ = io.Copy(w, io.LimitReader(zeros{}, n))
	}))
	if err != nil {
		t.Fatal(err)
	}
	return stream{t, s.HTTPClient(), url}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// rate gives the bytes per second of one transfer over one connection.
func (s stream) rate(method string, size int64) float64 {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/?n="+strconv.FormatInt(size, 10), http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPut {
		req.Body, req.ContentLength = io.NopCloser(io.LimitReader(zeros{}, size)), size
	}
	began := time.Now()
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return float64(size) / time.Since(began).Seconds()
}
