package images_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// gate holds calls with invalid arguments against what they have to do: fail as the calls of package acr do, and send nothing.
type gate struct {
	t      *testing.T
	srv    *acrtest.Server
	before int
}

func (g *gate) refused(what, want string, err error) {
	g.t.Helper()
	if !errors.Is(err, acr.ErrInvalidArgument) || !strings.Contains(fmt.Sprint(err), want) {
		g.t.Errorf("%s: %v, want %s", what, err, want)
	}
	if n := g.srv.Ledger().Count(); n != g.before {
		g.t.Errorf("%s: %d requests were sent", what, n-g.before)
		g.before = n
	}
}

func smallArtifact() *images.Artifact {
	return &images.Artifact{Type: "application/vnd.example", Files: []images.File{{Name: "a", Content: strings.NewReader("a")}}}
}

// A reference that is invalid, or belongs to another repository, is refused before anything is sent.
func TestReferencesRefused(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx, app, other := t.Context(), client.Repository("team/app"), client.Repository("team/other")
	root := srv.SeedImage(t, "team/app:v1")
	g := &gate{t, srv, srv.Ledger().Count()}
	dir := filepath.Join(t.TempDir(), "layout")
	for reference, reason := range map[string]string{
		"v 1":                    "it may contain letters, digits",
		"y:v1":                   "a digest begins with sha256:",
		"v1@sha256:12":           "sha256 takes exactly 64",
		srv.Host() + "/x/y:v1":   "it is not in " + srv.Host() + "/team/app: write the tag or digest alone",
		srv.Host() + "/x/y:v 1":  "it must be a tag or a digest alone",
		srv.Host() + "/team/app": "it has neither tag nor digest",
		"":                       "it has neither tag nor digest",
	} {
		from := images.Of(app)
		_, copyErr := images.Copy(ctx, from, reference, images.Of(other), "v1", nil)
		_, planErr := images.Plan(ctx, from, reference, images.Of(other), "v1", nil)
		_, promoteErr := images.Promote(ctx, app, reference, other, "v1", nil)
		_, pullErr := images.Pull(ctx, app, reference, dir, nil)
		_, protectErr := images.Protect(ctx, app, reference, nil)
		_, treeErr := images.Tree(ctx, from, reference)
		var filesErr error
		for _, err := range images.Files(ctx, from, reference) {
			filesErr = err
		}
		archiveErr := images.WriteArchive(ctx, io.Discard, from, []string{"v1", reference}, nil)
		_, resolveErr := from.Resolve(ctx, reference)
		_, _, fetchErr := from.FetchReference(ctx, reference)
		image := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: root, Size: 2}
		for what, err := range map[string]error{
			"Copy": copyErr, "Plan": planErr, "Promote": promoteErr, "Pull": pullErr, "Protect": protectErr, "Tree": treeErr, "Files": filesErr,
			"WriteArchive": archiveErr, "Resolve": resolveErr, "FetchReference": fetchErr, "Untag": from.Untag(ctx, reference), "Tag": from.Tag(ctx, image, reference),
		} {
			g.refused(what+" "+reference, reason, err)
			if !errors.Is(err, errdef.ErrInvalidReference) && !errors.Is(err, errdef.ErrMissingReference) {
				t.Errorf("%s %s: oras-go does not understand %v", what, reference, err)
			}
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused Pull made a layout: %v", err)
	}
	_, attachErr := images.Attach(ctx, app, "v 1", smallArtifact())
	g.refused("Attach", "it may contain letters, digits", attachErr)
}

