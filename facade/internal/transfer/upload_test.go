package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

var (
	cases = flag.Int("cases", 2_500, "random cases of each property test")
	seed  = flag.Uint64("seed", 1, "seed of the property tests")
	only  = flag.Int("case", -1, "the one case of TestUploadProperty to run")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// spool in memory.
type spool struct {
	mu sync.Mutex
	b  []byte
}

func (s *spool) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := int(off) + len(p); n > len(s.b) {
		s.b = append(s.b, make([]byte, n-len(s.b))...)
	}
	return copy(s.b[off:], p), nil
}

func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.NewReader(s.b).ReadAt(p, off)
}

// sources by name: how the content is handed in.
var sourceNames = []string{"file", "known", "trusted", "in place", "stream", "spooled", "slow", "writes"}

func rereadable(how string) bool {
	return how == "file" || how == "known" || how == "trusted" || how == "in place"
}

// run uploads content in the given way.
func run(ctx context.Context, rng *rand.Rand, how string, r *registry, o *transfer.UploadOptions, content []byte) (transfer.Result, error) {
	switch how {
	case "known":
		o.Digest = digest.FromBytes(content)
	case "trusted", "in place":
		o.Digest, o.Trust, o.InPlace = digest.FromBytes(content), true, how == "in place"
	}
	switch how {
	case "file", "known", "trusted", "in place":
		return transfer.Upload(ctx, r, bytes.NewReader(content), int64(len(content)), o)
	}
	var sp transfer.Spool
	if how == "spooled" {
		sp = &spool{}
	}
	w, err := transfer.NewWriter(ctx, r, o, sp)
	if err != nil {
		return transfer.Result{}, err
	}
	defer w.Abort(ctx, false)
	switch how {
	case "stream", "spooled":
		_, err = w.ReadStream(bytes.NewBuffer(content))
	case "slow":
		_, err = w.ReadStream(iotest.OneByteReader(iotest.DataErrReader(bytes.NewReader(content))))
	case "writes":
		for b := content; len(b) > 0 && err == nil; {
			n := min(1+rng.IntN(40), len(b))
			_, err = w.Write(b[:n])
			b = b[n:]
		}
	}
	if err != nil {
		return transfer.Result{}, err
	}
	return w.Commit()
}

// TestUploadProperty: whatever happens, the blob at the registry is the source, or the error is a
// typed one and no session is left.
func TestUploadProperty(t *testing.T) {
	t.Parallel()
	survived, clean := 0, 0
	for i := range *cases {
		if *only >= 0 && i != *only {
			continue
		}
		n := uint64(i)
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*seed, n))
			r := newRegistry()
			r.partial = partial(rng.IntN(3))
			r.noWhole, r.noTail = rng.IntN(3) == 0, rng.IntN(6) == 0
			if rng.IntN(4) == 0 {
				r.maxBody = 8 + rng.Int64N(100)
			}
			if rng.IntN(4) == 0 {
				r.minChunk = rng.Int64N(40)
				if r.maxBody > 0 {
					r.minChunk = min(r.minChunk, r.maxBody)
				}
			}
			hard, ills := false, 0
			for _, m := range []string{"start", "chunk", "status", "commit", "whole", "stat"} {
				for range rng.IntN(4) {
					f := none
					if rng.IntN(2) == 0 {
						f = fault(rng.IntN(int(faults)))
					}
					hard = hard || f == fatal
					if f != none {
						ills++
					}
					r.script[m] = append(r.script[m], f)
				}
			}
			content := randomBytes(rng, rng.IntN(400))
			how := sourceNames[rng.IntN(len(sourceNames))]
			o := r.options()
			o.ChunkSize = 1 + rng.Int64N(120)
			res, err := run(t.Context(), rng, how, r, o, content)
			name := fmt.Sprintf("%s, %d bytes, chunk %d, partial %d, script %v [go test ./facade/internal/transfer -run '^TestUploadProperty$' -args -seed=%d -cases=%d -case=%d]",
				how, len(content), o.ChunkSize, r.partial, r.script, *seed, n+1, n)
			if len(r.sessions) > 0 {
				t.Errorf("%s: %d sessions are left (err %v)", name, len(r.sessions), err)
			}
			if err != nil {
				clean++
				if rereadable(how) && !hard && ills < 5 && // five failures in a row are enough
					!errors.Is(err, transfer.ErrUploadLost) {
					t.Errorf("%s: a source that can be read again should have survived: %v", name, err)
				}
				for _, want := range []error{transfer.ErrUploadLost, errBroken, errNo, transfer.ErrDigestMismatch, transfer.ErrMalformedReply} {
					if errors.Is(err, want) {
						return
					}
				}
				if s := err.Error(); s == "429" || s == "503" || s == "413" {
					return
				}
				t.Errorf("%s: untyped error %v", name, err)
				return
			}
			survived++
			if want := digest.FromBytes(content); res.Digest != want || res.Size != int64(len(content)) {
				t.Errorf("%s: result %v", name, res)
			}
			if !bytes.Equal(r.blobs[res.Digest], content) || len(content) == 0 && r.blobs[res.Digest] == nil {
				if _, ok := r.blobs[res.Digest]; !ok || len(content) > 0 {
					t.Errorf("%s: the blob is not the source", name)
				}
			}
		})
	}
	t.Logf("%d cases: %d survived, %d clean errors", *cases, survived, clean)
}
