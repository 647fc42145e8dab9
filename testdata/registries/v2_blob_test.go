package registries_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

func unknownBlob(ctx context.Context, e *env) error {
	if _, err := e.repository.UploadBlob(ctx, strings.NewReader("something"), nil); err != nil {
		return err
	}
	if _, err := e.repository.HeadBlob(ctx, digest.FromString("nothing")); !errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("stat: got %w", err)
	}
	_, err := e.repository.GetBlob(ctx, digest.FromString("nothing"), nil)
	return want(err, acr.ErrBlobUnknown)
}

func blobRange(ctx context.Context, e *env) error {
	content := noise(100_000)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	r, err := e.repository.GetBlobRange(ctx, d.Digest, 1000, 500)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, content[1000:1500]) {
		return fmt.Errorf("%d bytes: %w", len(got), err)
	}
	return nil
}

func mountBlob(ctx context.Context, e *env) error {
	content := noise(1000)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	target := e.client.Repository(e.name + "/mounted")
	if _, err := target.MountBlob(ctx, d.Digest, e.name); err != nil {
		return err
	}
	return e.holds(ctx, target, d.Digest, content)
}

func deleteBlob(ctx context.Context, e *env) error {
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(noise(10)), nil)
	if err != nil {
		return err
	}
	if err := e.repository.DeleteBlob(ctx, d.Digest); err != nil {
		return err
	}
	_, err = e.repository.GetBlob(ctx, d.Digest, nil)
	return want(err, acr.ErrNotFound)
}
