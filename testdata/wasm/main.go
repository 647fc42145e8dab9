// Program wasm uses a registry from WebAssembly: it lists the tags of a repository, pulls an image's layer and pushes one, over the fetch
// function of the JavaScript host. The test builds it with GOOS=js GOARCH=wasm and runs it under node.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/acrkit/acrkit/facade/acr"
)

func main() {
	if err := run(context.Background(), os.Getenv("REGISTRY"), os.Getenv("USERNAME"), os.Getenv("PASSWORD"), os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, registry, username, password string, out io.Writer) error {
	client, err := acr.NewClientWithPassword(registry, username, password, &acr.ClientOptions{AllowedHosts: []string{registry}})
	if err != nil {
		return err
	}
	repo := client.Repository("samples/app")
	for tag, err := range repo.Tags(ctx, &acr.ListTagsOptions{PageSize: 2}) {
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(out, "tag", tag.Name)
	}

	content := bytes.Repeat([]byte("wasm"), 512<<10) // 2 MiB: several chunks
	ctx, release := client.PinAddress(ctx)           // has no effect here, and must not turn fetch off
	defer release()
	blob, err := repo.UploadBlob(ctx, io.MultiReader(bytes.NewReader(content)), &acr.UploadOptions{ChunkSize: 512 << 10})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "pushed", blob.Size)

	reader, err := repo.GetBlob(ctx, blob.Digest, nil)
	if err != nil {
		return err
	}
	pulled, err := io.ReadAll(reader)
	if err := errors.Join(err, reader.Close()); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "pulled", len(pulled), bytes.Equal(pulled, content))

	_, err = repo.HeadManifest(ctx, "missing")
	_, _ = fmt.Fprintln(out, "missing", errors.Is(err, acr.ErrNotFound))
	return nil
}
