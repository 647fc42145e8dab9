package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// refusing is a session that refuses every digest of its first uploads, and notes the sizes of the
// chunks that commits carry.
type refusing struct {
	*registry
	refusals int
	tails    []int64
}

func (r *refusing) Commit(ctx context.Context, location string, dgst digest.Digest, c transfer.Chunk) error {
	r.tails = append(r.tails, c.Size)
	if r.refusals > 0 {
		r.refusals--
		return &transfer.Fault{Kind: transfer.BadDigest, Err: errors.New("DIGEST_INVALID")}
	}
	return r.registry.Commit(ctx, location, dgst, c)
}

// A registry that refuses a digest is suspected of ignoring the body of a commit. If it refuses the
// digest without a body too, the suspicion was wrong, and is taken back: the next upload sends its tail
// with the commit again.
func TestSuspicionTakenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &refusing{registry: newRegistry(), refusals: 2}
		o := r.options()
		o.ChunkSize = 100
		content := make([]byte, 250)
		if _, err := transfer.Upload(t.Context(), r, bytes.NewReader(content), 250, o); !errors.Is(err, transfer.ErrDigestMismatch) {
			t.Fatal(err)
		}
		if _, err := transfer.Upload(t.Context(), r, bytes.NewReader(content), 250, o); err != nil {
			t.Fatal(err)
		}
		if want := []int64{50, 0, 50}; len(r.tails) != 3 || r.tails[0] != want[0] || r.tails[1] != want[1] || r.tails[2] != want[2] {
			t.Errorf("the commits carried %v bytes, want %v", r.tails, want)
		}
	})
}
