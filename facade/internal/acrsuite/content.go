package acrsuite

import (
	"bytes"
	"crypto/rand"
	"io"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// GoodDigest is a good argument, for the rest of a call.
var GoodDigest = digest.FromString("x")

// ImageManifest is a manifest of an image whose blobs the registry need not have.
const ImageManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`

// Content is n random bytes.
func Content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// Download reads a blob back.
func Download(t testing.TB, r *acr.Repository, dgst digest.Digest) []byte {
	t.Helper()
	b, err := r.GetBlob(t.Context(), dgst, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got := bytes.NewBuffer(make([]byte, 0, b.Descriptor().Size+bytes.MinRead)) // to grow is slow under the race detector
	if _, err := got.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	return got.Bytes()
}

// SeekReader hides io.ReaderAt.
type SeekReader struct{ io.ReadSeeker }

// Memory is an io.WriterAt.
type Memory struct{ B []byte }

// WriteAt implements io.WriterAt.
func (m *Memory) WriteAt(p []byte, off int64) (int, error) { return copy(m.B[off:], p), nil }

// closable notes that it was closed, which nobody but its owner may.
type closable struct {
	io.Reader
	closed *atomic.Bool
}

func (c *closable) Close() error { c.closed.Store(true); return nil }

// ClosableSeeker is an io.ReadSeeker that notes that it was closed.
type ClosableSeeker struct {
	io.Seeker
	closable
}

// ClosableAt is an io.ReaderAt and io.ReadSeeker that notes that it was closed.
type ClosableAt struct {
	*bytes.Reader
	closable
}

func (c *ClosableAt) Read(p []byte) (int, error) { return c.Reader.Read(p) }
