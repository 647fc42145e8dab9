package acrtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A reply that was lost moved the location all the same.
func TestLostReply(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	location, _ := r.start("r")
	r.s.On("UploadChunk").DropReply()
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", r.s.Endpoint()+location, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(r.s.Admin())
	if resp, err := r.http.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatal("the reply came")
	}
	r.refused(r.send("PATCH", location, "abc"), http.StatusNotFound, "BLOB_UPLOAD_INVALID", invalidUpload, "")
}

// A connection that breaks leaves what arrived; the session says how much, and goes on from there.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]acrtest.Option{"memory": nil, "directory": {acrtest.WithDirectory(t.TempDir())}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, opts...)
			location, _ := r.start("r")
			location = r.chunk(location, "abc")
			// The line goes dead once the registry is at it: a request that it has not seen could come behind the next one.
			seen := make(chan struct{})
			r.s.On("UploadChunk").Do(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				req.Body = &firstRead{ReadCloser: req.Body, seen: seen}
				next.ServeHTTP(w, req)
			})
			req, err := http.NewRequestWithContext(t.Context(), "PATCH", r.s.Endpoint()+location,
				io.MultiReader(bytes.NewReader(make([]byte, 100_000)), after{seen}, iotest.ErrReader(errors.New("the line went dead"))))
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = 200_000
			req.SetBasicAuth(r.s.Admin())
			if resp, err := r.http.Do(req); err == nil {
				_ = resp.Body.Close()
				t.Fatal("the connection did not break")
			}
			a := r.want(r.send("GET", location, ""), http.StatusNoContent)
			var last int
			if _, err := fmt.Sscanf(a.Header.Get("Range"), "0-%d", &last); err != nil || last < 2 || last > 100_002 {
				t.Fatalf("Range %q: %v", a.Header.Get("Range"), err)
			}
			whole := "abc" + strings.Repeat("\x00", 200_000)
			location = r.chunk(a.Header.Get("Location"), whole[last+1:])
			r.want(r.complete(location, digest.FromString(whole), ""), http.StatusCreated)
		})
	}
}

// firstRead tells when it is first read.
type firstRead struct {
	io.ReadCloser

	once sync.Once
	seen chan<- struct{}
}

func (f *firstRead) Read(p []byte) (int, error) {
	f.once.Do(func() { close(f.seen) })
	return f.ReadCloser.Read(p)
}

// after is an empty reader that waits.
type after struct{ c <-chan struct{} }

func (a after) Read([]byte) (int, error) {
	<-a.c
	return 0, io.EOF
}

// After a break, the old location goes on only for a chunk that says where it belongs.
func TestBlindChunkAfterBreak(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	for _, blind := range []bool{true, false} {
		location, _ := r.start("r")
		r.s.On("UploadChunk").ResetRequestAfter(3)
		req, err := http.NewRequestWithContext(t.Context(), "PATCH", r.s.Endpoint()+location, strings.NewReader("abcdef"))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(r.s.Admin())
		if resp, err := r.http.Do(req); err == nil {
			_ = resp.Body.Close()
		}
		if blind {
			r.refused(r.send("PATCH", location, "def"), http.StatusNotFound, "BLOB_UPLOAD_INVALID", invalidUpload, "")
			continue
		}
		location = r.chunk(location, "def", "Content-Range", "3-5")
		r.want(r.complete(location, digest.FromString("abcdef"), ""), http.StatusCreated)
	}
}

// A registry that takes in only a part of a chunk says so in Range, and goes on from there.
func TestPartOfAChunk(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	location, _ := r.start("r")
	r.s.On("UploadChunk").Accept(2)
	a := r.want(r.send("PATCH", location, "abcdef", "Content-Range", "0-5"), http.StatusAccepted, "Range", "0-1")
	location = r.chunk(a.Header.Get("Location"), "cdef", "Content-Range", "2-5")
	r.want(r.complete(location, digest.FromString("abcdef"), ""), http.StatusCreated)
}
