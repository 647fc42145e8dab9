package images_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// exampleRegistry stands for a registry in Azure: an emulator with an image for two platforms, samples/app:v1, and its client.
func exampleRegistry() (client *acr.Client, done func()) {
	srv, err := acrtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	srv.SeedIndex(nil, "samples/app:v1", "amd64", "arm64")
	client, err = acr.NewClient(srv.Endpoint(), srv.Credential(), &acr.ClientOptions{
		ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()},
	})
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		client.CloseIdleConnections()
		srv.Close()
	}
}

// exampleDir is a directory for the time of an example.
func exampleDir() (dir string, done func()) {
	dir, err := os.MkdirTemp("", "images-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// summary says what a report is about.
func summary(r *images.Report) string {
	actions := map[images.Action]int{}
	for _, n := range r.Nodes {
		actions[n.Action]++
	}
	return fmt.Sprint(actions)
}

// Pull an image into a layout, and push it to another repository. Blobs that are there already are not sent again.
func Example() {
	client, done := exampleRegistry()
	defer done()
	dir, remove := exampleDir()
	defer remove()
	ctx := context.Background()

	pulled := must(images.Pull(ctx, client.Repository("samples/app"), "v1", dir, nil))
	fmt.Println("pulled:", summary(pulled))
	pushed := must(images.Push(ctx, dir, "v1", client.Repository("team/app"), "v1", nil))
	fmt.Println("pushed:", summary(pushed))
	again := must(images.Push(ctx, dir, "v1", client.Repository("team/app"), "v1", nil))
	fmt.Println("again:", summary(again))
	// Output:
	// pulled: map[send:7]
	// pushed: map[send:7]
	// again: map[present:7]
}

// Copy an image within a registry: no bytes of its blobs move.
func ExampleCopy() {
	client, done := exampleRegistry()
	defer done()
	from, to := images.Of(client.Repository("samples/app")), images.Of(client.Repository("team/app"))

	report := must(images.Copy(context.Background(), from, "v1", to, "stable", nil))
	fmt.Println(report.Bytes.Mounted > 0, report.Tags[0].Tag, report.Tags[0].To == report.Root.Digest)
	// Output: true stable true
}

// Copy some platforms of an image, with an index that names only those.
func ExampleCopy_platforms() {
	client, done := exampleRegistry()
	defer done()
	from, to := images.Of(client.Repository("samples/app")), images.Of(client.Repository("team/app"))

	report := must(images.Copy(context.Background(), from, "v1", to, "v1", &images.CopyOptions{
		Platforms: []ocispec.Platform{{OS: "linux", Architecture: "arm64"}},
		KeepIndex: true,
	}))
	for _, n := range report.Nodes {
		if n.Action == images.Leave {
			fmt.Println("left out:", n.Role)
		}
	}
	// Unordered output:
	// left out: image
	// left out: index
}

// Show how far a copy has got.
func ExampleProgress() {
	client, done := exampleRegistry()
	defer done()
	from, to := images.Of(client.Repository("samples/app")), images.Of(client.Repository("team/app"))

	must(images.Copy(context.Background(), from, "v1", to, "v1", &images.CopyOptions{Progress: func(p images.Progress) {
		if p.Done {
			fmt.Printf("%d of %d, %t\n", p.Ready, p.Nodes, p.Bytes.Done() == p.Bytes.Total)
		}
	}}))
	// Output: 7 of 7, true
}

// Find out what a copy would do.
func ExamplePlan() {
	client, done := exampleRegistry()
	defer done()
	from, to := images.Of(client.Repository("samples/app")), images.Of(client.Repository("team/app"))

	plan := must(images.Plan(context.Background(), from, "v1", to, "v1", nil))
	fmt.Println(summary(plan))
	for _, t := range plan.Tags {
		fmt.Printf("tag %s is new: %t\n", t.Tag, t.From == "")
	}
	// Output:
	// map[mount:4 send:3]
	// tag v1 is new: true
}

// Push a layout, and refuse to move a tag that exists.
func ExamplePush() {
	client, done := exampleRegistry()
	defer done()
	dir, remove := exampleDir()
	defer remove()
	ctx := context.Background()
	must(images.Pull(ctx, client.Repository("samples/app"), "v1", dir, nil))

	_, err := images.Push(ctx, dir, "v1", client.Repository("team/app"), "v1", &images.CopyOptions{
		IfAbsent: true,                     // never move a tag
		Protect:  &images.ProtectOptions{}, // and lock the new one
	})
	fmt.Println(err)
	// Output: <nil>
}

// Pull one platform of an image into a layout.
func ExamplePull() {
	client, done := exampleRegistry()
	defer done()
	dir, remove := exampleDir()
	defer remove()

	report := must(images.Pull(context.Background(), client.Repository("samples/app"), "v1", dir, &images.CopyOptions{
		Platforms: []ocispec.Platform{{OS: "linux", Architecture: "arm64"}},
	}))
	fmt.Println(report.Root.MediaType)
	// Output: application/vnd.oci.image.manifest.v1+json
}

// Look into a layout, take a name away, and free what nothing needs any more.
func ExampleOpenLayout() {
	client, done := exampleRegistry()
	defer done()
	dir, remove := exampleDir()
	defer remove()
	ctx := context.Background()
	must(images.Pull(ctx, client.Repository("samples/app"), "v1", dir, nil))

	layout := must(images.OpenLayout(dir, nil))
	defer layout.Close()
	for e := range layout.Entries() {
		fmt.Println(e.Name, e.Descriptor.MediaType)
	}
	if err := layout.Untag(ctx, "v1"); err != nil {
		log.Fatal(err)
	}
	freed := must(layout.Prune(ctx))
	fmt.Println(layout.Path() == dir, freed > 0)
	// Output:
	// v1 application/vnd.oci.image.index.v1+json
	// true true
}

// Use a layout as oras-go's stores: push content, tag it, find it again.
func ExampleLayout() {
	dir, remove := exampleDir()
	defer remove()
	ctx := context.Background()
	layout := must(images.OpenLayout(dir, &images.LayoutOptions{Create: true}))
	defer layout.Close()

	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: "sha256:0dcba1d3de4e3c2ef5bff9c0d3eaefa2eb1e96e57ad46c0b4cdca23e4fdabcaf", Size: int64(len(manifest))}
	d.Digest = d.Digest.Algorithm().FromString(manifest)
	if err := layout.Push(ctx, d, strings.NewReader(manifest)); err != nil {
		log.Fatal(err)
	}
	if err := layout.Tag(ctx, d, "empty"); err != nil {
		log.Fatal(err)
	}
	found := must(layout.Resolve(ctx, "empty"))
	there := must(layout.Exists(ctx, found))
	content := must(layout.Fetch(ctx, found))
	defer content.Close()
	parents := must(layout.Predecessors(ctx, found))
	names := must(registry.Tags(ctx, layout))
	fmt.Println(there, len(parents), names)
	fmt.Println(layout.Delete(ctx, found))
	// Output:
	// true 0 [empty]
	// <nil>
}

// Write an image as a tar archive, and push it from there.
func ExampleWriteArchive() {
	client, done := exampleRegistry()
	defer done()
	dir, remove := exampleDir()
	defer remove()
	ctx := context.Background()
	file := filepath.Join(dir, "app.tar")

	f := must(os.Create(file))
	if err := images.WriteArchive(ctx, f, images.Of(client.Repository("samples/app")), []string{"v1"}, nil); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	report := must(images.Push(ctx, file, "v1", client.Repository("team/app"), "v1", nil))
	fmt.Println(summary(report))
	// Output: map[send:7]
}

// Read from an archive without unpacking it.
func ExampleOpenArchive() {
	client, done := exampleRegistry()
	defer done()
	dir, remove := exampleDir()
	defer remove()
	ctx := context.Background()
	file := filepath.Join(dir, "app.tar")
	f := must(os.Create(file))
	if err := images.WriteArchive(ctx, f, images.Of(client.Repository("samples/app")), []string{"v1"}, nil); err != nil {
		log.Fatal(err)
	}
	_ = f.Close()

	archive := must(images.OpenArchive(file))
	defer archive.Close()
	fmt.Println(must(archive.Resolve(ctx, "v1")).MediaType)
	// Output: application/vnd.oci.image.index.v1+json
}

// Give a repository to anything that was written for oras-go.
func ExampleOf() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()

	target := images.Of(client.Repository("samples/app")) // a registry.Repository, and an oras.GraphTarget
	d, content, err := target.FetchReference(ctx, "v1")
	if err != nil {
		log.Fatal(err)
	}
	defer content.Close()
	there := must(target.Exists(ctx, d))
	tags := must(registry.Tags(ctx, target))
	referrers := must(target.Predecessors(ctx, d))
	again := must(target.Fetch(ctx, d))
	defer again.Close()
	fmt.Println(d.MediaType, there, tags, len(referrers))
	fmt.Println(target.Delete(ctx, d))
	// Output:
	// application/vnd.oci.image.index.v1+json true [v1] 0
	// <nil>
}

