package images_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Images and indexes that go-containerregistry makes, pushed by it, taken around by ours, and read by it again.
func TestGGCR(t *testing.T) {
	t.Parallel()
	image := must[v1.Image](t)
	index := must[v1.ImageIndex](t)
	docker := mutate.MediaType(mutate.ConfigMediaType(image(random.Image(1024, 3)), types.DockerConfigJSON), types.DockerManifestSchema2)
	nested := mutate.AppendManifests(index(random.Index(512, 2, 2)), mutate.IndexAddendum{Add: index(random.Index(256, 1, 2))})
	for what, made := range map[string]any{
		"image": image(random.Image(2048, 4)), "200 layers": image(random.Image(64, 200)), "empty image": empty.Image, "docker image": docker,
		"index": index(random.Index(1024, 2, 3)), "nested index": nested, "docker list": mutate.IndexMediaType(index(random.Index(128, 1, 2)), types.DockerManifestList),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			srv := acrtest.New(t)
			user, password := srv.Admin()
			opts := []remote.Option{remote.WithTransport(srv.HTTPClient().Transport), remote.WithAuth(&authn.Basic{Username: user, Password: password})}
			tag, err := name.NewTag(srv.Host() + "/made/by-ggcr:v1")
			if err != nil {
				t.Fatal(err)
			}
			switch m := made.(type) {
			case v1.Image:
				err = remote.Write(tag, m, opts...)
			case v1.ImageIndex:
				err = remote.WriteIndex(tag, m, opts...)
			}
			if err != nil {
				t.Fatal(err)
			}
			client := newClient(t, srv)
			dir, archive := around(t, images.Of(client.Repository("made/by-ggcr")), "v1")
			path, err := layout.FromPath(dir)
			if err != nil {
				t.Fatal(err)
			}
			inLayout := must[v1.ImageIndex](t)(path.ImageIndex())
			agrees(t, made, inLayout.Image, inLayout.ImageIndex)
			if _, err := images.Push(t.Context(), archive, "", client.Repository("back/archive"), "v1", nil); err != nil {
				t.Error(err)
			}
			tag = must[name.Tag](t)(name.NewTag(srv.Host() + "/back/archive:v1"))
			agrees(t, made, func(v1.Hash) (v1.Image, error) { return remote.Image(tag, opts...) }, func(v1.Hash) (v1.ImageIndex, error) { return remote.Index(tag, opts...) })
		})
	}
}

// agrees demands that go-containerregistry reads what it once made, and finds it valid.
func agrees(t *testing.T, made any, image func(v1.Hash) (v1.Image, error), index func(v1.Hash) (v1.ImageIndex, error)) {
	t.Helper()
	var err error
	var want, got v1.Hash
	switch m := made.(type) {
	case v1.Image:
		want = must[v1.Hash](t)(m.Digest())
		read := must[v1.Image](t)(image(want))
		got, err = must[v1.Hash](t)(read.Digest()), validate.Image(read, validate.Fast)
	case v1.ImageIndex:
		want = must[v1.Hash](t)(m.Digest())
		read := must[v1.ImageIndex](t)(index(want))
		got, err = must[v1.Hash](t)(read.Digest()), validate.Index(read, validate.Fast)
	}
	if err != nil || got != want {
		t.Errorf("it reads %s instead of %s: %v", got, want, err)
	}
}

// Its layout, to which it appends while ours reads; and its archive in Docker's old format, which has no manifests to keep.
func TestGGCRLayoutAndTarball(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "layout")
	path := must[layout.Path](t)(layout.Write(dir, empty.Index))
	client := newClient(t, acrtest.New(t))
	done := make(chan error, 1)
	go func() {
		for i := range 20 {
			made, err := random.Image(64, 1)
			if err == nil {
				err = path.AppendImage(made, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": fmt.Sprint("t", i)}))
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 50 {
		l, err := images.OpenLayout(dir, nil)
		if err != nil {
			t.Errorf("while it writes: %v", err)
			break
		}
		_ = l.Close()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"t0", "t19"} {
		if _, err := images.Push(t.Context(), dir, tag, client.Repository("team/app"), tag, nil); err != nil {
			t.Error(err)
		}
	}
	old := filepath.Join(t.TempDir(), "old.tar")
	if err := tarball.WriteToFile(old, must[name.Tag](t)(name.NewTag("example.com/app:v1")), must[v1.Image](t)(random.Image(64, 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := images.OpenArchive(old); !errors.Is(err, images.ErrNotLayout) {
		t.Errorf("%v", err)
	}
}
