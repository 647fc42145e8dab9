package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/acr"
)

// Blobs returns a store of the repository's blobs. It treats every descriptor as that of a blob,
// whatever its media type.
func (r *Repository) Blobs() registry.BlobStore { return blobStore{r} }

// Manifests returns a store of the repository's manifests. It treats every descriptor as that of a
// manifest, whatever its media type.
func (r *Repository) Manifests() registry.ManifestStore { return manifestStore{r} }

// blobStore is the blobs of a repository.
type blobStore struct{ r *Repository }

// Fetch implements content.Fetcher.
func (s blobStore) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	if err := checkStored(target); err != nil {
		return nil, err
	}
	r, err := s.r.ACR().GetBlob(ctx, target.Digest, &acr.GetBlobOptions{Size: target.Size})
	if err != nil {
		return nil, orasError(err)
	}
	return &translatingReader{r}, nil
}

// checkStored refuses the descriptor of a blob whose size cannot be right.
func checkStored(d ocispec.Descriptor) error {
	if checkDigest(d.Digest) != nil {
		return nil //nolint:nilerr // package acr refuses the digest
	}
	if err := checkEmpty(d); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	return nil
}

// translatingReader makes oras-go understand the errors of a read.
type translatingReader struct{ io.ReadCloser }

// Read implements io.Reader.
func (t *translatingReader) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // readers return it as it is
		err = orasError(err)
	}
	return n, err
}

// Exists implements content.ReadOnlyStorage.
func (s blobStore) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	_, err := s.r.ACR().HeadBlob(ctx, target.Digest)
	return exists(err)
}

func exists(err error) (bool, error) {
	if errors.Is(err, acr.ErrNotFound) {
		return false, nil
	}
	return err == nil, orasError(err)
}

// Push implements content.Pusher.
func (s blobStore) Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error {
	if err := checkStored(expected); err != nil {
		return err
	}
	_, err := s.r.ACR().UploadBlob(ctx, content, &acr.UploadOptions{Digest: expected.Digest, Size: expected.Size, MediaType: expected.MediaType})
	return orasError(err)
}

// Delete implements content.Deleter.
func (s blobStore) Delete(ctx context.Context, target ocispec.Descriptor) error {
	return orasError(s.r.ACR().DeleteBlob(ctx, target.Digest))
}

// Resolve implements content.Resolver.
func (s blobStore) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	d, err := s.digest(reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := s.r.ACR().HeadBlob(ctx, d)
	return desc, orasError(err)
}

// digest reads a reference, which must be a digest.
func (s blobStore) digest(reference string) (digest.Digest, error) {
	ref, err := s.r.reference("reference", reference)
	if err != nil {
		return "", err
	}
	d, err := parseDigest(ref)
	if err != nil {
		return "", orasError(&acr.ArgumentError{Argument: "reference", Value: reference, Reason: "blobs have no tags: write a digest"})
	}
	return d, nil
}

// FetchReference implements registry.ReferenceFetcher.
func (s blobStore) FetchReference(ctx context.Context, reference string) (ocispec.Descriptor, io.ReadCloser, error) {
	d, err := s.digest(reference)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	r, err := s.r.ACR().GetBlob(ctx, d, nil)
	if err != nil {
		return ocispec.Descriptor{}, nil, orasError(err)
	}
	return r.Descriptor(), &translatingReader{r}, nil
}

// manifestStore is the manifests of a repository.
type manifestStore struct{ r *Repository }

// Fetch implements content.Fetcher.
func (s manifestStore) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	if err := refuseDigest(target.Digest); err != nil {
		return nil, err
	}
	m, err := s.r.ACR().GetManifest(ctx, string(target.Digest))
	if err != nil {
		return nil, orasError(err)
	}
	if m.Descriptor.Size != target.Size {
		return nil, fmt.Errorf("images: manifest %s: %w: it has %d bytes instead of %d", target.Digest, acr.ErrSizeMismatch, m.Descriptor.Size, target.Size)
	}
	return manifestReader{bytes.NewReader(m.Content)}, nil
}

// Exists implements content.ReadOnlyStorage.
func (s manifestStore) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	if err := refuseDigest(target.Digest); err != nil {
		return false, err
	}
	_, err := s.r.ACR().HeadManifest(ctx, string(target.Digest))
	return exists(err)
}

// Push implements content.Pusher.
func (s manifestStore) Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error {
	return s.put(ctx, expected, content, string(expected.Digest))
}

// PushReference implements registry.ReferencePusher.
func (s manifestStore) PushReference(ctx context.Context, expected ocispec.Descriptor, content io.Reader, reference string) error {
	ref, err := s.r.reference("reference", reference)
	if err != nil {
		return err
	}
	return s.put(ctx, expected, content, ref)
}

func (s manifestStore) put(ctx context.Context, expected ocispec.Descriptor, content io.Reader, reference string) error {
	raw, err := readManifest(expected, content)
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	if err := refuseDigest(expected.Digest); err != nil {
		return err
	}
	if expected.Digest.Algorithm().FromBytes(raw) != expected.Digest {
		return fmt.Errorf("images: %w: the content is not that of %s", acr.ErrDigestMismatch, expected.Digest)
	}
	_, err = s.r.ACR().PutManifest(ctx, reference, raw, &acr.PutManifestOptions{MediaType: expected.MediaType})
	return orasError(err)
}

// Delete implements content.Deleter.
func (s manifestStore) Delete(ctx context.Context, target ocispec.Descriptor) error {
	return orasError(s.r.ACR().DeleteManifest(ctx, target.Digest))
}

// Resolve implements content.Resolver.
func (s manifestStore) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	ref, err := s.r.reference("reference", reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := s.r.ACR().HeadManifest(ctx, ref)
	return d, orasError(err)
}

// Tag implements content.Tagger.
func (s manifestStore) Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error {
	ref, err := s.r.reference("reference", reference)
	if err != nil {
		return err
	}
	if err := refuseDigest(desc.Digest); err != nil {
		return err
	}
	if ref == string(desc.Digest) {
		return nil // every manifest has that name
	}
	_, err = s.r.ACR().Tag(ctx, string(desc.Digest), ref, nil)
	return orasError(err)
}

// FetchReference implements registry.ReferenceFetcher.
func (s manifestStore) FetchReference(ctx context.Context, reference string) (ocispec.Descriptor, io.ReadCloser, error) {
	ref, err := s.r.reference("reference", reference)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	m, err := s.r.ACR().GetManifest(ctx, ref)
	if err != nil {
		return ocispec.Descriptor{}, nil, orasError(err)
	}
	return m.Descriptor, manifestReader{bytes.NewReader(m.Content)}, nil
}

// refuseDigest fails if a digest is invalid. Package acr would take the digest of a manifest for a reference.
func refuseDigest(d digest.Digest) error {
	if err := checkDigest(d); err != nil {
		return orasError(&acr.ArgumentError{Argument: "digest", Value: string(d), Reason: err.Error()})
	}
	return nil
}
