package download_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// bigSize is what TestDownloadBig downloads. Above 2 GiB it shows that no offset has 32 bits.
var bigSize = flag.Int64("download.big", 192<<20, "size of the blob of TestDownloadBig, in bytes")

// pattern is content of any size that takes no memory: each block of it begins with its number.
type pattern struct{}

const patternBlock = 1 << 20

var patternText = bytes.Repeat([]byte("acrkit: a block of the pattern.\n"), patternBlock/32)

// ReadAt implements io.ReaderAt.
func (pattern) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		in := at % patternBlock
		var head [8]byte
		for i := range head {
			head[i] = byte(at / patternBlock >> (8 * i))
		}
		if in < 8 {
			n += copy(p[n:], head[in:])
			continue
		}
		n += copy(p[n:], patternText[in:])
	}
	return n, nil
}

// TestDownloadBig: a large blob over slow connections arrives by ranges, in a process that holds no more than they take.
func TestDownloadBig(t *testing.T) {
	t.Parallel()
	const perConnection = 40 << 20
	r := newRemote(t, 1, acrtest.WithLedgerSize(1000))
	size := *bigSize
	dgst, err := digest.FromReader(io.NewSectionReader(pattern{}, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	storage, err := r.srv.Canary(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(&pacedWriter{w, perConnection, time.Now()}, q, "", time.Time{}, io.NewSectionReader(pattern{}, 0, size))
	}))
	if err != nil {
		t.Fatal(err)
	}
	r.srv.On("GetBlob").Always().Redirect(http.StatusTemporaryRedirect, storage+"/blob")
	r.task.Digest, r.task.Options.Size = dgst, size
	report := runChild(t, &r.task)
	if report.Error != "" || report.Progress.Restarts > 0 {
		t.Fatalf("%+v", report)
	}
	t.Logf("%d MiB, %d MiB of memory at its highest", size>>20, report.Held[0]>>20)
	// Ten ranges of 4 MiB, two more for the order, and what a process takes without them; more under the race detector.
	if most := uint64(96 << 20); report.Held[0] > most && !acrsuite.RaceEnabled {
		t.Errorf("%d bytes of memory at the highest, want at most %d", report.Held[0], most)
	}
	f, err := os.Open(r.task.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := digest.FromReader(f); err != nil || got != dgst {
		t.Errorf("the file has %s: %v", got, err)
	}
	r.srv.Ledger().AtMost(t, 1, "GetBlob")
	r.srv.Ledger().NoCredentialLeaked(t) // by ranges either
}

// pacedWriter is an answer that is sent no faster than so many bytes a second.
type pacedWriter struct {
	http.ResponseWriter

	rate int64
	free time.Time
}

// Write implements io.Writer.
func (w *pacedWriter) Write(p []byte) (int, error) {
	w.free = w.free.Add(time.Duration(len(p)) * time.Second / time.Duration(w.rate))
	if wait := time.Until(w.free); wait > 0 {
		<-time.After(wait)
	}
	return w.ResponseWriter.Write(p)
}

// BenchmarkDownloadFile downloads to a file 1, 10 and 100 times as much. Time grows with it, memory does not.
func BenchmarkDownloadFile(b *testing.B) {
	srv := acrtest.New(b)
	r := acrsuite.NewClientVia(b, srv, srv.HTTPClient()).Repository("bench/blobs")
	for _, size := range []int{4 << 20, 40 << 20, 400 << 20} {
		dgst := seedPattern(b, srv, size)
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "layer")
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.DownloadBlobFile(b.Context(), dgst, path, &acr.DownloadFileOptions{NoSync: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDownloadRanges downloads over connections that carry 20 MiB a second each: the rate grows with their number.
func BenchmarkDownloadRanges(b *testing.B) {
	srv := acrtest.New(b, acrtest.WithBandwidth(20<<20))
	r := acrsuite.NewClientVia(b, srv, srv.HTTPClient()).Repository("bench/blobs")
	const size = 64 << 20
	dgst := seedPattern(b, srv, size)
	for _, n := range []int{1, 2, 4, 8, 16, 32} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "layer")
			b.SetBytes(size)
			for b.Loop() {
				if _, err := r.DownloadBlobFile(b.Context(), dgst, path, &acr.DownloadFileOptions{NoSync: true, Concurrency: n, PartSize: 1 << 20}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGetBlob reads a blob by io.Copy.
func BenchmarkGetBlob(b *testing.B) {
	srv := acrtest.New(b)
	r := acrsuite.NewClientVia(b, srv, srv.HTTPClient()).Repository("bench/blobs")
	for _, size := range []int{64 << 10, 4 << 20, 40 << 20, 400 << 20} {
		dgst := seedPattern(b, srv, size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				blob, err := r.GetBlob(b.Context(), dgst, nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, blob); err != nil {
					b.Fatal(err)
				}
				if err := blob.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// seedPattern puts a blob of a size into the repository of the benchmarks.
func seedPattern(b *testing.B, srv *acrtest.Server, size int) digest.Digest {
	b.Helper()
	content := make([]byte, size)
	_, _ = pattern{}.ReadAt(content, 0) // never fails
	return srv.SeedBlob(b, "bench/blobs", content)
}
