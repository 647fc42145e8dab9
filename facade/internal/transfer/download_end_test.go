package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// errHungUp is what net/http says of a connection that was closed before an answer came.
var errHungUp = fmt.Errorf("get blob: %w", io.EOF)

// opened lets a test see to how a blob is opened.
type opened struct {
	*storage
	open func(ctx context.Context, off int64) error // nil: as the storage does
}

func (o *opened) Open(ctx context.Context, off, end int64, fresh bool) (*transfer.Part, error) {
	if err := o.open(ctx, off); err != nil {
		return nil, err
	}
	return o.storage.Open(ctx, off, end, fresh)
}

// TestHungUpIsNotTheEnd: an error of the connection that has io.EOF in it is neither the end of the
// blob nor a verdict on its bytes.
func TestHungUpIsNotTheEnd(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{4000, transfer.Unknown} {
		for _, workers := range []int{1, 4} {
			synctest.Test(t, func(t *testing.T) {
				b, n := hangingUp(2000)
				o := &transfer.DownloadOptions{Digest: digest.FromBytes(b.content), Size: size, Workers: workers, Part: 100, Meter: &transfer.Meter{}}
				dst := &marked{Plain: transfer.NewPlain(&buffer{})}
				_, err := transfer.Download(t.Context(), b, dst, o)
				marks := dst.marks
				if !errors.Is(err, errHungUp) || errors.Is(err, transfer.ErrDigestMismatch) || o.Meter.Event().Restarts > 0 || len(marks) == 0 || marks[len(marks)-1] == 0 || *n > 5*workers {
					t.Errorf("%d workers: %v, marks %v, asked %d times, %+v", workers, err, marks, *n, o.Meter.Event())
				}
			})
		}
		for _, how := range []string{"read", "writeto"} {
			synctest.Test(t, func(t *testing.T) {
				b, _ := hangingUp(2000)
				if err := readBy(t, b, how, size, io.Discard); !errors.Is(err, errHungUp) || errors.Is(err, transfer.ErrDigestMismatch) {
					t.Errorf("%s: %v", how, err)
				}
			})
		}
	}
}

// marked is a destination that notes how far it was told that it is written.
type marked struct {
	*transfer.Plain
	marks []int64
}

func (m *marked) Written(off int64) { m.marks = append(m.marks, off) }

// hangingUp is a blob of 4000 bytes whose first answer breaks off; then there is no answer from
// offset at on.
func hangingUp(at int64) (*opened, *int) {
	rng := rand.New(rand.NewPCG(1, 1))
	n := new(int)
	s := &storage{content: randomBytes(rng, 4000), rng: rng, script: []trouble{resets}, rate: time.Millisecond}
	b := &opened{storage: s}
	b.open = func(_ context.Context, off int64) error {
		if off < at && s.opens < 1 {
			return nil
		}
		*n++
		return errHungUp
	}
	return b, n
}

// readBy reads a blob by the given method of a Reader.
func readBy(t *testing.T, b transfer.Blob, how string, size int64, w io.Writer) error {
	t.Helper()
	content := contentOf(b)
	r, err := transfer.NewReader(t.Context(), b, digest.FromBytes(content), size, &transfer.Meter{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if how == "writeto" {
		_, err = r.WriteTo(w)
	} else {
		_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 100))
	}
	return err
}

func contentOf(b transfer.Blob) []byte {
	if o, ok := b.(*opened); ok {
		return o.content
	}
	return b.(*storage).content
}

// closed is a destination that takes n bytes and then says io.EOF, as an SSH channel does that the
// other side has closed.
type closed struct{ left atomic.Int64 }

func (c *closed) Write(p []byte) (int, error) {
	if c.left.Add(-int64(len(p))) < 0 {
		return 0, io.EOF
	}
	return len(p), nil
}

func (c *closed) WriteAt(p []byte, _ int64) (int, error) { return c.Write(p) }

