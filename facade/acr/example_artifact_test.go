package acr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// Set a tag's attributes: it can no longer be moved or deleted.
func ExampleArtifact_UpdateTagAttributes() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	artifact := client.Repository("samples/app").Artifact("v1")

	tag, err := artifact.UpdateTagAttributes(ctx, acr.ChangeableAttributes{WriteEnabled: new(false), DeleteEnabled: new(false)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", tag.Attributes)
	fmt.Println("locked:", errors.Is(artifact.DeleteTag(ctx), acr.ErrLocked))
	// Output:
	// {DeleteEnabled:false WriteEnabled:false ListEnabled:true ReadEnabled:true}
	// locked: true
}

// Set a manifest's attributes: lists no longer show it.
func ExampleArtifact_UpdateManifestAttributes() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	manifest, err := repository.Artifact("v1").UpdateManifestAttributes(ctx, acr.ChangeableAttributes{ListEnabled: new(false)})
	if err != nil {
		log.Fatal(err)
	}
	listed, err := acr.Collect(repository.Manifests(ctx, nil))
	fmt.Println(manifest.Attributes.ListEnabled, len(listed), err)
	// Output: false 1 <nil>
}

// Name an artifact as docker and other clients do.
func ExampleArtifact_Name() {
	client, err := acr.NewClient("myregistry.azurecr.io", nil, nil)
	if err != nil {
		log.Fatal(err)
	}

	name := client.Repository("samples/app").Artifact("v1").Name()
	fmt.Println(name.Registry, name.Repository, name.Tag)
	fmt.Println(name)
	// Output:
	// myregistry.azurecr.io samples/app v1
	// myregistry.azurecr.io/samples/app:v1
}

// Release a manifest from quarantine after a scan, with the scanner's verdict.
func ExampleArtifact_UpdateManifestAttributes_quarantine() {
	_, client, done := exampleRegistry()
	defer done()

	manifest, err := client.Repository("samples/app").Artifact("v1").UpdateManifestAttributes(context.Background(), acr.ChangeableAttributes{
		QuarantineState:   new("Passed"),
		QuarantineDetails: new(`{"state":"scan passed","link":"https://scanner.example/1"}`),
	})
	fmt.Println(manifest.QuarantineState, manifest.QuarantineDetails, err)
	// Output: Passed {"state":"scan passed","link":"https://scanner.example/1"} <nil>
}

func ExampleArtifact_Digest() {
	srv, client, done := exampleRegistry()
	defer done()
	seeded := srv.SeedImage(nil, "samples/app:v3")

	d, err := client.Repository("samples/app").Artifact("v3").Digest(context.Background())
	fmt.Println(d == seeded, err)
	// Output: true <nil>
}

func ExampleArtifact_ManifestProperties() {
	_, client, done := exampleRegistry()
	defer done()

	p, err := client.Repository("samples/app").Artifact("v1").ManifestProperties(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.OS, p.Architecture, p.MediaType, p.Tags)
	// Output: linux amd64 application/vnd.oci.image.manifest.v1+json [v1]
}

func ExampleArtifact_TagProperties() {
	_, client, done := exampleRegistry()
	defer done()

	p, err := client.Repository("samples/app").Artifact("v1").TagProperties(context.Background())
	fmt.Println(p.Name, p.Digest != "", p.Attributes.WriteEnabled, err)
	// Output: v1 true true <nil>
}

// List every tag that is on the same manifest.
func ExampleArtifact_Tags() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	if _, err := repository.Tag(ctx, "v1", "stable", nil); err != nil {
		log.Fatal(err)
	}

	for tag, err := range repository.Artifact("v1").Tags(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tag.Name)
	}
	// Output:
	// stable
	// v1
}

// Remove a tag; its manifest stays.
func ExampleArtifact_DeleteTag() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	if err := repository.Artifact("v1").DeleteTag(ctx); err != nil {
		log.Fatal(err)
	}
	p, err := repository.Properties(ctx)
	fmt.Println(p.TagCount, "tag", p.ManifestCount, "manifests", err)
	// Output: 1 tag 2 manifests <nil>
}

// Delete the manifest behind a tag, with all its tags.
func ExampleArtifact_Delete() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	if err := repository.Artifact("v1").Delete(ctx); err != nil {
		log.Fatal(err)
	}
	p, err := repository.Properties(ctx)
	fmt.Println(p.TagCount, "tag", p.ManifestCount, "manifest", err)
	// Output: 1 tag 1 manifest <nil>
}

// Delete a manifest.
func ExampleRepository_DeleteManifest() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	descriptor, err := repository.HeadManifest(ctx, "v1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(repository.DeleteManifest(ctx, descriptor.Digest))
	_, err = repository.HeadManifest(ctx, "v1")
	fmt.Println(errors.Is(err, acr.ErrNotFound))
	// Output:
	// <nil>
	// true
}