// Give a whole registry to code that was written for oras-go.
func ExampleOfClient() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()

	all := images.OfClient(client)
	for _, name := range must(registry.Repositories(ctx, all)) {
		r := must(all.Repository(ctx, name))
		fmt.Println(name, must(registry.Tags(ctx, r)))
	}
	// Output: samples/app [v1]
}

// Pack files as an artifact, and read them back. Their names are data: here an os.Root keeps them in a directory.
func ExamplePack() {
	client, done := exampleRegistry()
	defer done()
	dir, remove := exampleDir()
	defer remove()
	ctx := context.Background()
	repository := client.Repository("models/tiny")

	must(images.Pack(ctx, repository, "v1", &images.Artifact{
		Type:      "application/vnd.example.model",
		Directory: fstest.MapFS{"config.json": {Data: []byte("{}")}, "weights.bin": {Data: []byte("...")}}, // usually os.DirFS(dir)
	}))
	root := must(os.OpenRoot(dir))
	defer root.Close()
	for file, err := range images.Files(ctx, images.Of(repository), "v1") {
		if err != nil {
			log.Fatal(err)
		}
		out := must(root.Create(file.Name))
		must(out.ReadFrom(file.Content))
		_ = out.Close()
		fmt.Println(file.Name, file.Size)
	}
	// Output:
	// config.json 2
	// weights.bin 3
}

