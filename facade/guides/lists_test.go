package guides_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
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
			fmt.Fprintf(table, "%s\t%s\t%v\n", name, tag.Name, !tag.Attributes.WriteEnabled)
		}
	}
	return table.Flush()
}

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
		for _, image := range manifest[tag.Digest].References { // of an index, whose own Size leaves out their layers
			bytes += manifest[image.Digest].Size
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", tag.Name, bytes, tag.LastUpdateTime.Format(time.DateOnly))
	}
	return table.Flush()
}

func latest(ctx context.Context, repository *acr.Repository) (acr.TagProperties, error) {
	for tag, err := range repository.Tags(ctx, &acr.ListTagsOptions{Order: acr.OrderByUpdateDescending, PageSize: 1}) {
		return tag, err // the first one ends the list
	}
	return acr.TagProperties{}, acr.ErrNotFound
}

func lockTags(ctx context.Context, repository *acr.Repository) error {
	for tag, err := range repository.Tags(ctx, nil) {
		if err != nil {
			return err
		}
		locked := acr.ChangeableAttributes{WriteEnabled: new(false), DeleteEnabled: new(false)}
		if _, err := repository.Artifact(tag.Name).UpdateTagAttributes(ctx, locked); err != nil {
			return err
		}
	}
	return nil
}

// Lock the tags of a repository, and print all tags.
func Example_lists() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	srv.SeedImage(nil, "shop/api:v1")

	check(lockTags(ctx, client.Repository("shop/api")))
	check(printTags(ctx, client, os.Stdout))
	tag, err := latest(ctx, client.Repository("shop/web"))
	fmt.Println(tag.Name, err)

	srv.SeedImage(nil, "shop/big:v1", make([]byte, 1000), make([]byte, 500))
	var sizes strings.Builder
	check(printSizes(ctx, client.Repository("shop/big"), &sizes))
	fmt.Println(strings.Contains(sizes.String(), "v1   1500   "+srv.Now().UTC().Format(time.DateOnly)))
	// Output:
	// REPOSITORY  TAG  LOCKED
	// shop/api    v1   true
	// shop/web    v1   false
	// v1 <nil>
	// true
}