// TestClosedDestination: a destination's io.EOF is its error, and not the end of the blob: not in
// its middle and not at its last byte.
func TestClosedDestination(t *testing.T) {
	t.Parallel()
	for _, takes := range []int64{0, 1500, 3999} {
		for _, workers := range []int{0, 1, 4} { // 0: a Reader
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 1))
				s := &storage{content: randomBytes(rng, 4000), rng: rng, rate: time.Millisecond}
				dst, err := &closed{}, error(nil)
				dst.left.Store(takes)
				if workers == 0 {
					var r *transfer.Reader
					if r, err = transfer.NewReader(t.Context(), s, digest.FromBytes(s.content), 4000, &transfer.Meter{}); err != nil {
						t.Fatal(err)
					}
					defer r.Close()
					_, err = r.WriteTo(dst)
					if n, again := r.Read(make([]byte, 10)); n > 0 || again == nil || again == io.EOF { //nolint:errorlint // io.EOF itself is the end
						t.Errorf("%d bytes taken: then Read gave %d bytes and %v", takes, n, again)
					}
					if n, again := r.WriteTo(io.Discard); n > 0 || again == nil {
						t.Errorf("%d bytes taken: then WriteTo gave %d bytes and %v", takes, n, again)
					}
				} else {
					o := &transfer.DownloadOptions{Digest: digest.FromBytes(s.content), Size: 4000, Workers: workers, Part: 100, Meter: &transfer.Meter{}}
					_, err = transfer.Download(t.Context(), s, transfer.NewPlain(dst), o)
				}
				if !errors.Is(err, io.EOF) || errors.Is(err, transfer.ErrDigestMismatch) {
					t.Errorf("%d bytes taken, %d workers: %v", takes, workers, err)
				}
				if s.fresh > 0 {
					t.Errorf("%d bytes taken, %d workers: the blob was downloaded once more", takes, workers)
				}
			})
		}
	}
}

// short is a destination that takes less than it is given, and says nothing of it.
type short struct{}

func (short) Write(p []byte) (int, error)              { return len(p) / 2, nil }
func (s short) WriteAt(p []byte, _ int64) (int, error) { return s.Write(p) }

// TestShortWrites: they are errors, whatever the destination says.
func TestShortWrites(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := &storage{content: randomBytes(rng, 4000), rng: rng, rate: time.Millisecond}
			o := &transfer.DownloadOptions{Digest: digest.FromBytes(s.content), Size: 4000, Workers: workers, Part: 100, Meter: &transfer.Meter{}}
			if _, err := transfer.Download(t.Context(), s, transfer.NewPlain(short{}), o); !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("%d workers: %v", workers, err)
			}
			if err := readBy(t, s, "writeto", 4000, short{}); !errors.Is(err, io.ErrShortWrite) {
				t.Error(err)
			}
		})
	}
}

// TestReadFull: whoever reads as many bytes as the blob has, and never comes to io.EOF, is told of
// a wrong one too.
func TestReadFull(t *testing.T) {
	t.Parallel()
	for _, wrong := range []bool{false, true} {
		for _, size := range []int64{4000, transfer.Unknown} {
			for _, piece := range []int{1, 7, 100, 4000} {
				synctest.Test(t, func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, 1))
					s := &storage{content: randomBytes(rng, 4000), rng: rng}
					if wrong {
						s.steady = flips
					}
					r, err := transfer.NewReader(t.Context(), s, digest.FromBytes(s.content), size, &transfer.Meter{})
					if err != nil {
						t.Fatal(err)
					}
					defer r.Close()
					got := make([]byte, 4000)
					for at := 0; at < len(got) && err == nil; at += piece {
						_, err = io.ReadFull(r, got[at:min(at+piece, len(got))])
					}
					if wrong != errors.Is(err, transfer.ErrDigestMismatch) || !wrong && (err != nil || !bytes.Equal(got, s.content)) {
						t.Errorf("wrong byte %v, in pieces of %d: %v", wrong, piece, err)
					}
					if _, again := r.Read(got); wrong && !errors.Is(again, transfer.ErrDigestMismatch) || !wrong && again != io.EOF { //nolint:errorlint // io.EOF itself is the end
						t.Errorf("then: %v", again)
					}
				})
			}
		}
	}
}

// TestSlowToOpen: how long an answer may take to begin is for Open to say. It may have to sign in
// first.
func TestSlowToOpen(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"read", "parallel"} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			n := 0
			b := &opened{storage: &storage{content: randomBytes(rng, 300), rng: rng}, open: func(ctx context.Context, _ int64) error {
				n++
				select {
				case <-time.After(4 * time.Minute):
				case <-ctx.Done():
				}
				return ctx.Err()
			}}
			var err error
			if how == "read" {
				err = readBy(t, b, how, 300, io.Discard)
			} else {
				_, err = transfer.Download(t.Context(), b, transfer.NewPlain(&buffer{}), &transfer.DownloadOptions{Digest: digest.FromBytes(b.content), Size: 300, Meter: &transfer.Meter{}})
			}
			if err != nil || n != 1 {
				t.Errorf("%s: asked %d times: %v", how, n, err)
			}
		})
	}
}

// blockedDestination blocks in each write after the first ones until it is released, and counts the writes.
type blockedDestination struct {
	after   int64
	release chan struct{}
	writes  atomic.Int64
}

func (b *blockedDestination) WriteAt(p []byte, _ int64) (int, error) {
	if b.writes.Add(1) > b.after {
		<-b.release
	}
	return len(p), nil
}

func (b *blockedDestination) Write(p []byte) (int, error) { return b.WriteAt(p, 0) }