// The error for a reference that is missing says so once, and names only what there is.
func TestMissingReference(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx, app := t.Context(), client.Repository("team/app")
	full := srv.Host() + "/team/app"
	layout := openLayout(t, t.TempDir(), &images.LayoutOptions{Create: true})
	_, none := images.Copy(ctx, images.Of(app), "", layout, "v1", nil)
	_, noTag := images.Copy(ctx, images.Of(app), full, layout, "v1", nil)
	_, pull := images.Pull(ctx, app, "", t.TempDir(), nil)
	for err, want := range map[error]string{
		none:  "images: source " + full + ": acr: invalid reference: it has neither tag nor digest",
		noTag: "images: source " + full + ": acr: invalid reference \"" + full + "\": it has neither tag nor digest",
		pull:  "images: source " + full + ": acr: invalid reference: it has neither tag nor digest",
	} {
		if err.Error() != want || !errors.Is(err, errdef.ErrMissingReference) || !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, ofLayout := images.Copy(ctx, layout, "", images.Of(app), "v1", nil)
	if ofLayout == nil || strings.Contains(ofLayout.Error(), " :") {
		t.Error(ofLayout)
	}
}

// A tag that is invalid is refused before anything is sent.
func TestTagsRefused(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx, app, other := t.Context(), client.Repository("team/app"), client.Repository("team/other")
	root := srv.SeedImage(t, "team/app:v1")
	g := &gate{t, srv, srv.Ledger().Count()}
	for tag, reason := range map[string]string{
		"v 1":        `invalid tag "v 1": it may contain letters, digits`,
		"y:v1":       `invalid tag "y:v1": a digest begins with sha256:`,
		string(root): "it is a digest, not a tag",
	} {
		_, copyErr := images.Copy(ctx, images.Of(app), "v1", images.Of(other), tag, nil)
		_, planErr := images.Plan(ctx, images.Of(app), "v1", images.Of(other), tag, nil)
		_, promoteErr := images.Promote(ctx, app, "v1", other, tag, nil)
		_, packErr := images.Pack(ctx, other, tag, smallArtifact())
		for what, err := range map[string]error{"Copy": copyErr, "Plan": planErr, "Promote": promoteErr, "Pack": packErr} {
			g.refused(what+" to "+tag, reason, err)
		}
	}
}

// A repository whose name is invalid is refused before anything is sent to the other one.
func TestNamesRefused(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx, app, other, misnamed := t.Context(), client.Repository("team/app"), client.Repository("team/other"), client.Repository("X/y")
	srv.SeedImage(t, "team/app:v1")
	g := &gate{t, srv, srv.Ledger().Count()}
	const reason = `invalid repository "X/y": it must be lower-case letters and digits`
	for _, tag := range []string{"v1", ""} {
		_, copyErr := images.Copy(ctx, images.Of(app), "v1", images.Of(misnamed), tag, nil)
		_, planErr := images.Plan(ctx, images.Of(app), "v1", images.Of(misnamed), tag, nil)
		_, sourceErr := images.Copy(ctx, images.Of(misnamed), "v1", images.Of(app), tag, nil)
		_, promoteErr := images.Promote(ctx, app, "v1", misnamed, tag, nil)
		_, packErr := images.Pack(ctx, misnamed, tag, smallArtifact())
		for what, err := range map[string]error{"Copy": copyErr, "Plan": planErr, "Copy from": sourceErr, "Promote": promoteErr, "Pack": packErr} {
			g.refused(what+" X/y:"+tag, reason, err)
			if e, ok := errors.AsType[*images.CopyError](err); what != "Pack" && (!ok || e.Role != "repository" || e.Name != "X/y") {
				t.Errorf("%s: it does not say where: %v", what, err)
			}
		}
	}
	_, mountErr := images.Copy(ctx, images.Of(app), "v1", images.Of(other), "v1", &images.CopyOptions{MountFrom: []string{"team/base", "X/y"}})
	g.refused("MountFrom", `invalid CopyOptions.MountFrom "X/y": it must be lower-case`, mountErr)
	for _, rule := range []images.MirrorRule{{From: "team/app", To: "X/y", Tags: []string{"*"}}, {From: "team/*", To: "X/y", Tags: []string{"*"}}, {From: "X/y", Tags: []string{"*"}}} {
		for _, err := range images.Mirror(ctx, images.OfClient(client), client, []images.MirrorRule{rule}, nil) {
			g.refused("Mirror", `"X/y": it must be lower-case letters and digits`, err)
		}
	}
}

// A digest that is invalid is refused before anything is sent, and oras-go learns that it is one.
func TestDigestsRefused(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx, app := t.Context(), client.Repository("team/app")
	g := &gate{t, srv, srv.Ledger().Count()}
	_, blobErr := images.Of(app).Blobs().Resolve(ctx, "v1")
	g.refused("Blobs", "blobs have no tags", blobErr)
	bad := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:12", Size: 2}
	_, fetchErr := images.Of(app).Fetch(ctx, bad)
	_, existsErr := images.Of(app).Exists(ctx, bad)
	for _, err := range []error{fetchErr, existsErr, images.Of(app).Tag(ctx, bad, "v2"), images.Of(app).Delete(ctx, bad)} {
		if g.refused("a digest", "invalid digest", err); !errors.Is(err, errdef.ErrInvalidDigest) {
			t.Errorf("oras-go does not understand %v", err)
		}
	}
}