func ExampleRepository_HeadManifest() {
	_, client, done := exampleRegistry()
	defer done()

	descriptor, err := client.Repository("samples/app").HeadManifest(context.Background(), "v1")
	fmt.Println(descriptor.MediaType, err)
	// Output: application/vnd.oci.image.manifest.v1+json <nil>
}

// Get a manifest and look into it.
func ExampleRepository_GetManifest() {
	_, client, done := exampleRegistry()
	defer done()

	manifest, err := client.Repository("samples/app").GetManifest(context.Background(), "v1")
	if err != nil {
		log.Fatal(err)
	}
	image, err := manifest.Image()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(image.Config.MediaType, len(image.Layers), "layer")
	// Output: application/vnd.oci.image.config.v1+json 1 layer
}

// Put an index over two images, for two platforms.
func ExampleRepository_PutManifest() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, of := range []struct{ tag, architecture string }{{"v1", "amd64"}, {"v2", "arm64"}} {
		image, err := repository.HeadManifest(ctx, of.tag)
		if err != nil {
			log.Fatal(err)
		}
		image.Platform = &ocispec.Platform{OS: "linux", Architecture: of.architecture}
		index.Manifests = append(index.Manifests, image)
	}
	content, err := json.Marshal(index)
	if err != nil {
		log.Fatal(err)
	}
	descriptor, err := repository.PutManifest(ctx, "multi", content, nil)
	fmt.Println(descriptor.MediaType, err)
	// Output: application/vnd.oci.image.index.v1+json <nil>
}

// Find the image for a platform in an index.
func ExampleManifest_Index() {
	srv, client, done := exampleRegistry()
	defer done()
	srv.SeedIndex(nil, "samples/app:multi", "amd64", "arm64")
	ctx := context.Background()
	repository := client.Repository("samples/app")

	manifest, err := repository.GetManifest(ctx, "multi")
	if err != nil {
		log.Fatal(err)
	}
	index, err := manifest.Index()
	if err != nil {
		log.Fatal(err)
	}
	for _, of := range index.Manifests {
		if of.Platform.Architecture == "arm64" {
			image, err := repository.GetManifest(ctx, of.Digest.String())
			fmt.Println(image.Descriptor.Digest == of.Digest, err)
		}
	}
	// Output: true <nil>
}

// Look at what a tag is on, read it, and put another tag on it.
func ExampleArtifact_Tag() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	image := client.Repository("samples/app").Artifact("v1")

	head, err := image.Head(ctx)
	if err != nil {
		log.Fatal(err)
	}
	manifest, err := image.Get(ctx)
	if err != nil {
		log.Fatal(err)
	}
	tagged, err := image.Tag(ctx, "stable", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(head.Digest == manifest.Descriptor.Digest, tagged.Digest == head.Digest)
	// Output: true true
}

// Put a tag on an image that is there, unless the tag is taken.
func ExampleRepository_Tag() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	_, err := repository.Tag(ctx, "v1", "stable", &acr.TagOptions{IfAbsent: true})
	fmt.Println(err)
	_, err = repository.Tag(ctx, "v2", "stable", &acr.TagOptions{IfAbsent: true})
	fmt.Println(errors.Is(err, acr.ErrTagExists))
	// Output:
	// <nil>
	// true
}

// List what refers to an image: signatures, SBOMs, attestations.
func ExampleRepository_Referrers() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	image, err := repository.Artifact("v1").Digest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	srv.SeedReferrer(nil, "samples/app", image, "application/vnd.example.sbom")
	srv.SeedReferrer(nil, "samples/app", image, "application/vnd.example.signature")

	for referrer, err := range repository.Referrers(ctx, image, &acr.ReferrersOptions{ArtifactType: "application/vnd.example.sbom"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(referrer.ArtifactType)
	}
	// Output: application/vnd.example.sbom
}

// Wait until a tag that was pushed a moment ago, perhaps to another replica, is there.
func ExampleRepository_WaitForTag() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("library/hello-world")

	pushed, err := repository.Tag(ctx, "v1", "stable", nil)
	if err != nil {
		log.Fatal(err)
	}
	there, err := repository.WaitForTag(ctx, "stable", pushed.Digest, &acr.WaitForTagOptions{Timeout: time.Minute})
	fmt.Println(there.Digest == pushed.Digest, err)
	// Output: true <nil>
}

// Remove a tag, and learn which manifest it was on.
func ExampleArtifact_Untag() {
	_, client, done := exampleRegistry()
	defer done()

	repo := client.Repository("samples/app")
	before, err := repo.HeadManifest(context.Background(), "v1")
	if err != nil {
		log.Fatal(err)
	}
	was, err := repo.Artifact("v1").Untag(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(was == before.Digest)
	// Output:
	// true
}