// The end of the context ends a download whose destination is blocked for ever. What is blocked stays behind, and writes
// nothing more.
func TestBlockedDestination(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"one stream", "ranges", "WriteTo"} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := &storage{content: randomBytes(rng, 10<<20), rng: rng}
			want := digest.FromBytes(s.content)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			dst := &blockedDestination{release: make(chan struct{})}
			told := &marked{Plain: transfer.NewPlain(dst)}
			began := time.Now()
			var err error
			if how == "WriteTo" {
				var r *transfer.Reader
				if r, err = transfer.NewReader(ctx, s, want, transfer.Unknown, &transfer.Meter{}); err != nil {
					t.Fatal(err)
				}
				_, err = r.WriteTo(dst)
				defer r.Close()
			} else {
				o := &transfer.DownloadOptions{Digest: want, Size: transfer.Unknown, Workers: 1, Meter: &transfer.Meter{}}
				if how == "ranges" {
					o.Workers, o.Part, s.rate, dst.after = 4, 1<<20, 100*time.Millisecond, 12
				}
				_, err = transfer.Download(ctx, s, told, o)
			}
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > time.Minute+200*time.Millisecond {
				t.Errorf("%s: after %s: %v", how, took, err)
			}
			before, marks := dst.writes.Load(), len(told.marks)
			close(dst.release)
			synctest.Wait()
			if after := dst.writes.Load(); before == 0 || after != before {
				t.Errorf("%s: %d writes, and %d afterwards", how, before, after)
			}
			if len(told.marks) != marks {
				t.Errorf("%s: told of what was written after the download had ended: %v", how, told.marks[marks:])
			}
		})
	}
}

// An answer that begins elsewhere is not read as if it were what was asked for: nobody could verify a range.
func TestMisplacedRange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(*seed, 7))
		s := &storage{content: randomBytes(rng, 1000), rng: rng, script: []trouble{misplaced}}
		r := transfer.NewRangeReader(t.Context(), s, 1000, 100, 200)
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, s.content[100:200]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if s.opens != 2 {
			t.Errorf("%d requests", s.opens)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A blob of another size is another blob: not even a range of it is read.
func TestRangeOfAnotherBlob(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(*seed, 8))
	s := &storage{content: randomBytes(rng, 1000), rng: rng, steady: otherSize}
	r := transfer.NewRangeReader(t.Context(), s, 1000, 100, 200)
	if got, err := io.ReadAll(r); !errors.Is(err, transfer.ErrSizeMismatch) || len(got) > 0 || s.opens != 1 {
		t.Errorf("%d bytes, %v, %d requests", len(got), err, s.opens)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A blob that goes on after the size that was stated is not that blob, though it begins like it.
func TestBlobGoesOn(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(*seed, 9))
	s := &storage{content: randomBytes(rng, 1001), rng: rng, steady: unsized}
	r, err := transfer.NewReader(t.Context(), s, digest.FromBytes(s.content[:1000]), 1000, &transfer.Meter{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, transfer.ErrSizeMismatch) {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// Ranges of more than one piece are written where they belong.
func TestLargeRanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(*seed, 10))
		s := &storage{content: randomBytes(rng, 3<<20), rng: rng, rate: 100 * time.Millisecond}
		dst := &buffer{}
		o := &transfer.DownloadOptions{Digest: digest.FromBytes(s.content), Size: int64(len(s.content)), Workers: 3, Part: 600 << 10, Meter: &transfer.Meter{}}
		if _, err := transfer.Download(t.Context(), s, transfer.NewPlain(dst), o); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(dst.b, s.content) {
			t.Error("the content is another")
		}
		if s.most < 2 {
			t.Error("it was not downloaded in ranges")
		}
	})
}

// noted is a destination that keeps what it is told of the progress.
type noted struct {
	*transfer.Plain
	written []int64
}

func (n *noted) Written(off int64) { n.written = append(n.written, off) }

// What turned out to be wrong is worth nothing to a later download: the destination is told so before the blob is
// requested again.
func TestWrongContentIsWithdrawn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(*seed, 11))
		s := &storage{content: randomBytes(rng, 1000), rng: rng, script: []trouble{flips}}
		dst := &noted{Plain: transfer.NewPlain(&buffer{})}
		o := &transfer.DownloadOptions{Digest: digest.FromBytes(s.content), Size: 1000, Workers: 1, Meter: &transfer.Meter{}}
		if _, err := transfer.Download(t.Context(), s, dst, o); err != nil {
			t.Fatal(err)
		}
		if want := []int64{1000, 0, 1000}; !slices.Equal(dst.written, want) {
			t.Errorf("it was told of %v, want %v", dst.written, want)
		}
	})
}
