package images_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

func TestPackAndFiles(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx := t.Context()
	r := client.Repository("models/tiny")
	artifact := func() *images.Artifact {
		return &images.Artifact{
			Type:        "application/vnd.example.model",
			Files:       []images.File{{Name: "README.md", Content: strings.NewReader("read me"), MediaType: "text/markdown", Annotations: map[string]string{"k": "v"}}},
			Directory:   fstest.MapFS{"b/weights.bin": {Data: []byte("weights")}, "a.json": {Data: []byte("{}")}},
			Annotations: map[string]string{"org.example": "yes"},
		}
	}
	d, err := images.Pack(ctx, r, "v1", artifact())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := images.Pack(ctx, r, "v2", artifact()); err != nil || again.Digest != d.Digest {
		t.Errorf("the same files have another digest: %s and %s, %v", d.Digest, again.Digest, err)
	}
	m, err := r.GetManifest(ctx, "v1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := m.Image()
	if err != nil || image.ArtifactType != "application/vnd.example.model" || image.Config.MediaType != ocispec.MediaTypeEmptyJSON || image.Annotations["org.example"] != "yes" || len(image.Layers) != 3 {
		t.Errorf("%+v, %v", image, err)
	}
	want := []string{"README.md=read me", "a.json={}", "b/weights.bin=weights"}
	var got []string
	for f, err := range images.Files(ctx, images.Of(r), "v1") {
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f.Content)
		if err != nil || int64(len(content)) != f.Size {
			t.Error(err)
		}
		if f.Name == "README.md" && (f.MediaType != "text/markdown" || f.Annotations["k"] != "v" || len(f.Annotations) != 1) {
			t.Errorf("%+v", f)
		}
		got = append(got, f.Name+"="+string(content))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%q, want %q", got, want)
	}
	for range images.Files(ctx, images.Of(r), "v1") {
		break
	}
	// Nothing but its type.
	if _, err := images.Pack(ctx, r, "", &images.Artifact{Type: "application/vnd.example.mark"}); err != nil {
		t.Error(err)
	}
	before := srv.Ledger().Count()
	for name, a := range map[string]*images.Artifact{
		"nothing":        nil,
		"no type":        {},
		"a bad type":     {Type: "sbom; charset=x"},
		"no name":        {Type: "a/b", Files: []images.File{{Content: strings.NewReader("x")}}},
		"no content":     {Type: "a/b", Files: []images.File{{Name: "x"}}},
		"one name twice": {Type: "a/b", Files: []images.File{{Name: "x", Content: strings.NewReader("x")}}, Directory: fstest.MapFS{"x": {}}},
	} {
		if _, err := images.Pack(ctx, r, "v3", a); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := images.Attach(ctx, r, "v1", nil); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Error(err)
	}
	if n := srv.Ledger().Count(); n != before {
		t.Errorf("%d requests for what cannot be packed", n-before)
	}
	for _, err := range images.Files(ctx, images.Of(r), "nowhere") {
		if !errors.Is(err, acr.ErrNotFound) {
			t.Error(err)
		}
	}
}

// TestFilesOfIndex: an index has no files of its own, which is an error; the layers of an image without titles are none.
func TestFilesOfIndex(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	root := srv.SeedIndex(t, "team/app:v1", "amd64", "arm64")
	srv.SeedImage(t, "team/app:image", []byte("layer"))
	r := images.Of(client.Repository("team/app"))
	pairs := 0
	for f, err := range images.Files(t.Context(), r, "v1") {
		pairs++
		e, ok := errors.AsType[*images.CopyError](err)
		if f != nil || !ok || e.Side != images.FromSource || e.Descriptor.Digest != root || !errors.Is(err, images.ErrAmbiguous) {
			t.Errorf("%+v, %v", f, err)
		}
	}
	if pairs != 1 {
		t.Errorf("%d pairs for an index", pairs)
	}
	for f, err := range images.Files(t.Context(), r, "image") {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestPackFileNames: a name that is no path below a directory, on any system, is refused before anything is sent.
func TestPackFileNames(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	r := client.Repository("models/tiny")
	pack := func(name string) error {
		files := []images.File{{Name: "a", Content: strings.NewReader("a")}, {Name: name, Content: strings.NewReader("b")}}
		_, err := images.Pack(t.Context(), r, "v1", &images.Artifact{Type: "a/b", Files: files})
		return err
	}
	for _, name := range []string{
		"", ".", "..", "../x", "b/../x", "b/..", "./x", "/", "/x", "b//x", "b/", `C:\x`, "C:/x", "c:x", `b\x`, `..\x`, `\x`, "b\x00", "b\xff",
	} {
		err := pack(name)
		if e, ok := errors.AsType[*acr.ArgumentError](err); !ok || e.Argument != "File.Name" || e.Value != name || strings.Contains(err.Error(), "\x00") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n := srv.Ledger().Count(); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, name := range []string{"b", "b/c.bin", "..b", "b..", ".b", "b/c d", "sha256:b", "ü/b"} {
		if err := pack(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAttachAndTree(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx := t.Context()
	srv.SeedIndex(t, "team/app:v1", "amd64", "arm64")
	r := client.Repository("team/app")
	sbom, err := images.Attach(ctx, r, "v1", &images.Artifact{Type: "application/vnd.example.sbom", Files: []images.File{{Name: "sbom.json", Content: strings.NewReader("{}")}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := images.Attach(ctx, r, string(sbom.Digest), &images.Artifact{Type: "application/vnd.example.signature"}); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Attach(ctx, r, "nowhere", &images.Artifact{Type: "a/b"}); !errors.Is(err, acr.ErrNotFound) {
		t.Error(err)
	}
	tree, err := images.Tree(ctx, images.Of(r), "v1")
	if err != nil {
		t.Fatal(err)
	}
	if tree.Role != "index" || len(tree.Children) != 2 || len(tree.Children[0].Blobs) != 2 || len(tree.Referrers) != 1 || len(tree.Referrers[0].Referrers) != 1 || len(tree.Tags) != 1 || tree.Tags[0] != "v1" {
		t.Errorf("%s", tree)
	}
	for _, want := range []string{"index sha256:", "├─ image sha256:", " linux/arm64", "└─ referrer " + string(sbom.Digest) + " application/vnd.example.sbom", "   └─ referrer", "(v1)"} {
		if !strings.Contains(tree.String(), want) {
			t.Errorf("%q is not in\n%s", want, tree)
		}
	}
	s := newStock(t)
	root, _ := s.multi()
	delete(s.blobs, s.image("arm64", "shared layer", "layer for arm64").Digest)
	tree, err = images.Tree(ctx, openLayout(t, s.dir(), nil), "v1")
	if err != nil || tree.Descriptor.Digest != root.Digest || !tree.Children[1].Missing || tree.Children[0].Missing {
		t.Errorf("%s, %v", tree, err)
	}
}
