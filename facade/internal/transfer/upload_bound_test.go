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

// swinging is a session whose count goes back and forth for ever: each chunk that goes well is half
// forgotten.
type swinging struct {
	*registry
	has int64
	n   int
}

func (s *swinging) Start(ctx context.Context) (transfer.State, error) {
	s.has = 0
	return s.registry.Start(ctx)
}

func (s *swinging) Chunk(context.Context, string, transfer.Chunk) (transfer.State, error) {
	s.n++
	return transfer.State{}, errBroken
}

func (s *swinging) Status(context.Context, string) (transfer.State, error) {
	s.has = 50 + 40*int64(s.n%2)
	return transfer.State{Offset: s.has}, nil
}

// TestSwingingCount: a registry whose count of what it has goes up and down does not hold an upload
// for ever.
func TestSwingingCount(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"file", "spooled"} {
		synctest.Test(t, func(t *testing.T) {
			s := &swinging{registry: newRegistry()}
			o := s.options()
			o.ChunkSize = 100
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var err error
			if how == "file" {
				_, err = transfer.Upload(ctx, s, bytes.NewReader(make([]byte, 1000)), 1000, o)
			} else {
				w, e := transfer.NewWriter(ctx, s, o, &spool{})
				if e != nil {
					t.Fatal(e)
				}
				defer w.Abort(ctx, false)
				if _, err = w.ReadStream(bytes.NewBuffer(make([]byte, 1000))); err == nil {
					_, err = w.Commit()
				}
			}
			if !errors.Is(err, transfer.ErrUploadLost) || s.n > 20 {
				t.Errorf("%s: %d chunks: %v", how, s.n, err)
			}
		})
	}
}

// boastful is a session that loses its first chunk and then says once that it has more than it was sent.
type boastful struct {
	*registry
	lost, told bool
	offsets    []int64
}

func (s *boastful) Chunk(ctx context.Context, location string, c transfer.Chunk) (transfer.State, error) {
	if !s.lost {
		s.lost = true
		return transfer.State{}, errBroken
	}
	s.offsets = append(s.offsets, c.Offset)
	return s.registry.Chunk(ctx, location, c)
}

func (s *boastful) Status(ctx context.Context, location string) (transfer.State, error) {
	if !s.told {
		s.told = true
		return transfer.State{Offset: 300}, nil
	}
	return s.registry.Status(ctx, location)
}

// TestBoastfulCount: what a registry says to have of bytes that it was never sent is not left out.
func TestBoastfulCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &boastful{registry: newRegistry()}
		o := s.options()
		o.ChunkSize = 100
		if _, err := transfer.Upload(t.Context(), s, bytes.NewReader(make([]byte, 1000)), 1000, o); err != nil || len(s.offsets) == 0 || s.offsets[0] != 0 {
			t.Errorf("%v; chunks at %v", err, s.offsets)
		}
	})
}

// stingy is a session that keeps a few bytes of each chunk.
type stingy struct {
	*registry
	keep      int64
	has, sent int64
	chunks    int
}

func (s *stingy) Start(ctx context.Context) (transfer.State, error) {
	s.has = 0
	return s.registry.Start(ctx)
}

func (s *stingy) Chunk(_ context.Context, _ string, c transfer.Chunk) (transfer.State, error) {
	if c.Offset != s.has {
		return transfer.State{}, &transfer.Fault{Kind: transfer.NoRange, Err: errBroken}
	}
	s.chunks++
	s.sent += c.Size
	s.has += min(s.keep, c.Size)
	return transfer.State{Offset: s.has}, nil
}

func (s *stingy) Status(context.Context, string) (transfer.State, error) {
	return transfer.State{Offset: s.has}, nil
}

func (s *stingy) Commit(_ context.Context, _ string, _ digest.Digest, c transfer.Chunk) error {
	s.has += c.Size
	return nil
}

// TestStingyRegistry: a registry that keeps next to nothing of each chunk does not hold an upload for ever, and one that keeps
// some of each is not sent many times what it keeps.
func TestStingyRegistry(t *testing.T) {
	t.Parallel()
	const size = 24 << 20
	for keep, arrives := range map[int64]bool{1: false, 1000: false, 15 << 10: false, 64 << 10: true, 1 << 20: true} {
		for _, how := range []string{"file", "stream"} {
			synctest.Test(t, func(t *testing.T) {
				s := &stingy{registry: newRegistry(), keep: keep}
				o := s.options()
				o.Tune = transfer.Tuning{} // that of production
				var err error
				if how == "file" {
					_, err = transfer.Upload(t.Context(), s, bytes.NewReader(make([]byte, size)), size, o)
				} else {
					w, e := transfer.NewWriter(t.Context(), s, o, nil)
					if e != nil {
						t.Fatal(e)
					}
					if _, err = w.ReadFrom(bytes.NewBuffer(make([]byte, size))); err == nil {
						_, err = w.Commit()
					}
					_ = w.Abort(t.Context(), false)
				}
				if arrives && (err != nil || s.has != size) || !arrives && !errors.Is(err, transfer.ErrUploadLost) {
					t.Errorf("%s, %d bytes of each chunk: has %d, %v", how, keep, s.has, err)
				}
				if most := int64(8 * size); s.sent > most {
					t.Errorf("%s, %d bytes of each chunk: %d bytes were sent in %d chunks", how, keep, s.sent, s.chunks)
				}
			})
		}
	}
}

