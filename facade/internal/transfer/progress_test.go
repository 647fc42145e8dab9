package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// Bytes that arrive out of order are not received again. What is received again counts, and once.
func TestProgressOfParallelDownload(t *testing.T) {
	t.Parallel()
	for _, script := range [][]trouble{nil, {fine, fine, resets, fine, resets}} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := &storage{content: randomBytes(rng, 4000), rng: rng, script: script, rate: time.Millisecond}
			o := &transfer.DownloadOptions{Digest: digest.FromBytes(s.content), Size: transfer.Unknown, Workers: 4, Part: 100, Meter: &transfer.Meter{}}
			if _, err := transfer.Download(t.Context(), s, transfer.NewPlain(&buffer{}), o); err != nil {
				t.Fatal(err)
			}
			if e := o.Meter.Event(); e.Sent-e.Resent != 4000 || e.Resent > 100 || e.Offset != 4000 || e.Total != 4000 {
				t.Errorf("%+v", e)
			}
		})
	}
}

// A resumed download shows how much it has hashed, and does not state a size that it does not know.
func TestProgressWhileHashing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		content := randomBytes(rng, 1<<20)
		s := &storage{content: content, rng: rng}
		dst := &buffer{b: bytes.Clone(content[:1<<19])}
		prefix := &pacedSource{content: content, pace: time.Second}
		o := &transfer.DownloadOptions{Digest: digest.FromBytes(content), Size: transfer.Unknown, Meter: &transfer.Meter{}}
		var seen []transfer.Event
		go func() {
			for range 4 {
				time.Sleep(990 * time.Millisecond)
				seen = append(seen, o.Meter.Event())
			}
		}()
		if _, err := transfer.Download(t.Context(), s, &resumed{transfer.NewPlain(dst), prefix, 1 << 19}, o); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i, e := range seen {
			if e.Total != transfer.Unknown || e.Offset != int64(i)<<17 {
				t.Errorf("after %d pieces: %+v", i, e)
			}
		}
		if len(seen) != 4 {
			t.Errorf("looked %d times", len(seen))
		}
	})
}

// resumed is a destination with what an earlier download left.
type resumed struct {
	*transfer.Plain
	prefix io.ReaderAt
	n      int64
}

func (r *resumed) Prefix() (io.ReaderAt, int64) { return r.prefix, r.n }

// pacedSource takes its time for each read.
type pacedSource struct {
	content []byte
	pace    time.Duration
}

func (p *pacedSource) ReadAt(b []byte, off int64) (int, error) {
	time.Sleep(p.pace)
	return bytes.NewReader(p.content).ReadAt(b, off)
}

// A request that continues a blob of known size asks for a range with an end: some registries cannot
// answer others.
func TestResumedRequestHasAnEnd(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"single", "read", "writeto"} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			b := &closedRanges{storage: &storage{content: randomBytes(rng, 3000), rng: rng, script: []trouble{resets}}}
			want := digest.FromBytes(b.content)
			var err error
			if how == "single" {
				o := &transfer.DownloadOptions{Digest: want, Size: transfer.Unknown, Workers: 1, Meter: &transfer.Meter{}}
				_, err = transfer.Download(t.Context(), b, transfer.NewPlain(&buffer{}), o)
			} else {
				r, e := transfer.NewReader(t.Context(), b, want, transfer.Unknown, &transfer.Meter{})
				if e != nil {
					t.Fatal(e)
				}
				defer r.Close()
				_, err = io.Copy(io.Discard, r)
			}
			if err != nil {
				t.Errorf("%s: %v", how, err)
			}
		})
	}
}

// closedRanges is a blob at a registry that cannot answer ranges without an end.
type closedRanges struct{ *storage }

func (c *closedRanges) Open(ctx context.Context, off, end int64, fresh bool) (*transfer.Part, error) {
	if off > 0 && end == transfer.Unknown {
		return nil, &transfer.Fault{Kind: transfer.NoRange, Err: errors.New("416")}
	}
	return c.storage.Open(ctx, off, end, fresh)
}

// A size that no blob has is refused before anything is written.
func TestHostileSize(t *testing.T) {
	t.Parallel()
	b := hostile{1 << 40}
	o := &transfer.DownloadOptions{Digest: digest.FromString("x"), Size: transfer.Unknown, Meter: &transfer.Meter{}}
	dst := &buffer{}
	if _, err := transfer.Download(t.Context(), b, transfer.NewPlain(dst), o); !errors.Is(err, transfer.ErrSizeMismatch) || len(dst.b) > 0 {
		t.Errorf("%d bytes written, %v", len(dst.b), err)
	}
}

// hostile is a blob that states a size.
type hostile struct{ size int64 }

func (h hostile) Open(context.Context, int64, int64, bool) (*transfer.Part, error) {
	return &transfer.Part{Body: io.NopCloser(zerosReader{}), End: h.size, Size: h.size}, nil
}

type zerosReader struct{}

func (zerosReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A callback that is blocked does not hold up a transfer whose context has ended, and no other one begins after the transfer.
func TestBlockedCallback(t *testing.T) {
	t.Parallel()
	for _, blocked := range []string{"progress", "checkpoint"} {
		t.Run(blocked, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &transfer.Meter{}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				release := make(chan struct{})
				calls := 0
				callback := func() {
					calls++
					<-release
				}
				r := transfer.NewReporter(m, func(transfer.Event) { callback() }, func(error) {})
				if blocked == "progress" {
					m.SetTotal(1)
					time.Sleep(150 * time.Millisecond)
				}
				r.Post(callback)
				synctest.Wait()
				m.SetTotal(2)
				began := time.Now()
				r.Stop(ctx)
				if d := time.Since(began); d > 1100*time.Millisecond {
					t.Errorf("waited %s", d)
				}
				close(release)
				synctest.Wait()
				if calls != 1 {
					t.Errorf("%d calls, of which all but the first began after the end", calls)
				}
			})
		})
	}
}

