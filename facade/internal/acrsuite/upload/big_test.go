package upload_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

var bigUpload = flag.Int64("upload.big", 0, "MiB of the sparse source of TestUploadBig; 0 leaves it out")

// TestUploadBig uploads a sparse file, and the same as a stream, from a process of its own. Its memory must stay under 64 MiB, a third of
// which the bare test program has; under the race detector it is more.
func TestUploadBig(t *testing.T) { //nolint:paralleltest // it measures memory
	if *bigUpload == 0 {
		t.Skip("takes long: -upload.big=6144 uploads 6 GiB")
	}
	const most = 64 << 10 // KiB
	size := *bigUpload<<20 + 77
	source := filepath.Join(t.TempDir(), "sparse")
	f, err := os.Create(source)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, asStream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream %v", asStream), func(t *testing.T) {
			srv := acrsuite.NewServer(t)
			registry := hashing(srv)
			o := order(srv, source)
			o.Stream = asStream
			began := time.Now()
			r := o.start(t).finish()
			took := time.Since(began)
			if r.Size != size || registry.size != size || string(r.Digest) != registry.stored || r.Digest == "" {
				t.Errorf("%s of %d bytes, the registry has %s of %d", r.Digest, r.Size, registry.stored, registry.size)
			}
			if r.Peak > most && !acrsuite.RaceEnabled {
				t.Errorf("%d KiB of memory at most, want %d", r.Peak, most)
			}
			fmt.Printf("upload: %d MiB, stream %v: %.1f s, %d requests, memory at most %.1f MiB (%.1f MiB before the upload)\n",
				size>>20, asStream, took.Seconds(), srv.Ledger().Count(), float64(r.Peak)/1024, float64(r.Before)/1024)
		})
	}
}

// hasher is a registry that keeps of a blob its digest alone.
type hasher struct {
	mu     sync.Mutex
	hash   hash.Hash
	size   int64
	stored string
	buf    []byte
}

// hashing makes the registry hash what is uploaded, one blob at a time, in place of keeping it.
func hashing(srv *acrtest.Server) *hasher {
	h := &hasher{hash: sha256.New(), buf: make([]byte, 1<<20)}
	srv.On("UploadChunk", "CompleteUpload").Always().Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		h.mu.Lock()
		defer h.mu.Unlock()
		n, err := io.CopyBuffer(h.hash, struct{ io.Reader }{r.Body}, h.buf)
		h.size += n
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodPatch {
			w.Header().Set("Location", r.URL.RequestURI())
			w.Header().Set("Range", "0-"+strconv.FormatInt(h.size-1, 10))
			w.WriteHeader(http.StatusAccepted)
			return
		}
		h.stored = digest.NewDigest(digest.SHA256, h.hash).String()
		if want := r.URL.Query().Get("digest"); want != h.stored {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Docker-Content-Digest", h.stored)
		w.WriteHeader(http.StatusCreated)
	})
	return h
}
