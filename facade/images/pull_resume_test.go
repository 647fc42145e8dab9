package images_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/images"
)

// A blob that was half pulled is continued: what is on disk is not asked for again.
func TestPullContinuesBlobs(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	const size = 24 << 20
	image := s.image("amd64", strings.Repeat("0123456789abcdef", size/16))
	s.name(image, "v1")
	srv, client := newRegistry(t)
	r := client.Repository("team/app")
	ctx := t.Context()
	if _, err := images.Push(ctx, s.dir(), "v1", r, "v1", nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	layer := describe(strings.Repeat("0123456789abcdef", size/16)).Digest.Encoded()
	srv.On("GetBlobContent").Path(layer).ResetAfter(8 << 20)
	srv.On("GetBlobContent").Path(layer).From(2).Status(403)
	if _, err := images.Pull(ctx, r, "v1", dir, nil); err == nil {
		t.Fatal("the pull succeeded without its blob")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", ".*.partial")); err != nil || len(left) == 0 {
		t.Fatalf("nothing was kept: %v", err)
	}
	srv.ClearFaults()
	srv.Ledger().Reset()
	if _, err := images.Pull(ctx, r, "v1", dir, nil); err != nil {
		t.Fatal(err)
	}
	var again int64
	for _, request := range srv.Ledger().Requests("GetBlobContent") {
		again += request.BytesOut
	}
	if again >= size {
		t.Errorf("%d bytes were asked for again, of %d", again, size)
	}
	s.holds(dir, image)
	noTemporaryFiles(t, dir)
}