// A source that claims more bytes than there are is an error, not a panic.
func TestClaimedSize(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{math.MaxInt64, math.MaxInt64 - 1, 1 << 62} {
		r := newRegistry()
		if _, err := transfer.Upload(t.Context(), r, bytes.NewReader(make([]byte, 1000)), size, r.options()); !errors.Is(err, transfer.ErrSizeMismatch) {
			t.Errorf("%d: %v", size, err)
		}
	}
}

// Two calls of a writer at once are noticed: neither mixes up the content, nor waits for ever.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		w, err := transfer.NewWriter(t.Context(), r, r.options(), nil)
		if err != nil {
			t.Fatal(err)
		}
		pr, pw := io.Pipe()
		first := make(chan error)
		go func() {
			_, err := w.ReadFrom(pr)
			first <- err
		}()
		synctest.Wait()
		if n, err := w.Write([]byte("x")); n > 0 || !errors.Is(err, transfer.ErrConcurrentUse) {
			t.Errorf("Write: %d, %v", n, err)
		}
		if _, err := w.ReadFrom(bytes.NewReader(nil)); !errors.Is(err, transfer.ErrConcurrentUse) {
			t.Errorf("ReadFrom: %v", err)
		}
		if _, err := w.Commit(); !errors.Is(err, transfer.ErrConcurrentUse) {
			t.Errorf("Commit: %v", err)
		}
		if err := w.Close(); !errors.Is(err, transfer.ErrConcurrentUse) {
			t.Errorf("Close: %v", err)
		}
		_, _ = pw.Write([]byte("content"))
		_ = pw.Close()
		if err := <-first; err != nil {
			t.Error(err)
		}
		if res, err := w.Commit(); err != nil || res.Digest != digest.FromString("content") {
			t.Errorf("%v %v", res, err)
		}
	})
}

// The end of the context ends an upload whose source is blocked in ReadAt for ever.
func TestBlockedSource(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{50, 1000} { // in one request, and in chunks
		for _, at := range []int64{0, 500} {
			if at >= size {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				src := &blockedSource{at: at, release: make(chan struct{})}
				defer close(src.release)
				o := r.options()
				o.ChunkSize = 100
				began := time.Now()
				_, err := transfer.Upload(ctx, r, src, size, o)
				if d := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || d > time.Minute+200*time.Millisecond {
					t.Errorf("%d bytes, blocked at %d: after %s: %v", size, at, d, err)
				}
			})
		}
	}
}

// blockedSource blocks once it is read at an offset or beyond.
type blockedSource struct {
	at      int64
	release chan struct{}
}

func (b *blockedSource) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.at {
		<-b.release
	}
	return len(p), nil
}

// A closed reader says so, in the middle and before the first byte.
func TestReadAfterClose(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	s := &storage{content: randomBytes(rng, 3000), rng: rng}
	for _, n := range []int64{0, 100} {
		r, err := transfer.NewReader(t.Context(), s, digest.FromBytes(s.content), 3000, &transfer.Meter{})
		if err != nil {
			t.Fatal(err)
		}
		part := transfer.NewRangeReader(t.Context(), s, transfer.Unknown, 0, 3000)
		for name, c := range map[string]io.ReadCloser{"Reader": r, "RangeReader": part} {
			if _, err := io.CopyN(io.Discard, struct{ io.Reader }{c}, n); err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			if n, err := c.Read(make([]byte, 10)); n > 0 || !errors.Is(err, transfer.ErrClosed) {
				t.Errorf("%s: Read gave %d bytes, %v", name, n, err)
			}
		}
		if n, err := r.WriteTo(io.Discard); n > 0 || !errors.Is(err, transfer.ErrClosed) {
			t.Errorf("WriteTo gave %d bytes, %v", n, err)
		}
	}
}

// silentBlob is a blob whose bytes never come.
type silentBlob struct{}

func (silentBlob) Open(ctx context.Context, _, _ int64, _ bool) (*transfer.Part, error) {
	return &transfer.Part{Body: silence{ctx}, End: 100, Size: 100}, nil
}

type silence struct{ ctx context.Context }

func (s silence) Read([]byte) (int, error) { <-s.ctx.Done(); return 0, s.ctx.Err() }
func (silence) Close() error               { return nil }

// Two reads of a reader at once are noticed, and Close ends the one that is under way.
func TestConcurrentReads(t *testing.T) {
	t.Parallel()
	for _, read := range []func(*transfer.Reader) error{
		func(r *transfer.Reader) error { _, err := r.Read(make([]byte, 10)); return err },
		func(r *transfer.Reader) error { _, err := r.WriteTo(io.Discard); return err },
	} {
		synctest.Test(t, func(t *testing.T) {
			r, err := transfer.NewReader(t.Context(), silentBlob{}, digest.FromString("x"), transfer.Unknown, &transfer.Meter{})
			if err != nil {
				t.Fatal(err)
			}
			first := make(chan error)
			go func() { first <- read(r) }()
			synctest.Wait()
			if err := read(r); !errors.Is(err, transfer.ErrConcurrentUse) {
				t.Errorf("a second read: %v", err)
			}
			began := time.Now()
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if err := <-first; !errors.Is(err, transfer.ErrClosed) || time.Since(began) > time.Second {
				t.Errorf("the first read: %v after %s", err, time.Since(began))
			}
			if err := read(r); !errors.Is(err, transfer.ErrClosed) {
				t.Errorf("a later read: %v", err)
			}
		})
	}
}