// Attach an SBOM to an image, and show everything that belongs to it.
func ExampleAttach() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	must(images.Attach(ctx, repository, "v1", &images.Artifact{
		Type:  "application/spdx+json",
		Files: []images.File{{Name: "sbom.spdx.json", Content: strings.NewReader("{}")}},
	}))
	tree := must(images.Tree(ctx, images.Of(repository), "v1"))
	fmt.Println(tree.Tags, len(tree.Children), tree.Referrers[0].Descriptor.ArtifactType)
	for line := range strings.SplitSeq(tree.String(), "\n") {
		before, digest, _ := strings.Cut(line, "sha256:")
		fmt.Println(strings.TrimSpace(before + digest[64:]))
	}
	// Output:
	// [v1] 2 application/spdx+json
	// index  (v1)
	// ├─ image  linux/amd64
	// ├─ image  linux/arm64
	// └─ referrer  application/spdx+json
}

// Lock an image with everything that it consists of, look whether the locks still hold, and take them back.
func ExampleProtect() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	locked := must(images.Protect(ctx, repository, "v1", nil))
	fmt.Println(len(locked.Manifests), "manifests and tag", locked.Tag)
	must(repository.Artifact("v1").UpdateTagAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(true)}))
	for _, loose := range must(images.Drift(ctx, repository, locked)) {
		fmt.Println(loose)
	}
	fmt.Println(images.Unprotect(ctx, repository, locked))
	// Output:
	// 3 manifests and tag v1
	// v1: not locked against deletion
	// <nil>
}

// Promote an image with its signatures from one repository to another, and lock it there.
func ExamplePromote() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	must(images.Attach(ctx, client.Repository("samples/app"), "v1", &images.Artifact{Type: "application/vnd.example.signature"}))

	report := must(images.Promote(ctx, client.Repository("samples/app"), "v1", client.Repository("prod/app"), "v1", &images.PromoteOptions{
		Protect: &images.ProtectOptions{Referrers: true},
	}))
	fmt.Println(len(report.Protection.Manifests), "manifests are there and locked")
	// Output: 4 manifests are there and locked
}

// Wait until the replicas of a geo-replicated registry serve an image that was just pushed.
func ExampleWaitReadable() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	d := must(repository.Artifact("v1").Digest(ctx))

	// In Azure the repositories are of clients of myregistry.eastus.geo.azurecr.io and so on.
	fmt.Println(images.WaitReadable(ctx, d, 10*time.Minute, repository))
	// Output: <nil>
}

// Keep tags of one registry in another one.
func ExampleMirror() {
	source, done := exampleRegistry()
	defer done()
	target, doneToo := exampleRegistry()
	defer doneToo()
	rules := []images.MirrorRule{{From: "samples/*", To: "mirror/*", Tags: []string{"v*"}}}

	for range 2 {
		for tag, err := range images.Mirror(context.Background(), images.OfClient(source), target, rules, nil) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(tag.To, tag.Tag, tag.State)
		}
	}
	// Output:
	// mirror/app v1 mirrored
	// mirror/app v1 up to date
}
