package acrtest_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

const (
	benchBlob  = 256 << 20
	benchChunk = 16 << 20
)

// BenchmarkUpload sends a blob in chunks to the emulator, and the same chunks to a handler that does nothing but hash them.
func BenchmarkUpload(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789abcdef"), benchBlob/16)
	d := digest.FromBytes(content)
	b.Run("bare", func(b *testing.B) {
		bare := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.CopyBuffer(struct{ io.Writer }{sha256.New()}, r.Body, make([]byte, 256<<10)); err != nil {
				b.Error(err)
			}
			w.WriteHeader(http.StatusAccepted)
		}))
		defer bare.Close()
		b.SetBytes(benchBlob)
		for b.Loop() {
			for off := 0; off < benchBlob; off += benchChunk {
				resp, err := bare.Client().Post(bare.URL, "application/octet-stream", bytes.NewReader(content[off:off+benchChunk]))
				if err != nil {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
			}
		}
	})
	for name, opts := range map[string][]acrtest.Option{"memory": nil, "directory": {acrtest.WithDirectory(b.TempDir())}} {
		b.Run(name, func(b *testing.B) {
			r := newRegistry(b, opts...)
			b.SetBytes(benchBlob)
			for b.Loop() {
				location, _ := r.start("r")
				for off := 0; off < benchBlob; off += benchChunk {
					location = r.chunkBytes(location, content[off:off+benchChunk])
				}
				r.want(r.complete(location, d, ""), http.StatusCreated)
				r.want(r.send("DELETE", "/v2/r/blobs/"+d.String(), ""), http.StatusAccepted)
			}
		})
	}
}

func (r *registry) chunkBytes(location string, chunk []byte) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), "PATCH", r.s.Endpoint()+location, bytes.NewReader(chunk))
	if err != nil {
		r.t.Fatal(err)
	}
	req.SetBasicAuth(r.s.Admin())
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		r.t.Fatal(resp.Status)
	}
	return resp.Header.Get("Location")
}

// BenchmarkLists seeds a repository and reads its lists in pages of a thousand.
func BenchmarkLists(b *testing.B) {
	b.Run("seed 100000 tags", func(b *testing.B) {
		for b.Loop() {
			newRegistry(b).s.SeedTags(b, "r", 100_000)
		}
	})
	b.Run("seed 50000 manifests", func(b *testing.B) {
		for b.Loop() {
			newRegistry(b).s.SeedManifests(b, "r", 50_000)
		}
	})
	r := newRegistry(b)
	r.s.SeedTags(b, "r", 100_000)
	r.s.SeedManifests(b, "r", 50_000)
	for name, path := range map[string]string{
		"list 100000 tags": "/acr/v1/r/_tags?n=1000", "list 100000 tags by time": "/acr/v1/r/_tags?n=1000&orderby=timedesc",
		"list 50001 manifests": "/acr/v1/r/_manifests?n=1000",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for next := path; next != ""; {
					a := r.send("GET", next, "")
					next, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
				}
			}
		})
	}
}

// BenchmarkUploadAgainstBare sends the same chunks in turn to a handler that only hashes them and to the emulator, and gives both
// rates and their ratio, which is not to fall below a half.
func BenchmarkUploadAgainstBare(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789abcdef"), benchBlob/16)
	d := digest.FromBytes(content)
	bare := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.CopyBuffer(struct{ io.Writer }{sha256.New()}, r.Body, make([]byte, 256<<10)); err != nil {
			b.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer bare.Close()
	r := newRegistry(b)
	var bareTime, ownTime time.Duration
	for b.Loop() {
		began := time.Now()
		for off := 0; off < benchBlob; off += benchChunk {
			resp, err := bare.Client().Post(bare.URL, "application/octet-stream", bytes.NewReader(content[off:off+benchChunk]))
			if err != nil {
				b.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		half := time.Now()
		location, _ := r.start("r")
		for off := 0; off < benchBlob; off += benchChunk {
			location = r.chunkBytes(location, content[off:off+benchChunk])
		}
		r.want(r.complete(location, d, ""), http.StatusCreated)
		bareTime += half.Sub(began)
		ownTime += time.Since(half)
		r.want(r.send("DELETE", "/v2/r/blobs/"+d.String(), ""), http.StatusAccepted)
	}
	sent := float64(b.N) * benchBlob / 1e6
	b.ReportMetric(sent/bareTime.Seconds(), "bare-MB/s")
	b.ReportMetric(sent/ownTime.Seconds(), "emulator-MB/s")
	b.ReportMetric(bareTime.Seconds()/ownTime.Seconds(), "of-bare")
	b.ReportMetric(0, "ns/op")
}
