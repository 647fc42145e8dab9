package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/wait"
)

// TestRetryAfter: what the registry asks to wait is waited, up to a minute; more is the caller's to
// decide.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for after, survives := range map[time.Duration]bool{time.Second: true, time.Minute: true, 61 * time.Second: false, 24 * time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRegistry()
			busyOnce := &busySession{registry: r, after: after}
			began := time.Now()
			_, err := transfer.Upload(t.Context(), busyOnce, bytes.NewReader(make([]byte, 300)), 300, r.options())
			waited := time.Since(began)
			if survives && (err != nil || waited < after) || !survives && (err == nil || waited > 0) {
				t.Errorf("asked for %s: waited %s, %v", after, waited, err)
			}
		})
	}
}

// busySession is busy once.
type busySession struct {
	*registry
	after time.Duration
	once  bool
}

func (b *busySession) Chunk(ctx context.Context, location string, c transfer.Chunk) (transfer.State, error) {
	if !b.once {
		b.once = true
		return transfer.State{}, &transfer.Fault{Kind: transfer.Busy, After: b.after, Err: errors.New("429")}
	}
	return b.registry.Chunk(ctx, location, c)
}

// TestUploadCancel: the end of the context ends the upload within 100 ms, with the session
// cancelled, wherever it comes.
func TestUploadCancel(t *testing.T) {
	t.Parallel()
	for i := range 300 {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*seed, uint64(i)))
			r := newRegistry()
			r.delay = 10 * time.Millisecond
			for range 4 {
				r.script["chunk"] = append(r.script["chunk"], fault(rng.IntN(int(fatal))))
			}
			at := time.Duration(rng.IntN(400)) * time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), at)
			defer cancel()
			how := sourceNames[i%len(sourceNames)]
			o := r.options()
			o.ChunkSize = 20
			began := time.Now()
			_, err := run(ctx, rng, how, r, o, randomBytes(rng, 300))
			if ctx.Err() == nil {
				return
			}
			late := time.Since(began) - at
			if err == nil && late > 0 || err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, transfer.ErrUploadLost) && !errors.Is(err, transfer.ErrDigestMismatch) {
				t.Errorf("%s cancelled at %s: %v", how, at, err)
			}
			if late > 100*time.Millisecond {
				t.Errorf("%s cancelled at %s: returned %s late", how, at, late)
			}
			synctest.Wait()
			if len(r.sessions) > 0 {
				t.Errorf("%s cancelled at %s: a session is left", how, at)
			}
		})
	}
}

// TestBlockedReader: the end of the context ends the upload even while the source's Read does not
// return.
func TestBlockedReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		pr, pw := io.Pipe()
		defer pw.Close()
		w, err := transfer.NewWriter(ctx, r, r.options(), nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := w.ReadStream(pr); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		w.Abort(ctx, false)
		if d := time.Since(began); d > 1100*time.Millisecond {
			t.Errorf("returned after %s", d)
		}
	})
}

// TestResent: one dropped chunk costs no more than that chunk.
func TestResent(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{unapplied, half, lostReply, busy, busyLate, cutShort} {
		for _, how := range []string{"file", "stream"} {
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry()
				r.script["chunk"] = []fault{none, none, f}
				o := r.options()
				o.ChunkSize = 100
				content := randomBytes(rand.New(rand.NewPCG(1, 1)), 950)
				if _, err := run(t.Context(), nil, how, r, o, content); err != nil {
					t.Fatal(err)
				}
				if e := o.Meter.Event(); r.got > int64(len(content))+100 || e.Resent > 100 || e.Restarts != 0 {
					t.Errorf("%s, fault %d: %d bytes came in for %d, %+v", how, f, r.got, len(content), e)
				}
			})
		}
	}
}

// TestCheckpoint: an upload that ends at any time is gone on with from its last checkpoint, without
// sending again what was acknowledged.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	resumed := 0
	for i := range 500 {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*seed, uint64(i)))
			r := newRegistry()
			r.delay = 10 * time.Millisecond
			content := randomBytes(rng, 1000)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			o := r.options()
			o.ChunkSize = 1 + rng.Int64N(200)
			var last *transfer.Checkpoint
			o.Acked = func(cp transfer.Checkpoint) { last = &cp }
			o.Reporter = transfer.NewReporter(o.Meter, nil, cancel)
			stop := time.AfterFunc(time.Duration(rng.IntN(300))*time.Millisecond, func() { cancel(errBroken) })
			defer stop.Stop()
			_, err := transfer.Upload(ctx, r, bytes.NewReader(content), 1000, o)
			o.Reporter.Stop(t.Context())
			if err == nil || last == nil {
				return
			}
			resumed++
			before := r.got
			has := int64(0)
			for _, u := range r.sessions {
				has = int64(len(u.data))
			}
			again := r.options()
			again.ChunkSize, again.Resume = o.ChunkSize, last
			res, err := transfer.Upload(t.Context(), r, bytes.NewReader(content), 1000, again)
			if err != nil || res.Digest != digest.FromBytes(content) || !bytes.Equal(r.blobs[res.Digest], content) {
				t.Errorf("case %d: %v", i, err)
			}
			if sent := r.got - before; sent > 1000-has {
				t.Errorf("case %d: %d bytes were sent, %d were missing", i, sent, 1000-has)
			}
		})
	}
	if resumed < 100 {
		t.Errorf("%d uploads were resumed", resumed)
	}
}

