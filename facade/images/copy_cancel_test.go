package images_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/images"
)

// canceller ends a context while one of the requests is on its way.
type canceller struct {
	seen atomic.Int64
	at   int64
	end  context.CancelFunc
}

func (c *canceller) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if c.seen.Add(1) == c.at {
		go c.end()
	}
	next.ServeHTTP(w, r)
}

// slowly is a source of somebody else whose reads end the context, and go on regardless.
type slowly struct {
	*memory

	c *canceller
}

type slowReader struct {
	io.ReadCloser

	c *canceller
}

func (s slowly) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := s.memory.Fetch(ctx, d)
	return &slowReader{r, s.c}, err
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.c.seen.Add(1) == s.c.at {
		go s.c.end()
	}
	return s.ReadCloser.Read(p[:min(len(p), 256<<10)])
}

// A copy of layers that are streamed ends with its context at any time, between any two kinds of places. It says where it was,
// leaves nothing behind that has a name, and the same copy again completes it.
func TestCopyCancelled(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root := s.index(s.image("amd64", strings.Repeat("a layer that is streamed ", 90<<10), "small"))
	s.name(root, "v1")
	in := s.dir()
	srv, client := newRegistry(t)
	other, otherClient := newRegistry(t)
	pushLayout(t, in, "v1", otherClient.Repository("dev/app"), "v1", nil)
	var c atomic.Pointer[canceller]
	c.Store(&canceller{})
	do := func(w http.ResponseWriter, r *http.Request, next http.Handler) { c.Load().serve(w, r, next) }
	srv.On().Always().Do(do)
	other.On().Always().Do(do)
	var copies atomic.Int64
	sources := map[string]func() images.Source{
		"registry": func() images.Source { return images.Of(otherClient.Repository("dev/app")) },
		"layout":   func() images.Source { return openLayout(t, in, nil) },
		"other":    func() images.Source { return slowly{s.memory(root), c.Load()} },
	}
	targets := map[string]func() images.Target{
		"registry": func() images.Target {
			return images.Of(client.Repository(fmt.Sprint("team/app", copies.Add(1))))
		},
		"layout": func() images.Target {
			return openLayout(t, t.TempDir(), &images.LayoutOptions{Create: true, NoSync: true})
		},
		"other": func() images.Target { return newMemory() },
	}
	for from, source := range sources {
		for to, target := range targets {
			if from == "layout" && to != "registry" {
				continue // nothing to wait for
			}
			for at := int64(1); ; at += 1 + at/3 {
				ctx, end := context.WithCancel(t.Context())
				c.Store(&canceller{at: at, end: end})
				toThere := target()
				_, err := images.Copy(ctx, source(), "v1", toThere, "v1", nil)
				end()
				reached := c.Load().seen.Load() >= at
				c.Store(&canceller{})
				what := fmt.Sprintf("from %s to %s, %d", from, to, at)
				if e, ok := errors.AsType[*images.CopyError](err); err != nil && (!ok || e.Side == "" || e.Place == "" || !errors.Is(err, context.Canceled)) {
					t.Errorf("%s: %v", what, err)
				}
				s.named(what, toThere, err == nil)
				if _, err := images.Copy(t.Context(), source(), "v1", toThere, "v1", nil); err != nil {
					t.Fatalf("%s: again: %v", what, err)
				}
				s.named(what, toThere, true)
				if !reached {
					break
				}
				if at > 200 {
					t.Fatalf("%s: it does not end", what)
				}
			}
		}
	}
}

// named demands that a target that has the tag has everything below it.
func (s *stock) named(what string, to images.Target, must bool) {
	s.t.Helper()
	ctx := s.t.Context()
	d, err := to.Resolve(ctx, "v1")
	if err != nil {
		if must {
			s.t.Errorf("%s: %v", what, err)
		}
		return
	}
	for _, needed := range s.below(d) {
		if there, err := to.Exists(ctx, s.describe(needed)); err != nil || !there {
			s.t.Errorf("%s: the tag stands for an image without %s (%v)", what, needed, err)
		}
	}
}

// A copy whose context has ended before it begins says what was not copied.
func TestCopyOfNothing(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.multi()
	ctx, end := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by the operator")
	end(stopped)
	from := openLayout(t, s.dir(), nil)
	_, client := newRegistry(t)
	for _, to := range []images.Target{openLayout(t, t.TempDir(), &images.LayoutOptions{Create: true}), images.Of(client.Repository("team/app"))} {
		for what, do := range map[string]func(context.Context, images.Source, string, images.Target, string, *images.CopyOptions) (*images.Report, error){"copy": images.Copy, "plan": images.Plan} {
			_, err := do(ctx, from, "v1", to, "v1", nil)
			if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Place == "" || !errors.Is(err, stopped) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// A blob that is mounted from a repository is read from there if the registry declines; that ends with the context too.
func TestMountCancelled(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	layer := s.blob(ocispec.MediaTypeImageLayer, []byte(strings.Repeat("a layer that is streamed ", 90<<10)))
	srv, client := newRegistry(t)
	srv.SeedBlob(t, "dev/app", s.blobs[layer.Digest])
	declineMounts(srv, "dev/app")
	var c atomic.Pointer[canceller]
	for at := int64(1); ; at += 1 + at/3 {
		ctx, end := context.WithCancel(t.Context())
		c.Store(&canceller{at: at, end: end})
		line := srv.On("GetBlob", "GetBlobContent", "UploadChunk", "CompleteUpload").Always()
		line.Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) { c.Load().serve(w, r, next) })
		to := images.Of(client.Repository(fmt.Sprint("team/app", at)))
		err := to.Mount(ctx, layer, "dev/app", nil)
		end()
		line.Remove()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v", at, err)
		}
		if err := to.Mount(t.Context(), layer, "dev/app", nil); err != nil {
			t.Errorf("%d: again: %v", at, err)
		}
		if got, err := readAll(to.Fetch(t.Context(), layer)); err != nil || len(got) != int(layer.Size) {
			t.Errorf("%d: %d bytes, %v", at, len(got), err)
		}
		if c.Load().seen.Load() < at {
			break
		}
	}
	if n, err := client.Repository("team/app1").HeadBlob(t.Context(), layer.Digest); err != nil || n.Size != layer.Size {
		t.Error(n, err)
	}
}