// TestBadCheckpoint: a checkpoint that lies outside of the source is refused.
func TestBadCheckpoint(t *testing.T) {
	t.Parallel()
	for _, off := range []int64{-1, -1 << 62, 301, 1<<63 - 1} {
		for _, trust := range []bool{false, true} {
			o := newRegistry().options()
			o.Resume, o.Trust, o.Digest = &transfer.Checkpoint{Location: "u1?0", Offset: off}, trust, "sha256:x"
			if _, err := transfer.Upload(t.Context(), newRegistry(), bytes.NewReader(make([]byte, 300)), 300, o); !errors.Is(err, transfer.ErrSizeMismatch) {
				t.Errorf("at %d: %v", off, err)
			}
		}
	}
}

// Content that is not what the caller stated is not stored, whether it goes in one request, in chunks or as a stream.
func TestStatedContent(t *testing.T) {
	t.Parallel()
	content := make([]byte, 300)
	for _, size := range []int64{1000, 50} { // of a chunk
		for _, row := range []struct {
			name string
			set  func(o *transfer.UploadOptions)
			want error
		}{
			{"digest", func(o *transfer.UploadOptions) { o.Digest = digest.FromString("another") }, transfer.ErrDigestMismatch},
			{"size", func(o *transfer.UploadOptions) { o.Size = 299 }, transfer.ErrSizeMismatch},
			{"size that is not reached", func(o *transfer.UploadOptions) { o.Size = 301 }, transfer.ErrSizeMismatch},
		} {
			r := newRegistry()
			o := r.options()
			o.ChunkSize = size
			row.set(o)
			if _, err := transfer.Upload(t.Context(), r, bytes.NewReader(content), 300, o); !errors.Is(err, row.want) {
				t.Errorf("%s in chunks of %d: %v", row.name, size, err)
			}
			w, err := transfer.NewWriter(t.Context(), r, o, nil)
			if err == nil {
				_, err = w.ReadStream(bytes.NewBuffer(content))
			}
			if err == nil {
				_, err = w.Commit()
			}
			if !errors.Is(err, row.want) {
				t.Errorf("%s of a stream in chunks of %d: %v", row.name, size, err)
			}
			w.Abort(t.Context(), false)
			if len(r.blobs) > 0 || len(r.sessions) > 0 {
				t.Errorf("%s in chunks of %d: %d blobs and %d sessions are left", row.name, size, len(r.blobs), len(r.sessions))
			}
		}
	}
}

// A source that says that it has changed is not stored.
func TestChangedSource(t *testing.T) {
	t.Parallel()
	for _, size := range []int{50, 300} { // in one request, and in chunks
		r := newRegistry()
		o := r.options()
		o.ChunkSize, o.Check = 50, func() error { return transfer.ErrSourceChanged }
		if _, err := transfer.Upload(t.Context(), r, bytes.NewReader(make([]byte, size)), int64(size), o); !errors.Is(err, transfer.ErrSourceChanged) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if len(r.blobs) > 0 || len(r.sessions) > 0 {
			t.Errorf("%d bytes: %d blobs and %d sessions are left", size, len(r.blobs), len(r.sessions))
		}
	}
}

// A stream that goes on after its stated size is not sent to its end.
func TestStreamGoesOn(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	o := r.options()
	o.ChunkSize, o.Size = 50, 300
	w, err := transfer.NewWriter(t.Context(), r, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.ReadStream(bytes.NewReader(make([]byte, 1<<20))); !errors.Is(err, transfer.ErrSizeMismatch) || n > 400 {
		t.Errorf("%d bytes were taken: %v", n, err)
	}
	if err := w.Abort(t.Context(), false); err != nil || r.got > 300 {
		t.Errorf("%d bytes were sent: %v", r.got, err)
	}
}

// An upload whose sessions are lost is begun again twice, and not for ever.
func TestNewBeginnings(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"file", "trusted", "spooled"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRegistry()
			for range 100 {
				r.script["chunk"] = append(r.script["chunk"], none, forget)
			}
			o := r.options()
			o.ChunkSize = 50
			_, err := run(t.Context(), nil, how, r, o, make([]byte, 300))
			lost, ok := errors.AsType[*transfer.LostError](err)
			if !ok || lost.Restarts != 2 || lost.Open || r.calls["start"] != 3 {
				t.Errorf("%s: %d sessions, %v", how, r.calls["start"], err)
			}
		})
	}
}

// What fails because the context has ended is not the reason: that is the cause of the context.
func TestContextIsTheReason(t *testing.T) {
	t.Parallel()
	reason, consequence := errors.New("the caller's reason"), errors.New("file already closed")
	for _, size := range []int64{50, 300} { // in one request, and in chunks
		ctx, cancel := context.WithCancelCause(t.Context())
		r := newRegistry()
		o := r.options()
		o.ChunkSize, o.Check = 50, func() error { cancel(reason); return consequence }
		if _, err := transfer.Upload(ctx, r, bytes.NewReader(make([]byte, size)), size, o); !errors.Is(err, reason) || errors.Is(err, consequence) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	r := newRegistry()
	o := r.options()
	o.ChunkSize = 50
	w, err := transfer.NewWriter(ctx, r, o, closedSpool{cancel: func() { cancel(reason) }, err: consequence})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 300)); !errors.Is(err, reason) || errors.Is(err, consequence) {
		t.Errorf("writer: %v", err)
	}
	_ = w.Abort(t.Context(), false)
}

// closedSpool is a spool that is closed when the context ends.
type closedSpool struct {
	transfer.Spool

	cancel func()
	err    error
}

func (c closedSpool) WriteAt([]byte, int64) (int, error) { c.cancel(); return 0, c.err }
