package guides_test

import (
	"context"
	"fmt"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
)

func cleanUp(ctx context.Context, client *acr.Client, limit time.Time) error {
	repository := client.Repository("shop/web")
	for manifest, err := range repository.Manifests(ctx, nil) {
		if err != nil {
			return err
		}
		if len(manifest.Tags) > 0 || len(manifest.References) > 0 || manifest.LastUpdateTime.After(limit) {
			continue
		}
		fmt.Println("untagged:", manifest.OS, manifest.Architecture) // package retention knows whether an index needs it
	}
	_, err := repository.Tag(ctx, "v1", "stable", nil)
	return err
}

// Read, tag, delete.
func Example_migrating() {
	srv, client, done := start()
	defer done()
	check(cleanUp(context.Background(), client, srv.Now().Add(time.Hour)))
	fmt.Println(srv.Tags("shop/web"))
	// Unordered output:
	// untagged: linux arm64
	// untagged: linux amd64
	// [stable v1]
}
