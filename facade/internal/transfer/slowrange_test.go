package transfer_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// TestSlowRange: a range that everything else waits for is asked for anew over another connection,
// the last one as well as the first.
func TestSlowRange(t *testing.T) {
	t.Parallel()
	for _, slowAt := range []int{3, 20, 38, 39, 40} { // of 40 answers: the stream's and those of 39 ranges
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := &storage{content: randomBytes(rng, 4000), rng: rng, rate: time.Millisecond, slowAt: slowAt}
			if took := slowDownload(t, s, s); took > 10*time.Second || s.opens != 41 {
				t.Errorf("answer %d is slow: took %s and %d requests", slowAt, took, s.opens)
			}
		})
	}
}

// TestSlowAnswer: so is one whose answer does not begin. That this was given up is no reason to
// give up the download.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	for _, at := range []int64{100, 2000, 3900} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := &storage{content: randomBytes(rng, 4000), rng: rng, rate: time.Millisecond}
			var asked atomic.Bool
			b := &opened{storage: s, open: func(ctx context.Context, off int64) error {
				if off != at || !asked.CompareAndSwap(false, true) {
					return nil
				}
				<-ctx.Done()
				return &transfer.Fault{Kind: transfer.Final, Err: ctx.Err()} // as of a registry that was asked again and again
			}}
			if took := slowDownload(t, s, b); took > 10*time.Second {
				t.Errorf("no answer at %d: took %s", at, took)
			}
		})
	}
}

// slowDownload downloads 4000 bytes in ranges of 100, four at a time.
func slowDownload(t *testing.T, s *storage, b transfer.Blob) time.Duration {
	t.Helper()
	began := time.Now()
	dst := &buffer{}
	o := &transfer.DownloadOptions{Digest: digest.FromBytes(s.content), Size: 4000, Workers: 4, Part: 100, Meter: &transfer.Meter{}}
	if _, err := transfer.Download(t.Context(), b, transfer.NewPlain(dst), o); err != nil || !bytes.Equal(dst.b, s.content) {
		t.Errorf("%d bytes, %v", len(dst.b), err)
	}
	return time.Since(began)
}
