package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/wait"
)

// TestDownloadProperty: whatever happens, what a download calls good is the blob, and no answer is
// left open.
func TestDownloadProperty(t *testing.T) {
	t.Parallel()
	survived, clean := 0, 0
	for i := range *cases {
		n := uint64(i)
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*seed, n))
			s := &storage{content: randomBytes(rng, rng.IntN(3000)), rng: rng}
			hard := false
			for range rng.IntN(8) {
				f := fine
				if rng.IntN(2) == 0 {
					f = trouble(rng.IntN(int(troubles)))
				}
				hard = hard || f == denied || f == otherSize || f == flips
				s.script = append(s.script, f)
			}
			if rng.IntN(8) == 0 {
				s.steady = ignores
			}
			if rng.IntN(2) == 0 {
				s.rate = time.Duration(rng.IntN(50)) * time.Millisecond
			}
			how := []string{"parallel", "single", "read", "writeto"}[rng.IntN(4)]
			size := transfer.Unknown
			if rng.IntN(2) == 0 {
				size = int64(len(s.content))
			}
			got, err := fetch(t, rng, how, s, size)
			name := fmt.Sprintf("seed %d case %d: %s, %d of %d bytes, script %v then %v", *seed, n, how, size, len(s.content), s.script, s.steady)
			if s.live != 0 {
				t.Errorf("%s: %d answers are left open (err %v)", name, s.live, err)
			}
			if err != nil {
				clean++
				for _, want := range []error{errBroken, errNo, transfer.ErrDigestMismatch, transfer.ErrSizeMismatch, wait.ErrStalled, transfer.ErrMalformedReply, io.ErrUnexpectedEOF} {
					if errors.Is(err, want) {
						if !hard && len(s.script) < 4 {
							t.Errorf("%s: should have survived: %v", name, err)
						}
						return
					}
				}
				if err.Error() != "429" {
					t.Errorf("%s: untyped error %v", name, err)
				}
				return
			}
			survived++
			if !bytes.Equal(got, s.content) {
				t.Errorf("%s: wrong bytes were called good", name)
			}
		})
	}
	t.Logf("%d cases: %d survived, %d clean errors", *cases, survived, clean)
}

// fetch downloads s in the given way.
func fetch(t *testing.T, rng *rand.Rand, how string, s *storage, size int64) ([]byte, error) {
	want := digest.FromBytes(s.content)
	switch how {
	case "parallel", "single":
		o := &transfer.DownloadOptions{Digest: want, Size: size, Workers: 1, Part: 1 + rng.Int64N(500), Meter: &transfer.Meter{}}
		if how == "parallel" {
			o.Workers = 2 + rng.IntN(6)
		}
		b := &buffer{}
		n, err := transfer.Download(t.Context(), s, transfer.NewPlain(b), o)
		if err == nil && n != int64(len(b.b)) {
			t.Errorf("size %d, wrote %d", n, len(b.b))
		}
		return b.b, err
	}
	r, err := transfer.NewReader(t.Context(), s, want, size, &transfer.Meter{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := r.Open(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if how == "writeto" {
		_, err = r.WriteTo(&b)
	} else {
		_, err = io.CopyBuffer(&b, struct{ io.Reader }{r}, make([]byte, 1+rng.IntN(200)))
	}
	return b.Bytes(), err
}