// TestStall: a connection on which nothing comes is given up after 30 seconds, and gone on with.
func TestStall(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"parallel", "single", "read", "writeto"} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := &storage{content: randomBytes(rng, 2000), rng: rng, script: []trouble{stalls, stalls}}
			began := time.Now()
			got, err := fetch(t, rng, how, s, transfer.Unknown)
			if err != nil || !bytes.Equal(got, s.content) {
				t.Errorf("%s: %v", how, err)
			}
			if d := time.Since(began); d < 30*time.Second || d > 70*time.Second {
				t.Errorf("%s: took %s", how, d)
			}
		})
	}
}

// TestStallsForEver: the error says where it stalled.
func TestStallsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		s := &storage{content: randomBytes(rng, 2000), rng: rng, steady: stuckAt1000}
		_, err := fetch(t, rng, "read", s, transfer.Unknown)
		if want := "the response broke off at byte 1000: transfer stalled"; !errors.Is(err, wait.ErrStalled) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}

// TestWriterFails: what the destination fails with is the error, and nothing is left open.
func TestWriterFails(t *testing.T) {
	t.Parallel()
	for _, how := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := &storage{content: randomBytes(rng, 4000), rng: rng, rate: time.Millisecond}
			o := &transfer.DownloadOptions{Digest: digest.FromBytes(s.content), Size: 4000, Workers: how, Part: 100, Meter: &transfer.Meter{}}
			if _, err := transfer.Download(t.Context(), s, transfer.NewPlain(&buffer{fail: 2000}), o); !errors.Is(err, errFull) {
				t.Error(err)
			}
			if s.live != 0 {
				t.Errorf("%d answers are open", s.live)
			}
		})
	}
}

// panicky is a destination that panics.
type panicky struct{}

func (panicky) WriteAt([]byte, int64) (int, error) { panic("disk") }

// TestPanics: what a callback panics with is raised in the caller, and no goroutine is left.
func TestPanics(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*testing.T){
		"progress": func(t *testing.T) {
			m := &transfer.Meter{}
			ctx, cancel := context.WithCancelCause(t.Context())
			r := transfer.NewReporter(m, func(transfer.Event) { panic("progress") }, cancel)
			m.SetTotal(1)
			<-ctx.Done()
			r.Stop(t.Context())
		},
		"disk": func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := &storage{content: randomBytes(rng, 4000), rng: rng, rate: time.Millisecond}
			o := &transfer.DownloadOptions{Digest: digest.FromBytes(s.content), Size: 4000, Part: 100, Meter: &transfer.Meter{}}
			_, _ = transfer.Download(t.Context(), s, transfer.NewPlain(panicky{}), o)
		},
		"source": func(t *testing.T) {
			r := newRegistry()
			w, err := transfer.NewWriter(t.Context(), r, r.options(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort(t.Context(), false)
			_, _ = w.ReadStream(panickyReader{})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if v := recover(); v != name {
					t.Errorf("%s: recovered %v", name, v)
				}
			}()
			f(t)
			t.Errorf("%s: no panic", name)
		})
	}
}

type panickyReader struct{}

func (panickyReader) Read([]byte) (int, error) { panic("source") }

// slowSignIn is a session whose token takes ten minutes for the commit, which then fails at once.
type slowSignIn struct {
	*registry
	once bool
}

func (s *slowSignIn) Commit(ctx context.Context, location string, dgst digest.Digest, c transfer.Chunk) error {
	if s.once || c.Size > 0 {
		return s.registry.Commit(ctx, location, dgst, c)
	}
	s.once = true
	time.Sleep(10 * time.Minute)
	transfer.Sending(ctx)
	return &transfer.Fault{Kind: transfer.Busy, Err: errors.New("503")}
}

// TestSlowSignIn: the time before a request was sent is no silence of the registry, so the commit is
// not taken for pending.
func TestSlowSignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slowSignIn{registry: newRegistry()}
		s.noTail = true // so that the commit that counts has no body
		began := time.Now()
		if _, err := transfer.Upload(t.Context(), s, bytes.NewReader(make([]byte, 300)), 300, s.options()); err != nil || !s.once {
			t.Errorf("%v, slow: %t", err, s.once)
		}
		if took := time.Since(began); took > 11*time.Minute {
			t.Errorf("took %s", took)
		}
	})
}
