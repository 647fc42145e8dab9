package acr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// List the repositories.
func ExampleClient_Repositories() {
	_, client, done := exampleRegistry()
	defer done()

	for name, err := range client.Repositories(context.Background(), nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name)
	}
	// Output:
	// library/hello-world
	// samples/app
}

// List the repositories by the OCI catalog, from a name on.
func ExampleClient_RepositoryNames() {
	_, client, done := exampleRegistry()
	defer done()

	names, err := acr.Collect(client.RepositoryNames(context.Background(), &acr.ListOptions{After: "library/hello-world"}))
	fmt.Println(names, err)
	// Output: [samples/app] <nil>
}

// Gather a list into a slice.
func ExampleCollect() {
	_, client, done := exampleRegistry()
	defer done()

	names, err := acr.Collect(client.Repositories(context.Background(), nil))
	fmt.Println(len(names), err)
	// Output: 2 <nil>
}

func ExampleRepository_Properties() {
	_, client, done := exampleRegistry()
	defer done()

	p, err := client.Repository("samples/app").Properties(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Name, p.ManifestCount, "manifests", p.TagCount, "tags", p.Attributes.DeleteEnabled)
	// Output: samples/app 2 manifests 2 tags true
}

// Lock a repository, and see what that does.
func ExampleRepository_UpdateAttributes() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	if _, err := repository.UpdateAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(false)}); err != nil {
		log.Fatal(err)
	}
	_, err := repository.Delete(ctx)
	fmt.Println("locked:", errors.Is(err, acr.ErrLocked))

	if _, err := repository.UpdateAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(true)}); err != nil {
		log.Fatal(err)
	}
	deleted, err := repository.Delete(ctx)
	fmt.Println(len(deleted.Manifests), deleted.Tags, err)
	// Output:
	// locked: true
	// 2 [v1 v2] <nil>
}

func ExampleRepository_Delete() {
	_, client, done := exampleRegistry()
	defer done()

	deleted, err := client.Repository("samples/app").Delete(context.Background())
	fmt.Println(deleted.Tags, err)
	// Output: [v1 v2] <nil>
}

// List the tags of a repository, the newest first.
func ExampleRepository_Tags() {
	srv, client, done := exampleRegistry()
	defer done()
	srv.Advance(time.Minute)
	srv.SeedImage(nil, "samples/app:a-late-one")

	for tag, err := range client.Repository("samples/app").Tags(context.Background(), &acr.ListTagsOptions{Order: acr.OrderByUpdateDescending}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tag.Name)
		break // nothing more is asked for
	}
	// Output: a-late-one
}

// List the names of the tags alone.
func ExampleRepository_TagNames() {
	_, client, done := exampleRegistry()
	defer done()

	names, err := acr.Collect(client.Repository("samples/app").TagNames(context.Background(), nil))
	fmt.Println(names, err)
	// Output: [v1 v2] <nil>
}

// Find manifests without a tag.
func ExampleRepository_Manifests() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	if err := repository.Artifact("v1").DeleteTag(ctx); err != nil {
		log.Fatal(err)
	}

	untagged := 0
	opts := &acr.ListManifestsOptions{Concurrency: 8} // pays if there are many thousands
	for manifest, err := range repository.Manifests(ctx, opts) {
		if err != nil {
			log.Fatal(err)
		}
		if len(manifest.Tags) == 0 {
			untagged++
		}
	}
	fmt.Println(untagged)
	// Output: 1
}

// Delete all but the three newest images of each repository. Package retention keeps what an index contains, and the signatures
// of the images that stay.
func Example_keepThreeNewest() {
	srv, client, done := exampleRegistry()
	defer done()
	for i := range 4 {
		srv.Advance(time.Hour)
		srv.SeedImage(nil, fmt.Sprintf("samples/app:build-%d", i))
	}
	srv.Advance(48 * time.Hour)
	ctx := context.Background()

	plan, err := retention.Make(ctx, client, retention.KeepNewest(3, retention.Day, "**"), nil)
	if err != nil {
		log.Fatal(err)
	}
	var journal bytes.Buffer // a file, in a real job: Undo needs it
	if _, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: &journal}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Tags("library/hello-world"), srv.Tags("samples/app"))
	// Output:
	// [latest v1] [build-1 build-2 build-3]
}

