package guides_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

func copyImage(ctx context.Context, dev, prod *acr.Client) error {
	from, to := images.Of(dev.Repository("shop/web")), images.Of(prod.Repository("shop/web"))
	report, err := images.Copy(ctx, from, "v1", to, "v1", &images.CopyOptions{
		Referrers: true, // signatures, SBOMs, attestations
	})
	if err != nil {
		return err
	}
	fmt.Println("v1:", len(report.Nodes), "manifests and blobs,", len(report.Tags), "tags") // v1 and those of cosign
	return nil
}

func promote(ctx context.Context, registry *acr.Client) error {
	dev, prod := registry.Repository("dev/web"), registry.Repository("prod/web")
	_, err := images.Promote(ctx, dev, "v1", prod, "v1", &images.PromoteOptions{
		Protect: &images.ProtectOptions{}, // nobody moves or deletes it
	})
	return err
}

func mirror(ctx context.Context, from, to *acr.Client) error {
	rules := []images.MirrorRule{{From: "shop/*", To: "mirror/*", Versions: ">=1.4 <2", Newest: 5}}
	options := &images.MirrorOptions{Copy: images.CopyOptions{Referrers: true}}
	var failed []error
	for tag, err := range images.Mirror(ctx, images.OfClient(from), to, rules, options) {
		if err != nil {
			return err // the mirror has ended
		}
		fmt.Println(tag.To, tag.Tag, tag.State)
		failed = append(failed, tag.Err) // nil, or why this tag was not copied
	}
	return errors.Join(failed...)
}

func packDirectory(ctx context.Context, repository *acr.Repository, dir string) error {
	_, err := images.Pack(ctx, repository, "v1", &images.Artifact{
		Type:      "application/vnd.example.model",
		Directory: os.DirFS(dir),
	})
	return err
}

func unpack(ctx context.Context, repository *acr.Repository, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for file, err := range images.Files(ctx, images.Of(repository), "v1") {
		if err != nil {
			return err
		}
		if err := root.MkdirAll(path.Dir(file.Name), 0o755); err != nil {
			return err
		}
		out, err := root.Create(file.Name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, file.Content); err != nil {
			return errors.Join(err, out.Close())
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
	return nil
}

func attachSBOM(ctx context.Context, repository *acr.Repository, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = images.Attach(ctx, repository, "v1", &images.Artifact{
		Type:  "application/spdx+json",
		Files: []images.File{{Name: filepath.Base(path), Content: f}},
	})
	return err
}

func kind(ctx context.Context, repository *acr.Repository, reference string) (string, error) {
	manifest, err := repository.GetManifest(ctx, reference)
	if err != nil {
		return "", err
	}
	switch manifest.Descriptor.MediaType {
	case ocispec.MediaTypeImageIndex, acr.MediaTypeDockerManifestList:
		return "index", nil // Manifest.Index decodes it
	}
	image, err := manifest.Image()
	if err != nil {
		return "", err
	}
	if image.Subject != nil {
		return "referrer", nil // such as a signature or an SBOM of the manifest image.Subject.Digest
	}
	return "image", nil
}

// Attach an SBOM, copy the image with it to another registry, and promote it there.
func Example_images() {
	ctx := context.Background()
	devServer, dev, done := start()
	defer done()
	prodServer, prod, doneToo := start()
	defer doneToo()
	dir, remove := tempDir()
	defer remove()
	sbom := filepath.Join(dir, "sbom.spdx.json")
	check(os.WriteFile(sbom, []byte("{}"), 0o600))

	check(attachSBOM(ctx, dev.Repository("shop/web"), sbom))
	root, err := dev.Repository("shop/web").Artifact("v1").Digest(ctx)
	check(err)
	devServer.SeedImage(nil, "shop/web:sha256-"+root.Encoded()+".sig")
	check(copyImage(ctx, dev, prod))
	what, err := kind(ctx, prod.Repository("shop/web"), "v1")
	check(err)
	tree, err := images.Tree(ctx, images.Of(prod.Repository("shop/web")), "v1")
	check(err)
	fmt.Println(what, len(tree.Children), tree.Referrers[0].Descriptor.ArtifactType)
	for _, d := range []digest.Digest{tree.Children[0].Descriptor.Digest, tree.Referrers[0].Descriptor.Digest} {
		what, err := kind(ctx, prod.Repository("shop/web"), d.String())
		fmt.Println(what, err)
	}

	_, err = images.Copy(ctx, images.Of(prod.Repository("shop/web")), "v1", images.Of(prod.Repository("dev/web")), "v1", nil)
	check(err)
	check(promote(ctx, prod))
	tag, err := prod.Repository("prod/web").Artifact("v1").TagProperties(ctx)
	check(err)
	fmt.Println(prodServer.Tags("prod/web"), "locked:", !tag.Attributes.WriteEnabled)
	// Output:
	// v1: 12 manifests and blobs, 2 tags
	// index 2 application/spdx+json
	// image <nil>
	// referrer <nil>
	// [v1] locked: true
}

// Mirror the newest versions into another registry, twice.
func Example_mirror() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	_, other, doneToo := start()
	defer doneToo()
	for _, version := range []string{"1.3.9", "1.4.0", "1.5.0", "2.0.0"} {
		srv.SeedImage(nil, "shop/web:"+version)
	}
	check(mirror(ctx, client, other))
	check(mirror(ctx, client, other))
	// Output:
	// mirror/web 1.4.0 mirrored
	// mirror/web 1.5.0 mirrored
	// mirror/web 1.4.0 up to date
	// mirror/web 1.5.0 up to date
}

// Upload a directory, and download it into another one.
func Example_directory() {
	ctx := context.Background()
	_, client, done := start()
	defer done()
	dir, remove := tempDir()
	defer remove()
	other, removeToo := tempDir()
	defer removeToo()
	check(os.Mkdir(filepath.Join(dir, "float16"), 0o700))
	check(os.WriteFile(filepath.Join(dir, "float16", "weights.bin"), []byte("..."), 0o600))

	check(packDirectory(ctx, client.Repository("models/tiny"), dir))
	check(unpack(ctx, client.Repository("models/tiny"), other))
	content, err := os.ReadFile(filepath.Join(other, "float16", "weights.bin"))
	fmt.Println(string(content), err)
	// Output: ... <nil>
}
