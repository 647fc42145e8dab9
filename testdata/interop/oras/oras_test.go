// Package oras_test runs oras-go, unmodified, against the emulator.
package oras_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(s *acrtest.Server) *auth.Client {
	user, password := s.Admin()
	return &auth.Client{
		Client:               s.HTTPClient(),
		Cache:                auth.NewCache(),
		Credential:           auth.StaticCredential(s.Host(), auth.Credential{Username: user, Password: password}),
		BlockedRealmPrefixes: []netip.Prefix{}, // by default oras-go fetches no token from a loopback address
	}
}

func repository(t *testing.T, c *auth.Client, reference string) *remote.Repository {
	t.Helper()
	r, err := remote.NewRepository(reference)
	if err != nil {
		t.Fatal(err)
	}
	r.Client = c
	return r
}

func TestPushListCopyPullDelete(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name string
		opts []acrtest.Option
	}{
		{name: "as created"},
		{name: "no anonymous pull", opts: []acrtest.Option{acrtest.WithoutAnonymousPull()}},
		{name: "blobs inline", opts: []acrtest.Option{acrtest.WithInlineBlobs()}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			road(t.Context(), t, acrtest.New(t, mode.opts...))
		})
	}
}

func road(ctx context.Context, t *testing.T, s *acrtest.Server) {
	t.Helper()
	l, c := fixture.New(t), client(s)
	app, other := repository(t, c, s.Host()+"/team/app"), repository(t, c, s.Host()+"/mirror/app")
	store, err := oci.New(l.Dir)
	if err != nil {
		t.Fatal(err)
	}

	pushed, err := oras.ExtendedCopy(ctx, store, "v1", app, "v1", oras.DefaultExtendedCopyOptions)
	if err != nil {
		t.Fatalf("push: %v", err)
	}
	if pushed.Digest != l.Index.Digest {
		t.Errorf("pushed %s, want %s", pushed.Digest, l.Index.Digest)
	}

	reg, err := remote.NewRegistry(s.Host())
	if err != nil {
		t.Fatal(err)
	}
	reg.Client = c
	if err := reg.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	if names, err := registry.Repositories(ctx, reg); err != nil || !slices.Equal(names, []string{"team/app"}) {
		t.Errorf("repositories %q, %v", names, err)
	}
	if tags, err := registry.Tags(ctx, app); err != nil || !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("tags %q, %v", tags, err)
	}
	for _, artifactType := range []string{"", fixture.ReferrerType, "application/vnd.other"} {
		found, err := registry.Referrers(ctx, app, l.Index, artifactType)
		want := 1
		if artifactType == "application/vnd.other" {
			want = 0
		}
		if err != nil || len(found) != want || want == 1 && found[0].Digest != l.Referrer.Digest {
			t.Errorf("referrers of type %q: %v, %v", artifactType, found, err)
		}
	}

	if _, err := oras.ExtendedCopy(ctx, app, "v1", other, "v1", oras.DefaultExtendedCopyOptions); err != nil {
		t.Fatalf("copy: %v", err)
	}
	fresh := t.TempDir()
	target, err := oci.New(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oras.ExtendedCopy(ctx, other, "v1", target, "v1", oras.DefaultExtendedCopyOptions); err != nil {
		t.Fatalf("pull: %v", err)
	}
	l.Pulled(t, fresh, true)
	if _, err := oras.Tag(ctx, other, "v1", "latest"); err != nil {
		t.Errorf("tag: %v", err)
	}

	for _, d := range append([]ocispec.Descriptor{l.Referrer, l.Index}, l.Platforms...) {
		if err := app.Delete(ctx, d); err != nil {
			t.Errorf("delete %s: %v", d.Digest, err)
		}
	}
	if _, err := app.Resolve(ctx, "v1"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("after the delete: %v", err)
	}
	if _, err := other.Resolve(ctx, "latest"); err != nil {
		t.Errorf("the copy is gone: %v", err)
	}
}

// A repository token may pull one repository and no other.
func TestRepositoryToken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := acrtest.New(t, acrtest.WithoutAnonymousPull(), acrtest.WithRepositoryToken("ci", "secret", "team/* content/read,metadata/read"))
	l, admin := fixture.New(t), client(s)
	store, err := oci.New(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/team/app", "/private/app"} {
		if _, err := oras.Copy(ctx, store, "v1", repository(t, admin, s.Host()+name), "v1", oras.DefaultCopyOptions); err != nil {
			t.Fatal(err)
		}
	}
	ci := client(s)
	ci.Credential = auth.StaticCredential(s.Host(), auth.Credential{Username: "ci", Password: "secret"})
	if _, err := repository(t, ci, s.Host()+"/team/app").Resolve(ctx, "v1"); err != nil {
		t.Errorf("a pull within the scope map: %v", err)
	}
	if _, err := repository(t, ci, s.Host()+"/private/app").Resolve(ctx, "v1"); statusOf(err) != http.StatusUnauthorized {
		t.Errorf("a pull beyond the scope map: %v", err)
	}
	if _, err := oras.Tag(ctx, repository(t, ci, s.Host()+"/team/app"), "v1", "v2"); statusOf(err) != http.StatusUnauthorized {
		t.Errorf("a push beyond the scope map: %v", err)
	}
}

// statusOf is the HTTP status an error came with, 0 if with none.
func statusOf(err error) int {
	if resp, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return resp.StatusCode
	}
	return 0
}
