package images_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

// TestNilPointers: a nil pointer in an interface is refused like nil, before anything is sent.
func TestNilPointers(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx, r := t.Context(), client.Repository("team/app")
	srv.SeedImage(t, "team/app:v1")
	before := srv.Ledger().Count()
	layout := openLayout(t, t.TempDir(), &images.LayoutOptions{Create: true})
	blob := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromString("x"), Size: 1}
	manifest := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}
	pack := func(a *images.Artifact) error {
		a.Type = "application/vnd.example"
		_, err := images.Pack(ctx, r, "v2", a)
		return err
	}
	var file *os.File
	for name, row := range map[string]struct {
		argument string
		err      error
	}{
		"a file of an artifact":      {"File.Content", pack(&images.Artifact{Files: []images.File{{Name: "a", Content: file}}})},
		"a directory":                {"Artifact.Directory", pack(&images.Artifact{Directory: (*os.Root)(nil).FS()})},
		"an archive":                 {"w", images.WriteArchive(ctx, (*bytes.Buffer)(nil), images.Of(r), []string{"v1"}, nil)},
		"a blob of a layout":         {"content", layout.Push(ctx, blob, file)},
		"a manifest of a layout":     {"content", layout.Push(ctx, manifest, nil)},
		"a blob of a repository":     {"src", images.Of(r).Push(ctx, blob, file)},
		"a manifest of a repository": {"content", images.Of(r).Push(ctx, manifest, file)},
		"a manifest with a tag":      {"content", images.Of(r).PushReference(ctx, manifest, io.Reader(nil), "v2")},
	} {
		if e, ok := errors.AsType[*acr.ArgumentError](row.err); !ok || e.Argument != row.argument {
			t.Errorf("%s: %v", name, row.err)
		}
	}
	if n := srv.Ledger().Count(); n != before {
		t.Errorf("%d requests", n-before)
	}
}
