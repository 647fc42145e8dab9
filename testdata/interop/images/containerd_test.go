package images_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	containerd "github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

// containerd imports what ours wrote and pushes it; ours takes that around and back, and containerd fetches, exports and imports it.
func TestContainerd(t *testing.T) {
	t.Parallel()
	ctx, srv, l := t.Context(), acrtest.New(t), fixture.New(t)
	client, resolver := newClient(t, srv), containerdResolver(t, srv)
	_, packed := around(t, open(t, l.Dir), "v1")

	store := must[content.Store](t)(local.NewStore(t.TempDir()))
	root := containerdImport(t, store, packed)
	if root.Digest != l.Index.Digest {
		t.Fatalf("it imported %s instead of %s", root.Digest, l.Index.Digest)
	}
	pusher := must[remotes.Pusher](t)(resolver.Pusher(ctx, srv.Host()+"/by/containerd:v1"))
	if err := remotes.PushContent(ctx, pusher, root, store, oneAtATime(), platforms.All, nil); err != nil {
		t.Fatal(err)
	}

	dir, _ := around(t, images.Of(client.Repository("by/containerd")), "v1")
	back(t, dir, client.Repository("back/containerd"), l.Index)
	fetched := must[content.Store](t)(local.NewStore(t.TempDir()))
	name := srv.Host() + "/back/containerd:v1"
	got := containerdFetch(ctx, t, resolver, fetched, name)
	if got.Digest != l.Index.Digest {
		t.Errorf("it fetched %s instead of %s", got.Digest, l.Index.Digest)
	}

	exported := filepath.Join(t.TempDir(), "exported.tar")
	f := must[*os.File](t)(os.Create(exported))
	if err := archive.Export(ctx, fetched, f, archive.WithManifest(got, name, "example.com/other:v2"), archive.WithAllPlatforms()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	theirs, err := images.OpenArchive(exported)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }()
	for _, reference := range []string{name, "v1", "example.com/other:v2", "v2", string(got.Digest)} {
		if d, err := theirs.Resolve(ctx, reference); err != nil || d.Digest != l.Index.Digest {
			t.Errorf("%s: %v, %v", reference, d.Digest, err)
		}
	}
	around(t, theirs, "v1")
}

// containerdResolver signs in as the admin user.
func containerdResolver(t *testing.T, srv *acrtest.Server) remotes.Resolver {
	t.Helper()
	client := srv.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	user, password := srv.Admin()
	authorizer := docker.NewDockerAuthorizer(docker.WithAuthClient(client), docker.WithAuthCreds(func(string) (string, string, error) {
		return user, password, nil
	}))
	return docker.NewResolver(docker.ResolverOptions{Hosts: docker.ConfigureDefaultRegistries(
		docker.WithClient(client), docker.WithAuthorizer(authorizer), docker.WithPlainHTTP(func(string) (bool, error) { return false, nil }),
	)})
}

// oneAtATime keeps containerd's goroutines apart: its authorizer reads a token while another goroutine writes it.
func oneAtATime() *semaphore.Weighted { return semaphore.NewWeighted(1) }

// containerdImport imports an archive with one image and returns the image's descriptor.
func containerdImport(t *testing.T, store content.Store, file string) ocispec.Descriptor {
	t.Helper()
	f := must[*os.File](t)(os.Open(file))
	defer func() { _ = f.Close() }()
	top := must[ocispec.Descriptor](t)(archive.ImportIndex(t.Context(), store, f))
	below := must[[]ocispec.Descriptor](t)(containerd.Children(t.Context(), store, top))
	for _, d := range below {
		if d.Annotations[ocispec.AnnotationRefName] == "v1" {
			return d
		}
	}
	t.Fatalf("it imported no v1: %v", below)
	return ocispec.Descriptor{}
}

// containerdFetch fetches an image with all its platforms.
func containerdFetch(ctx context.Context, t *testing.T, r remotes.Resolver, store content.Store, name string) ocispec.Descriptor {
	t.Helper()
	_, d, err := r.Resolve(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	fetcher := must[remotes.Fetcher](t)(r.Fetcher(ctx, name))
	if err := containerd.Dispatch(ctx, containerd.Handlers(remotes.FetchHandler(store, fetcher), containerd.ChildrenHandler(store)), oneAtATime(), d); err != nil {
		t.Fatal(err)
	}
	return d
}
