package images_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// Two images that lack the same layer are healed one after the other: it is sent once, and counted once.
func TestCopyHealsTogether(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	dir := s.dir()
	srv, client := newRegistry(t)
	r := client.Repository("team/app")
	shared := digest.FromString("shared layer")
	var both sync.WaitGroup
	both.Add(2)
	deleted := sync.OnceValue(func() error { return r.DeleteBlob(t.Context(), shared) })
	srv.On("PutManifest").First(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		both.Done()
		both.Wait()
		if err := deleted(); err != nil {
			t.Error(err)
		}
		next.ServeHTTP(w, r)
	})
	report, err := images.Push(t.Context(), dir, "v1", r, "v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"v1": root})
	if report.Bytes.Done() != report.Bytes.Total || report.Bytes.Total != s.size(root) {
		t.Errorf("%+v, %d bytes there are", report.Bytes, s.size(root))
	}
	if n := len(slices.DeleteFunc(srv.Ledger().Requests("StartUpload"), func(q acrtest.Request) bool { return !strings.Contains(q.Query, shared.Encoded()) })); n != 2 {
		t.Errorf("the layer was sent %d times, want once more", n)
	}
}

// Registries that say yes and lose it, decline to mount, or are short of something, get the image all the same.
func TestCopyUnreliableTarget(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	dir := s.dir()
	layer := digest.FromString("shared layer")
	for name, faults := range map[string]func(srv *acrtest.Server){
		"201, but lost": func(srv *acrtest.Server) {
			srv.On("StartUpload").When(hasQuery("digest", string(layer))).Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set(acrtest.FaultHeader, "lost")
				w.Header().Set("Docker-Content-Digest", string(layer))
				w.Header().Set("Location", "/v2/team/app/blobs/"+string(layer))
				w.WriteHeader(http.StatusCreated)
			})
		},
		"413": func(srv *acrtest.Server) {
			srv.On("StartUpload").When(func(r *http.Request) bool { return r.ContentLength > 0 }).First(2).Status(413)
		},
		"429": func(srv *acrtest.Server) {
			srv.On("StartUpload").First(2).Status(429, time.Millisecond)
			srv.On("HeadManifest").First(1).Status(429, time.Millisecond)
		},
		"503": func(srv *acrtest.Server) {
			srv.On("StartUpload").First(1).Status(503)
			srv.On("PutManifest").First(2).Status(503)
		},
		"lost replies": func(srv *acrtest.Server) {
			srv.On("StartUpload").First(2).DropReply()
			srv.On("PutManifest").First(2).DropReply()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newRegistry(t)
			faults(srv)
			report, err := images.Push(t.Context(), dir, "v1", client.Repository("team/app"), "v1", nil)
			if err != nil {
				t.Fatal(err)
			}
			if report.Bytes.Done() != report.Bytes.Total {
				t.Errorf("%+v", report.Bytes)
			}
			s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"v1": root})
		})
	}
	t.Run("declined mounts", func(t *testing.T) {
		t.Parallel()
		srv, client := newRegistry(t)
		pushLayout(t, dir, "v1", client.Repository("dev/app"), "v1", nil)
		declineMounts(srv, "dev/app")
		report, err := images.Promote(t.Context(), client.Repository("dev/app"), "v1", client.Repository("prod/app"), "v1", nil)
		if err != nil || report.Bytes.Mounted != 0 || report.Bytes.Done() != report.Bytes.Total {
			t.Errorf("%+v, %v", report.Bytes, err)
		}
		s.inRegistry(client, "prod/app", map[string]ocispec.Descriptor{"v1": root})
		if n := srv.Uploads("prod/app"); n != 0 {
			t.Errorf("%d uploads are left open", n)
		}
	})
	t.Run("no quota", func(t *testing.T) {
		t.Parallel()
		srv, client := newRegistry(t)
		srv.On("StartUpload").From(3).Status(403).Code("DENIED", "the storage quota of the registry is used up")
		_, err := images.Push(t.Context(), dir, "v1", client.Repository("team/app"), "v1", nil)
		if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.AtTarget || !strings.Contains(err.Error(), "quota") || len(srv.Tags("team/app")) != 0 {
			t.Errorf("%v, tags %q", err, srv.Tags("team/app"))
		}
	})
	t.Run("a locked tag", func(t *testing.T) {
		t.Parallel()
		srv, client := newRegistry(t)
		was := srv.SeedImage(t, "team/app:v1")
		if _, err := client.Repository("team/app").Artifact("v1").UpdateTagAttributes(t.Context(), acr.ChangeableAttributes{WriteEnabled: new(false)}); err != nil {
			t.Fatal(err)
		}
		_, err := images.Push(t.Context(), dir, "v1", client.Repository("team/app"), "v1", nil)
		if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Name != "v1" || !errors.Is(err, acr.ErrLocked) {
			t.Errorf("%v", err)
		}
		if d, err := client.Repository("team/app").HeadManifest(t.Context(), "v1"); err != nil || d.Digest != was {
			t.Errorf("%v, %v", d, err)
		}
	})
}

// An upload that is refused before anything was read of the source is refused by the target, and the error says so.
func TestCopyRefusedUnread(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	large := strings.Repeat("a layer that is streamed ", 100<<10)
	s.name(s.image("amd64", large), "v1")
	dir := s.dir()
	_, from := newRegistry(t)
	pushLayout(t, dir, "v1", from.Repository("dev/app"), "v1", nil)
	srv, client := newRegistry(t)
	srv.On("StartUpload").Always().Status(403).Code("DENIED", "no way")
	for what, source := range map[string]images.Source{"layout": openLayout(t, dir, nil), "registry": images.Of(from.Repository("dev/app"))} {
		_, err := images.Copy(t.Context(), source, "v1", images.Of(client.Repository("team/app")), "v1", &images.CopyOptions{Concurrency: 1})
		e, ok := errors.AsType[*images.CopyError](err)
		if !ok || e.Side != images.AtTarget || e.Descriptor.Digest != digest.FromString(large) || !strings.Contains(err.Error(), "no way") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
