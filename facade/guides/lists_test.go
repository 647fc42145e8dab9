package guides_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func printTags(ctx context.Context, client *acr.Client, to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REPOSITORY\tTAG\tLOCKED")
	for name, err := range client.Repositories(ctx, nil) {
		if err != nil {
			return err
		}
		for tag, err := range client.Repository(name).Tags(ctx, nil) {
			if err != nil {
				return err
			}
			fmt.Fprintf(table, "%s\t%s\t%v\n", name, tag.Name, locked(tag.Attributes))
		}
	}
	return table.Flush()
}

func locked(a acr.Attributes) bool { return !a.WriteEnabled || !a.DeleteEnabled }

func printSizes(ctx context.Context, repository *acr.Repository, to io.Writer) error {
	manifests, err := acr.Collect(repository.Manifests(ctx, nil))
	if err != nil {
		return err
	}
	manifest := map[digest.Digest]acr.ManifestProperties{}
	for _, m := range manifests {
		manifest[m.Digest] = m
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TAG\tBYTES\tUPDATED")
	for tag, err := range repository.Tags(ctx, nil) {
		if err != nil {
			return err
		}
		bytes := manifest[tag.Digest].Size
		if images := manifest[tag.Digest].References; len(images) > 0 { // an index, whose own Size leaves out their layers
			bytes = 0
			for _, image := range images {
				bytes += manifest[image.Digest].Size
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", tag.Name, bytes, tag.LastUpdateTime.Format(time.DateOnly))
	}
	return table.Flush()
}

func latest(ctx context.Context, repository *acr.Repository) (acr.TagProperties, error) {
	for tag, err := range repository.Tags(ctx, &acr.ListTagsOptions{Order: acr.OrderByUpdateDescending, PageSize: 20}) {
		if err != nil || !strings.HasPrefix(tag.Name, "sha256-") {
			return tag, err // ends the list
		}
	}
	return acr.TagProperties{}, acr.ErrNotFound
}

func lockAll(ctx context.Context, repository *acr.Repository) error {
	lock := acr.ChangeableAttributes{WriteEnabled: new(false), DeleteEnabled: new(false)}
	for tag, err := range repository.Tags(ctx, nil) {
		if err != nil {
			return err
		}
		if _, err := repository.Artifact(tag.Name).UpdateTagAttributes(ctx, lock); err != nil {
			return err
		}
	}
	for manifest, err := range repository.Manifests(ctx, nil) {
		if err != nil {
			return err
		}
		if _, err := repository.Artifact(manifest.Digest.String()).UpdateManifestAttributes(ctx, lock); err != nil {
			return err
		}
	}
	return nil
}

func registryTime(ctx context.Context, client *acr.Client) (time.Time, error) {
	var response *http.Response
	if err := client.Ping(policy.WithCaptureResponse(ctx, &response)); err != nil {
		return time.Time{}, err
	}
	return http.ParseTime(response.Header.Get("Date"))
}

// Lock what is in a repository, and print all tags.
func Example_lists() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	srv.SeedImage(nil, "shop/api:v1")

	check(lockAll(ctx, client.Repository("shop/api")))
	fmt.Println(errors.Is(client.Repository("shop/api").Artifact("v1").Delete(ctx), acr.ErrLocked))
	check(printTags(ctx, client, os.Stdout))
	tag, err := latest(ctx, client.Repository("shop/web"))
	check(err)
	srv.Advance(time.Hour)
	srv.SeedImage(nil, "shop/web:sha256-"+tag.Digest.Encoded()+".sig") // signed
	tag, err = latest(ctx, client.Repository("shop/web"))
	fmt.Println(tag.Name, err)

	srv.SeedImage(nil, "shop/big:v1", make([]byte, 1000), make([]byte, 500))
	var sizes strings.Builder
	check(printSizes(ctx, client.Repository("shop/big"), &sizes))
	fmt.Println(strings.Contains(sizes.String(), "v1   1500   "+srv.Now().UTC().Format(time.DateOnly)))
	srv.SeedIndex(nil, "shop/both:v1", "amd64", "arm64")
	sizes.Reset()
	check(printSizes(ctx, client.Repository("shop/both"), &sizes))
	fmt.Println(strings.Fields(sizes.String())[4])
	// Output:
	// true
	// REPOSITORY  TAG  LOCKED
	// shop/api    v1   true
	// shop/web    v1   false
	// v1 <nil>
	// true
	// 236
}

// The time that a job reads is the registry's, also if the client has to sign in first.
func TestRegistryTime(t *testing.T) {
	t.Parallel()
	registry, client := newRegistry(t, acrtest.WithoutAnonymousPull())
	registry.Advance(90 * 24 * time.Hour)
	now, err := registryTime(t.Context(), client)
	if late := registry.Now().Sub(now); err != nil || late < 0 || late > time.Minute { // the header has whole seconds
		t.Errorf("%v before the registry's time, %v", late, err)
	}
}
