package images_test

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/content/oci"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

// unmade demands an ArgumentError about this argument, as one sentence without empty names.
func unmade(t *testing.T, call, argument string, err error) {
	t.Helper()
	e, ok := errors.AsType[*acr.ArgumentError](err)
	if !ok || e.Argument != argument || !strings.Contains(e.Reason, "nil") {
		t.Errorf("%s: %v, want one about %s", call, err, argument)
		return
	}
	if text := fmt.Sprint(err); strings.Contains(text, " :") || strings.Contains(text, "/:") || strings.Count(text, "acr: ") != 1 {
		t.Errorf("%s: %s", call, text)
	}
}

// TestUnmadeRepository: a repository that is nil, or whose client is, is named as the side that is wrong, before anything is sent.
func TestUnmadeRepository(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx, good := t.Context(), client.Repository("team/app")
	srv.SeedImage(t, "team/app:v1")
	before := srv.Ledger().Count()
	layout := newStock(t)
	layout.multi()
	dir := filepath.Join(t.TempDir(), "layout")
	protection := &images.Protection{Repository: "team/app", Tag: "v1", Digest: digest.FromString("x"), Manifests: []digest.Digest{digest.FromString("x")}}
	for _, r := range []*acr.Repository{nil, {}, (*acr.Client)(nil).Repository("team/app"), (&acr.Client{}).Repository("team/app")} {
		_, err := images.Pack(ctx, r, "v3", smallArtifact())
		unmade(t, "Pack", "Repository", err)
		_, err = images.Attach(ctx, r, "v3", smallArtifact())
		unmade(t, "Attach", "Repository", err)
		_, err = images.Protect(ctx, r, "v1", nil)
		unmade(t, "Protect", "Repository", err)
		unmade(t, "Unprotect", "Repository", images.Unprotect(ctx, r, protection))
		_, err = images.Drift(ctx, r, protection)
		unmade(t, "Drift", "Repository", err)
		unmade(t, "WaitReadable", "Repository", images.WaitReadable(ctx, protection.Digest, time.Minute, good, r))
		_, err = images.Copy(ctx, images.Of(r), "v1", images.Of(good), "v1", nil)
		unmade(t, "Copy from", "source", err)
		_, err = images.Copy(ctx, images.Of(good), "v1", images.Of(r), "v1", nil)
		unmade(t, "Copy to", "target", err)
		_, err = images.Plan(ctx, images.Of(good), "v1", images.Of(r), "v1", nil)
		unmade(t, "Plan", "target", err)
		_, err = images.Promote(ctx, r, "v1", good, "v1", nil)
		unmade(t, "Promote from", "source", err)
		_, err = images.Promote(ctx, good, "v1", r, "v1", nil)
		unmade(t, "Promote to", "target", err)
		_, err = images.Push(ctx, layout.dir(), "v1", r, "v1", nil)
		unmade(t, "Push", "target", err)
		_, err = images.Push(ctx, dir, "v1", r, "v1", nil)
		unmade(t, "Push of nothing", "target", err)
		_, err = images.Pull(ctx, r, "v1", dir, nil)
		unmade(t, "Pull", "source", err)
		_, err = images.Tree(ctx, images.Of(r), "v1")
		unmade(t, "Tree", "source", err)
		for _, err := range images.Files(ctx, images.Of(r), "v1") {
			unmade(t, "Files", "source", err)
		}
		unmade(t, "WriteArchive", "source", images.WriteArchive(ctx, io.Discard, images.Of(r), []string{"v1"}, nil))
		_, err = images.Of(r).Resolve(ctx, "v1")
		if e, ok := errors.AsType[*acr.ArgumentError](err); !ok || e.Argument != "Repository" && e.Argument != "Client" {
			t.Error(err)
		}
	}
	rules := []images.MirrorRule{{From: "team/*", Tags: []string{"*"}}}
	for _, c := range []*acr.Client{nil, {}} {
		for _, err := range images.Mirror(ctx, images.OfClient(client), c, rules, nil) {
			unmade(t, "Mirror to", "target", err)
		}
		for _, err := range images.Mirror(ctx, images.OfClient(c), client, rules, nil) {
			unmade(t, "Mirror from", "source", err)
		}
	}
	for _, err := range images.Mirror(ctx, nil, client, rules, nil) {
		unmade(t, "Mirror from nil", "source", err)
	}
	_, err := images.Drift(ctx, good, nil)
	unmade(t, "Drift of nothing", "Protection", err)
	for _, from := range []images.Source{nil, (*images.Repository)(nil), (*images.Layout)(nil), &images.Layout{}, (*oci.Store)(nil)} {
		_, err := images.Copy(ctx, from, "v1", images.Of(good), "v1", nil)
		unmade(t, fmt.Sprintf("Copy from %T", from), "source", err)
	}
	for _, to := range []images.Target{nil, (*images.Repository)(nil), (*images.Layout)(nil), &images.Layout{}, (*oci.Store)(nil)} {
		_, err := images.Copy(ctx, images.Of(good), "v1", to, "v1", nil)
		unmade(t, fmt.Sprintf("Copy to %T", to), "target", err)
	}
	if n := srv.Ledger().Count(); n != before {
		t.Errorf("%d requests", n-before)
	}
	if _, err := images.Pack(ctx, client.Repository(""), "v1", smallArtifact()); !errors.Is(err, acr.ErrInvalidArgument) || strings.Contains(err.Error(), " :") {
		t.Error(err)
	}
}
