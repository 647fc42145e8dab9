package images_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

// Copy an image with its signatures and all tags that it has, and mount what another repository has already.
func ExampleCopyOptions() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	from, to := client.Repository("samples/app"), client.Repository("team/app")
	must(images.Attach(ctx, from, "v1", &images.Artifact{Type: "application/vnd.example.signature"}))
	must(from.Tag(ctx, "v1", "stable", nil))

	report := must(images.Copy(ctx, images.Of(from), "v1", images.Of(to), "v1", &images.CopyOptions{
		Referrers: true,
		AllTags:   true,
		MountFrom: []string{"base/app"},
	}))
	for _, move := range report.Tags {
		fmt.Println("tag", move.Tag)
	}
	referrers := must(acr.Collect(to.Referrers(ctx, report.Root.Digest, nil)))
	fmt.Println(len(referrers), "signature")
	// Output:
	// tag stable
	// tag v1
	// 1 signature
}

// Copy over an image of which a blob was deleted: every blob is looked for.
func ExampleCopyOptions_checkBlobs() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	from, to := images.Of(client.Repository("samples/app")), images.Of(client.Repository("team/app"))
	platform := []ocispec.Platform{{OS: "linux", Architecture: "arm64"}}
	first := must(images.Copy(ctx, from, "v1", to, "v1", &images.CopyOptions{Platforms: platform}))
	layer := first.Nodes[0].Descriptor.Digest // blobs come before manifests
	fmt.Println(client.Repository("team/app").DeleteBlob(ctx, layer))

	for _, look := range []bool{false, true} {
		must(images.Copy(ctx, from, "v1", to, "v1", &images.CopyOptions{Platforms: platform, CheckBlobs: look}))
		_, err := client.Repository("team/app").HeadBlob(ctx, layer)
		fmt.Println("CheckBlobs", look, "- it is there:", err == nil)
	}
	// Output:
	// <nil>
	// CheckBlobs false - it is there: false
	// CheckBlobs true - it is there: true
}

// Copy a layer that its license forbids to distribute, which is left out otherwise.
func ExampleCopyOptions_foreign() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	from := client.Repository("samples/windows")
	must(images.Pack(ctx, from, "v1", &images.Artifact{
		Type:  "application/vnd.example.app",
		Files: []images.File{{Name: "base", MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Content: strings.NewReader("a layer")}},
	}))

	for _, foreign := range []bool{false, true} {
		report := must(images.Plan(ctx, images.Of(from), "v1", images.Of(client.Repository("team/windows")), "v1", &images.CopyOptions{Foreign: foreign}))
		fmt.Println(foreign, summary(report))
	}
	// Output:
	// false map[leave:1 mount:1 send:1]
	// true map[mount:2 send:1]
}

// See what a promotion would do; then move a tag that exists, and set the other tags of the image too.
func ExamplePromoteOptions() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	from, to := client.Repository("samples/app"), client.Repository("prod/app")
	must(from.Tag(ctx, "v1", "stable", nil))
	must(images.Pack(ctx, to, "v1", &images.Artifact{Type: "application/vnd.example.old"}))

	_, err := images.Promote(ctx, from, "v1", to, "v1", nil)
	fmt.Println(errors.Is(err, acr.ErrTagExists))
	plan := must(images.Promote(ctx, from, "v1", to, "v1", &images.PromoteOptions{Replace: true, AllTags: true, DryRun: true}))
	must(images.Promote(ctx, from, "v1", to, "v1", &images.PromoteOptions{Replace: true, AllTags: true}))
	tags := must(acr.Collect(to.TagNames(ctx, nil)))
	fmt.Println(len(plan.Tags), "tags planned:", tags)
	// Output:
	// true
	// 2 tags planned: [stable v1]
}

// Lock an image whose tag may still be moved.
func ExampleProtectOptions() {
	client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	must(images.Protect(ctx, repository, "v1", &images.ProtectOptions{AllowMoves: true}))
	tag := must(repository.Artifact("v1").TagProperties(ctx))
	fmt.Println("delete:", tag.Attributes.DeleteEnabled, "move:", tag.Attributes.WriteEnabled)
	// Output: delete: false move: true
}

// See what a mirror would do.
func ExampleMirrorOptions() {
	source, done := exampleRegistry()
	defer done()
	target, doneToo := exampleRegistry()
	defer doneToo()
	rules := []images.MirrorRule{{From: "samples/*", To: "mirror/*", Versions: ">=1 <2", Newest: 1}}

	for tag, err := range images.Mirror(context.Background(), images.OfClient(source), target, rules, &images.MirrorOptions{
		DryRun: true,
		Copy:   images.CopyOptions{Referrers: true},
	}) {
		fmt.Println(tag.To, tag.Tag, tag.State, len(tag.Report.Nodes), err)
	}
	_, err := target.Repository("mirror/app").Properties(context.Background())
	fmt.Println("copied:", !errors.Is(err, acr.ErrNotFound))
	// Output:
	// mirror/app v1 mirrored 7 <nil>
	// copied: false
}
