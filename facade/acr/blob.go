package acr

import (
	"context"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

// StatBlob returns the descriptor (digest and size) of a blob. It costs one HEAD request. Errors: ErrBlobUnknown (ErrNotFound),
// ErrInvalidName, ErrInvalidDigest.
func (r *Repository) StatBlob(ctx context.Context, dgst digest.Digest) (ocispec.Descriptor, error) {
	if err := r.checkBlob(dgst); err != nil {
		return ocispec.Descriptor{}, err
	}
	size, err := r.headBlob(ctx, dgst)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return blobDescriptor("", dgst, size), nil
}

// MountBlob makes a blob of another repository of the same registry a blob of this one, without moving a byte. It costs two requests. The
// identity needs the right to pull there. Errors: ErrNotMounted, ErrInvalidDigest, ErrInvalidName.
func (r *Repository) MountBlob(ctx context.Context, dgst digest.Digest, from string) (ocispec.Descriptor, error) {
	if err := r.checkBlob(dgst); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := checkName(from); err != nil {
		return ocispec.Descriptor{}, err
	}
	s := &uploadSession{r: r}
	state, mounted, err := s.mount(ctx, dgst, from)
	switch {
	case err == nil && mounted:
		size, err := r.headBlob(ctx, dgst)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return blobDescriptor("", dgst, size), nil
	case err == nil:
		s.abandon(ctx, state.Location)
	case !declined(err):
		return ocispec.Descriptor{}, transferred("MountBlob", err)
	}
	if err == nil {
		err = errDeclined
	}
	return ocispec.Descriptor{}, &transferError{"MountBlob", fmt.Errorf("%w: %w", ErrNotMounted, err)}
}

// DeleteBlob deletes a blob from the repository, also one that manifests name. It costs one request. Errors: ErrBlobUnknown (ErrNotFound),
// ErrInvalidName, ErrInvalidDigest.
func (r *Repository) DeleteBlob(ctx context.Context, dgst digest.Digest) error {
	if err := r.checkBlob(dgst); err != nil {
		return err
	}
	return r.take(ctx, opDeleteBlob, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.DeleteBlob(ctx, r.name, dgst)
	})
}

// checkBlob refuses what is wrong with the handle or the digest.
func (r *Repository) checkBlob(dgst digest.Digest) error {
	if r.err != nil {
		return r.err
	}
	return checkDigest(dgst)
}

// headBlob returns the size of a blob.
func (r *Repository) headBlob(ctx context.Context, dgst digest.Digest, extra ...string) (int64, error) {
	resp, err := r.do(ctx, opHeadBlob, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.HeadBlob(ctx, r.name, dgst)
	}, extra...)
	if err != nil {
		return 0, err
	}
	if wire.IsRedirect(resp.StatusCode) {
		if resp, err = r.headStorage(ctx, resp); err != nil {
			return 0, opHeadBlob.fail(err)
		}
	}
	wire.Drain(resp)
	if resp.ContentLength < 0 {
		return 0, opHeadBlob.fail(contradicts(ErrMalformedReply, "the size of the blob is missing"))
	}
	return resp.ContentLength, nil
}

// headStorage asks the storage that the registry points to.
func (r *Repository) headStorage(ctx context.Context, resp *http.Response) (*http.Response, error) {
	link, err := r.client.transport.BlobLink(resp)
	if err != nil {
		return nil, err
	}
	if resp, err = r.client.transport.Fetch(ctx, link, http.Header{}); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, storageFault(resp)
	}
	return resp, nil
}

// blobDescriptor is the descriptor of a blob.
func blobDescriptor(mediaType string, dgst digest.Digest, size int64) ocispec.Descriptor {
	if mediaType == "" {
		mediaType = octetStream
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: dgst, Size: size}
}
