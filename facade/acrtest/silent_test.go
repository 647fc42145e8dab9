package acrtest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A caller whose connection has died without a word asks over another one: he is not kept waiting for the dead one for ever, and
// what had come over it stays.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, acrtest.WithMemoryNetwork())
		location, _ := r.start("r")
		body, line := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), "PATCH", r.s.Endpoint()+location, body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 10
		req.SetBasicAuth(r.s.Admin())
		silent := make(chan int)
		go func() {
			resp, err := r.http.Do(req)
			if err != nil {
				silent <- 0
				return
			}
			_ = resp.Body.Close()
			silent <- resp.StatusCode
		}()
		if _, err := line.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		a := r.want(r.send("GET", location, ""), http.StatusNoContent, "Range", "0-2")
		if took := time.Since(began); took < time.Second || took > 10*time.Second {
			t.Errorf("the status came after %v", took)
		}
		_ = line.CloseWithError(io.ErrUnexpectedEOF)
		if status := <-silent; status != 0 && status != http.StatusBadRequest {
			t.Errorf("the silent request was answered with %d", status)
		}
		location = r.chunk(a.Header.Get("Location"), "defghij")
		r.want(r.complete(location, digest.FromString("abcdefghij"), ""), http.StatusCreated)
		r.http.CloseIdleConnections()
		r.s.Close()
	})
}

// A caller who leaves a request that the script stalls before its body is read is noticed: nothing is left behind.
func TestStallWithABody(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	location, _ := r.start("r")
	r.s.On("UploadChunk").Stall()
	broken, err := http.NewRequestWithContext(t.Context(), "PATCH", r.s.Endpoint()+location, strings.NewReader(strings.Repeat("x", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	broken.SetBasicAuth(r.s.Admin())
	impatient := *r.http
	impatient.Timeout = 50 * time.Millisecond
	if resp, err := impatient.Do(broken); err == nil {
		_ = resp.Body.Close()
		t.Errorf("answered with %d", resp.StatusCode)
	}
	r.want(r.send("GET", location, ""), http.StatusNoContent, "Range", "0-0")
}