// Bring back what was deleted by mistake, in a registry with soft delete.
func ExampleRepository_RestoreManifest() {
	_, client, done := exampleRegistry(acrtest.WithSoftDelete(7))
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	if err := repository.Artifact("v1").Delete(ctx); err != nil {
		log.Fatal(err)
	}

	for deleted, err := range repository.DeletedTags(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("restore", deleted.Name)
		if err := repository.RestoreManifest(ctx, deleted.Digest, &acr.RestoreManifestOptions{Tag: deleted.Name}); err != nil {
			log.Fatal(err)
		}
	}
	tags, err := acr.Collect(repository.TagNames(ctx, nil))
	fmt.Println(tags, err)
	// Output:
	// restore v1
	// [v1 v2] <nil>
}

// List what is in the recycle bin of a registry with soft delete.
func ExampleClient_DeletedRepositories() {
	_, client, done := exampleRegistry(acrtest.WithSoftDelete(7))
	defer done()
	ctx := context.Background()
	if _, err := client.Repository("samples/app").Delete(ctx); err != nil {
		log.Fatal(err)
	}

	for name, err := range client.DeletedRepositories(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		manifests, err := acr.Collect(client.Repository(name).DeletedManifests(ctx, nil))
		fmt.Println(name, len(manifests), err)
	}
	// Output: samples/app 2 <nil>
}

// Query the manifests of a registry with metadata search.
func ExampleClient_QueryMetadata() {
	_, client, done := exampleRegistry()
	defer done()

	query := "Manifests | where imageSize > 100 and os == 'linux' | order by repository asc | limit 2 | project repository, os"
	for row, err := range client.QueryMetadata(context.Background(), query) {
		if err != nil {
			log.Fatal(err)
		}
		var manifest struct{ Repository, OS string }
		if err := json.Unmarshal(row, &manifest); err != nil {
			log.Fatal(err)
		}
		fmt.Println(manifest.Repository, manifest.OS)
	}
	// Output:
	// library/hello-world linux
	// library/hello-world linux
}

// Count the manifests of a repository on the registry's side.
func ExampleRepository_QueryMetadata() {
	_, client, done := exampleRegistry()
	defer done()

	rows, err := acr.Collect(client.Repository("samples/app").QueryMetadata(context.Background(), "Manifests | count"))
	fmt.Printf("%s %v\n", rows, err)
	// Output: [{"Count":2}] <nil>
}

// Have images converted for artifact streaming when they are pushed.
func ExampleRepository_UpdateStreaming() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")

	before, err := repository.Streaming(ctx)
	if err != nil {
		log.Fatal(err)
	}
	after, err := repository.UpdateStreaming(ctx, true)
	fmt.Println(before.ConvertPushedImages, after.ConvertPushedImages, after.ConversionFormat, err)
	// Output: false true overlaybd <nil>
}

// Convert an image for artifact streaming, unless it has been converted, and wait for the result.
func ExampleRepository_StartConversion() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	dgst, err := repository.Artifact("v1").Digest(ctx)
	if err != nil {
		log.Fatal(err)
	}

	const streaming = "application/vnd.azure.artifact.streaming.v1"
	if found, err := acr.Collect(repository.Referrers(ctx, dgst, &acr.ReferrersOptions{ArtifactType: streaming})); err != nil || len(found) > 0 {
		log.Fatal(found, err)
	}
	conversion, err := repository.LastConversion(ctx, dgst)
	if errors.Is(err, acr.ErrNotFound) {
		conversion, err = repository.StartConversion(ctx, dgst)
	}
	if err != nil {
		log.Fatal(err)
	}
	status, err := conversion.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.State, status.Progress)

	found, err := acr.Collect(repository.Referrers(ctx, dgst, &acr.ReferrersOptions{ArtifactType: streaming}))
	fmt.Println(len(found), err)
	// Output:
	// Succeeded 100%
	// 1 <nil>
}

// Look at a conversion from another process, by its ID, and cancel it.
func ExampleRepository_Conversion() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	dgst, err := repository.Artifact("v1").Digest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	started, err := repository.StartConversion(ctx, dgst)
	if err != nil {
		log.Fatal(err)
	}

	conversion := repository.Conversion(started.ID())
	status, err := conversion.Poll(ctx)
	fmt.Println(status.State, status.Done(), err)
	status, err = conversion.Cancel(ctx)
	fmt.Println(status.State, status.Done(), err)
	_, err = conversion.Wait(ctx)
	fmt.Println(errors.Is(err, acr.ErrorCode(acr.ConversionCanceled)))
	// Output:
	// Running false <nil>
	// Canceled true <nil>
	// true
}
