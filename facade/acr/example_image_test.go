package acr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// Upload an image: its config, its layer, its manifest, its tag.
func Example_uploadImage() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/hello")

	config, err := repository.UploadBlob(ctx, strings.NewReader(`{"architecture":"amd64","os":"linux"}`), &acr.UploadOptions{MediaType: ocispec.MediaTypeImageConfig})
	if err != nil {
		log.Fatal(err)
	}
	layer, err := repository.UploadBlob(ctx, strings.NewReader("hello world"), &acr.UploadOptions{MediaType: ocispec.MediaTypeImageLayer})
	if err != nil {
		log.Fatal(err)
	}
	image, err := repository.PutImage(ctx, "demo", ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{layer}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("config  ", config.Digest)
	fmt.Println("layer   ", layer.Digest)
	fmt.Println("manifest", image.Digest)
	// Output:
	// config   sha256:9d99a75171aea000c711b34c0e5e3f28d3d537dd99d110eafbfbc2bd8e52c2bf
	// layer    sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9
	// manifest sha256:3814db98c6a7f79402c3fee82289f288ed5059bf193429bcf7ae935075b0896d
}

// Put images for two platforms under one tag.
func ExampleRepository_PutIndex() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	srv.SeedImage(nil, "samples/app:v1-arm64")

	var index ocispec.Index
	for tag, architecture := range map[string]string{"v1": "amd64", "v1-arm64": "arm64"} {
		image, err := repository.HeadManifest(ctx, tag)
		if err != nil {
			log.Fatal(err)
		}
		image.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		index.Manifests = append(index.Manifests, image)
	}
	desc, err := repository.PutIndex(ctx, "v1-all", index, nil)
	if err != nil {
		log.Fatal(err)
	}
	stored, err := repository.Artifact("v1-all").ManifestProperties(ctx)
	fmt.Println(desc.MediaType, len(stored.References), err)
	// Output: application/vnd.oci.image.index.v1+json 2 <nil>
}

// Push an image to a geo-replicated registry: all of it to one replica, so that the manifest finds its blobs.
func ExampleClient_PinAddress() {
	_, client, done := exampleRegistry()
	defer done()
	ctx, release := client.PinAddress(context.Background())
	defer release()
	repository := client.Repository("samples/hello")

	layer, err := repository.UploadBlob(ctx, strings.NewReader("hello world"), &acr.UploadOptions{MediaType: ocispec.MediaTypeImageLayer})
	if err != nil {
		log.Fatal(err)
	}
	config, err := repository.UploadBlob(ctx, strings.NewReader("{}"), &acr.UploadOptions{MediaType: ocispec.MediaTypeEmptyJSON})
	if err != nil {
		log.Fatal(err)
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.example.greeting",
		Config:       config,
		Layers:       []ocispec.Descriptor{layer},
	})
	if err != nil {
		log.Fatal(err)
	}
	artifact, err := repository.PutManifest(ctx, "greeting", manifest, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(artifact.Digest)
	// Output:
	// sha256:4e7bf45bccbde45f0482b0b353133c43228847bc3a7fd0686038d8e835cbdc82
}

// Read what belongs together from one replica of a geo-replicated registry, and from another region if that one goes away.
func ExampleClient_PinReads() {
	_, client, done := exampleRegistry() // with ClientOptions.FallbackEndpoints: "myregistry.westeurope.geo.azurecr.io"
	defer done()
	ctx, release := client.PinReads(context.Background())
	defer release()
	repository := client.Repository("samples/app")

	manifest, err := repository.GetManifest(ctx, "v1")
	if err != nil {
		log.Fatal(err)
	}
	image, err := manifest.Image()
	if err != nil {
		log.Fatal(err)
	}
	for _, layer := range image.Layers {
		desc, err := repository.HeadBlob(ctx, layer.Digest)
		fmt.Println(desc.Size == layer.Size, err)
	}
	// Output: true <nil>
}

// Download an image: its manifest, then the blobs that it names, each verified.
func Example_downloadImage() {
	srv, client, done := exampleRegistry()
	defer done()
	srv.SeedImage(nil, "samples/hello:demo", []byte("hello world"))
	ctx := context.Background()
	repository := client.Repository("samples/hello")
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	manifest, err := repository.GetManifest(ctx, "demo")
	if err != nil {
		log.Fatal(err)
	}
	image, err := manifest.Image()
	if err != nil {
		log.Fatal(err)
	}
	for _, blob := range append([]ocispec.Descriptor{image.Config}, image.Layers...) {
		path := filepath.Join(dir, blob.Digest.Encoded())
		if _, err := repository.DownloadBlobFile(ctx, blob.Digest, path, nil); err != nil {
			log.Fatal(err)
		}
	}
	layer, err := os.ReadFile(filepath.Join(dir, image.Layers[0].Digest.Encoded()))
	fmt.Printf("%s %v\n", layer, err)
	// Output: hello world <nil>
}

// Delete an image and its blobs.
func Example_deleteBlobs() {
	srv, client, done := exampleRegistry()
	defer done()
	srv.SeedImage(nil, "samples/hello:demo", []byte("hello world"))
	ctx := context.Background()
	repository := client.Repository("samples/hello")

	manifest, err := repository.GetManifest(ctx, "demo")
	if err != nil {
		log.Fatal(err)
	}
	image, err := manifest.Image()
	if err != nil {
		log.Fatal(err)
	}
	if err := repository.DeleteManifest(ctx, manifest.Descriptor.Digest); err != nil {
		log.Fatal(err)
	}
	for _, blob := range append([]ocispec.Descriptor{image.Config}, image.Layers...) {
		if err := repository.DeleteBlob(ctx, blob.Digest); err != nil {
			log.Fatal(err)
		}
		_, err := repository.HeadBlob(ctx, blob.Digest)
		fmt.Println("gone:", errors.Is(err, acr.ErrBlobUnknown))
	}
	// Output:
	// gone: true
	// gone: true
}

// Push a manifest unless the tag is there: one token is enough for the question and for the push.
func ExampleRepository_ForPush() {
	_, client, done := exampleRegistry()
	defer done()
	repository := client.Repository("samples/hello")
	ctx, usage := acr.WithUsage(repository.ForPush(context.Background()))

	_, err := repository.HeadManifest(ctx, "v1")
	if errors.Is(err, acr.ErrManifestUnknown) {
		_, err = repository.PutIndex(ctx, "v1", ocispec.Index{}, nil)
	}
	fmt.Println(usage().Tokens, err) // the refresh token, and an access token
	// Output: 2 <nil>
}
