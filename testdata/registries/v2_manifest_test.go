package registries_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// image uploads a config and a layer and gives the manifest that names them.
func (e *env) image(ctx context.Context, architecture string, subject *ocispec.Descriptor) ([]byte, error) {
	config, err := e.repository.UploadBlob(ctx, strings.NewReader(fmt.Sprintf(`{"os":"linux","architecture":%q}`, architecture)),
		&acr.UploadOptions{MediaType: ocispec.MediaTypeImageConfig})
	if err != nil {
		return nil, err
	}
	layer, err := e.repository.UploadBlob(ctx, strings.NewReader("layer for "+architecture), &acr.UploadOptions{MediaType: ocispec.MediaTypeImageLayer})
	if err != nil {
		return nil, err
	}
	return json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer}, Subject: subject,
	})
}

// put stores the manifest of an image.
func (e *env) put(ctx context.Context, reference, architecture string, subject *ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	raw, err := e.image(ctx, architecture, subject)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	d, err := e.repository.PutManifest(ctx, reference, raw, nil)
	return d, raw, err
}

func (e *env) served(ctx context.Context, reference string, d ocispec.Descriptor, raw []byte) error {
	head, err := e.repository.HeadManifest(ctx, reference)
	if err != nil || head.Digest != d.Digest || head.Size != int64(len(raw)) || head.MediaType != d.MediaType {
		return fmt.Errorf("head of %s: %+v: %w", reference, head, err)
	}
	m, err := e.repository.GetManifest(ctx, reference)
	if err != nil || !bytes.Equal(m.Content, raw) || m.Descriptor.Digest != d.Digest {
		return fmt.Errorf("get of %s: %w", reference, err)
	}
	return nil
}

func manifestRoundTrip(ctx context.Context, e *env) error {
	d, raw, err := e.put(ctx, "v1", "amd64", nil)
	if err != nil {
		return err
	}
	return errors.Join(e.served(ctx, "v1", d, raw), e.served(ctx, d.Digest.String(), d, raw))
}

func indexRoundTrip(ctx context.Context, e *env) error {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, architecture := range []string{"amd64", "arm64"} {
		d, _, err := e.put(ctx, "", architecture, nil)
		if err != nil {
			return err
		}
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		index.Manifests = append(index.Manifests, d)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	d, err := e.repository.PutManifest(ctx, "v1", raw, nil)
	if err != nil {
		return err
	}
	return e.served(ctx, "v1", d, raw)
}

func unknownManifest(ctx context.Context, e *env) error {
	if _, _, err := e.put(ctx, "v1", "amd64", nil); err != nil {
		return err
	}
	if _, err := e.repository.HeadManifest(ctx, "nothing"); !errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("head: got %w", err)
	}
	_, err := e.repository.GetManifest(ctx, "nothing")
	return want(err, acr.ErrManifestUnknown)
}

func missingBlobs(ctx context.Context, e *env) error {
	raw, err := e.image(ctx, "amd64", nil)
	if err != nil {
		return err
	}
	raw = bytes.ReplaceAll(raw, []byte(digest.FromString("layer for amd64")), []byte(digest.FromString("no layer")))
	_, err = e.repository.PutManifest(ctx, "v1", raw, nil)
	return want(err, acr.ErrManifestBlobUnknown)
}

func deleteManifest(ctx context.Context, e *env) error {
	d, _, err := e.put(ctx, "v1", "amd64", nil)
	if err != nil {
		return err
	}
	if err := e.repository.DeleteManifest(ctx, d.Digest); err != nil {
		return err
	}
	if _, err := e.repository.GetManifest(ctx, "v1"); !errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("by tag: got %w", err)
	}
	_, err = e.repository.GetManifest(ctx, d.Digest.String())
	return want(err, acr.ErrNotFound)
}

func referrers(ctx context.Context, e *env) error {
	subject, _, err := e.put(ctx, "v1", "amd64", nil)
	if err != nil {
		return err
	}
	referrer, _, err := e.put(ctx, "", "arm64", &subject)
	if err != nil {
		return err
	}
	found, err := acr.Collect(e.repository.Referrers(ctx, subject.Digest, nil))
	if err != nil || len(found) != 1 || found[0].Digest != referrer.Digest {
		return fmt.Errorf("%v: %w", found, err)
	}
	return nil
}
