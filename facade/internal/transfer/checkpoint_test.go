package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// An upload that is killed at random moments, to a registry that drops sessions, comes to its end: the
// newest checkpoint always names the session at hand, from its opening on.
func TestCheckpointOfNewSession(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"file", "trusted", "in place", "spooled"} {
		for i := range 40 {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(*seed, uint64(i)))
				r := newRegistry()
				r.delay = 10 * time.Millisecond
				for n := range 400 {
					f := none
					if n%25 == 24 {
						f = forget
					}
					r.script["chunk"] = append(r.script["chunk"], f)
				}
				content := randomBytes(rng, 1000)
				var last *transfer.Checkpoint
				for round := 0; ; round++ {
					if round == 40 {
						t.Fatalf("%s %d: not done after %d rounds; checkpoint %+v, %d sessions", how, i, round, last, len(r.sessions))
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					o := r.options()
					o.ChunkSize = 20
					if how != "spooled" {
						o.Resume = last
					}
					o.Acked = func(cp transfer.Checkpoint) { last = &cp }
					o.Reporter = transfer.NewReporter(o.Meter, nil, cancel)
					time.AfterFunc(time.Duration(rng.IntN(400))*time.Millisecond, func() { cancel(errBroken) })
					_, err := killed(ctx, how, r, o, content)
					o.Reporter.Stop(t.Context())
					cancel(nil)
					if err == nil {
						break
					}
					if id := newest(r); id != "" && last != nil && !strings.HasPrefix(last.Location, id+"?") {
						t.Fatalf("%s %d: the checkpoint names %s, the session is %s (%v)", how, i, last.Location, id, err)
					}
					if how == "spooled" {
						break // a stream has no second life here
					}
				}
			})
		}
	}
}

// killed uploads content, and leaves the session open when ctx ends.
func killed(ctx context.Context, how string, r *registry, o *transfer.UploadOptions, content []byte) (transfer.Result, error) {
	s := uncanceled{r}
	if how != "spooled" {
		if how == "trusted" || how == "in place" {
			o.Digest, o.Trust, o.InPlace = digest.FromBytes(content), true, how == "in place"
		}
		return transfer.Upload(ctx, s, bytes.NewReader(content), int64(len(content)), o)
	}
	w, err := transfer.NewWriter(ctx, s, o, &spool{})
	if err != nil {
		return transfer.Result{}, err
	}
	defer w.Abort(ctx, true)
	if _, err := w.ReadStream(bytes.NewBuffer(content)); err != nil {
		return transfer.Result{}, err
	}
	return w.Commit()
}

// uncanceled never cancels an upload, as a killed process does not.
type uncanceled struct{ *registry }

func (uncanceled) Cancel(context.Context, string) error { return nil }

// newest returns the newest session of the registry; "" if that was dropped.
func newest(r *registry) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := fmt.Sprintf("u%d", r.next)
	if r.sessions[id] == nil {
		return ""
	}
	return id
}

// A registry that has less than a checkpoint says has lost the upload: what is missing cannot be written again.
func TestCheckpointBeyondTheRegistry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		o := r.options()
		o.ChunkSize = 50
		w, err := transfer.NewWriter(t.Context(), r, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 120)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		cp, ok := w.Checkpoint()
		if !ok || cp.Offset != 100 {
			t.Fatalf("%+v", cp)
		}
		u := r.sessions[newest(r)]
		u.data = u.data[:60]
		if _, err := transfer.ResumeWriter(t.Context(), r, cp, r.options()); !errors.Is(err, transfer.ErrUploadLost) {
			t.Error(err)
		}
		u.data = append(u.data, make([]byte, 50)...) // of a chunk that was on its way
		again, err := transfer.ResumeWriter(t.Context(), r, cp, r.options())
		if err != nil {
			t.Fatal(err)
		}
		again.Abort(t.Context(), false)
	})
}

// A checkpoint whose hash is of another algorithm than the expected digest cannot be used, and the error names both.
func TestCheckpointOfAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		o := r.options()
		o.ChunkSize = 50
		w, err := transfer.NewWriter(t.Context(), r, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 120)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		cp, _ := w.Checkpoint()
		other := r.options()
		other.Digest = digest.SHA512.FromBytes(make([]byte, 300))
		_, err = transfer.ResumeWriter(t.Context(), r, cp, other)
		if !errors.Is(err, transfer.ErrUploadLost) || !strings.Contains(err.Error(), `"sha256"`) || !strings.Contains(err.Error(), `"sha512"`) {
			t.Error(err)
		}
		if n := r.calls["status"]; n > 0 {
			t.Errorf("the registry was asked %d times", n)
		}
		// A source that can be read again is hashed from its start instead, and only the rest of it is sent.
		other.Resume = &cp
		if res, err := transfer.Upload(t.Context(), r, bytes.NewReader(make([]byte, 300)), 300, other); err != nil || res.Digest != other.Digest || r.got != 300 {
			t.Errorf("%v, %v, %d bytes were sent", res, err, r.got)
		}
	})
}

// An upload that failed and can be resumed is left open, one of which nobody has a checkpoint is canceled.
func TestFailedUploadStaysOpen(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRegistry()
			r.script["chunk"] = []fault{none, none, fatal}
			o := r.options()
			o.ChunkSize = 50
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if kept {
				o.Acked = func(transfer.Checkpoint) {}
				o.Reporter = transfer.NewReporter(o.Meter, nil, cancel)
				defer o.Reporter.Stop(t.Context())
			}
			if _, err := transfer.Upload(ctx, r, bytes.NewReader(make([]byte, 300)), 300, o); !errors.Is(err, errNo) {
				t.Error(err)
			}
			if open := len(r.sessions) == 1; open != kept {
				t.Errorf("with a checkpoint %v: left open %v", kept, open)
			}
		})
	}
}
