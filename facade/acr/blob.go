package acr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// HeadBlob returns the descriptor (digest and size) of a blob. It costs one HEAD request, and a
// second one to storage if the registry redirects it. The response is not proof that the content
// has the digest; to verify the content, read it with [Repository.GetBlob].
//
// Errors:
//   - [ErrBlobUnknown] if the blob does not exist (also matches [ErrNotFound])
//   - [ErrMalformedReply] if the response contains neither the digest nor the header
//     Docker-Distribution-Api-Version, so it may come from a portal or proxy
//   - [ErrInvalidArgument] if the repository name or digest is invalid
func (r *Repository) HeadBlob(ctx context.Context, dgst digest.Digest) (ocispec.Descriptor, error) {
	if err := r.checkBlob(ctx, dgst); err != nil {
		return ocispec.Descriptor{}, err
	}
	seen, err := r.lookAtBlob(ctx, dgst)
	if err == nil && !seen.ofRegistry {
		err = opHeadBlob.fail(contradicts(ErrMalformedReply, "the response names neither the digest nor the registry API, so it may be that of a portal or proxy"))
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return blobDescriptor("", dgst, seen.size), nil
}

// DeleteBlob deletes a blob from the repository, even if a manifest refers to it. It costs one
// request. If the response is lost and a retry finds the blob gone, DeleteBlob returns nil.
//
// Errors:
//   - [ErrBlobUnknown] if the blob does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the repository name or digest is invalid
func (r *Repository) DeleteBlob(ctx context.Context, dgst digest.Digest) error {
	if err := r.checkBlob(ctx, dgst); err != nil {
		return err
	}
	return r.take(ctx, opDeleteBlob, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.DeleteBlob(ctx, r.name, dgst)
	})
}

// MountBlob adds a blob of another repository of the same registry to this repository, without
// transferring its content. It costs two requests: one for the mount and one for the size. The
// identity must be allowed to pull from the other repository.
//
// Errors:
//   - [ErrNotMounted] if the registry does not mount the blob; upload it instead
//   - [ErrInvalidArgument] if a repository name or the digest is invalid
func (r *Repository) MountBlob(ctx context.Context, dgst digest.Digest, from string) (ocispec.Descriptor, error) {
	ctx = staying(ctx)
	if err := r.checkBlob(ctx, dgst); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := r.client.checkName(from); err != nil {
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
		return ocispec.Descriptor{}, failed("MountBlob", err)
	}
	if err == nil {
		err = errDeclined
	}
	return ocispec.Descriptor{}, failed("MountBlob", fmt.Errorf("%w: %w", ErrNotMounted, err))
}

var errDeclined = errors.New("the registry requires an upload")

// declined reports whether a failed mount means that the blob has to be uploaded: the source does
// not exist, or not for this identity.
func declined(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest:
		return true
	}
	return false
}

// mountFrom tries to mount a blob from one of the repositories. It returns true if one succeeded;
// otherwise an upload that the registry opened meanwhile, or nil.
func (s *uploadSession) mountFrom(ctx context.Context, dgst digest.Digest, from []string) (*transfer.State, bool, error) {
	var open *transfer.State
	for _, name := range from {
		if name == s.r.name || s.r.client.checkName(name) != nil {
			continue
		}
		state, mounted, err := s.mount(ctx, dgst, name)
		if err != nil && !declined(err) {
			if open != nil {
				s.abandon(ctx, open.Location)
			}
			return nil, false, err
		}
		if err != nil {
			continue
		}
		if open != nil {
			s.abandon(ctx, open.Location)
			open = nil
		}
		if mounted {
			return nil, true, nil
		}
		open = &state
	}
	return open, false, nil
}

// abandon cancels an upload that is not needed.
func (s *uploadSession) abandon(ctx context.Context, location string) {
	if location != "" {
		transfer.Abandon(ctx, s, location)
	}
}

// mount requests a blob of another repository. It returns true if the registry mounted it;
// otherwise the state of the upload that the registry opened instead.
func (s *uploadSession) mount(ctx context.Context, dgst digest.Digest, from string) (transfer.State, bool, error) {
	params := &gen.StartUploadParams{Mount: &dgst, From: new(from)}
	resp, err := s.do(ctx, opStartUpload, func(ctx context.Context) (*http.Response, error) {
		return s.r.client.gen.StartUploadWithBody(ctx, s.r.name, params, "", nil, noContentType)
	}, scopePull(from)...)
	if err != nil {
		return transfer.State{}, false, err
	}
	if resp.StatusCode == http.StatusCreated {
		wire.Drain(resp)
		return transfer.State{}, true, s.stored(opStartUpload, resp, dgst)
	}
	state, err := s.opened(resp)
	return state, false, err
}

// checkBlob checks the handle, the context and the digest.
func (r *Repository) checkBlob(ctx context.Context, dgst digest.Digest) error {
	return cmp.Or(r.bad(), checkContext(ctx), checkDigest(dgst))
}

// headBlob returns the size of a blob.
func (r *Repository) headBlob(ctx context.Context, dgst digest.Digest, extra ...string) (int64, error) {
	seen, err := r.lookAtBlob(ctx, dgst, extra...)
	return seen.size, err
}

// sight is what a HEAD request shows of a blob.
type sight struct {
	size       int64
	named      bool // the response names the digest; registries need not, and those that redirect to storage do not
	ofRegistry bool // the response is one that a registry gives: it names the digest or the API, or redirects
}

// lookAtBlob sends a HEAD request. A response that names another blob is an error.
func (r *Repository) lookAtBlob(ctx context.Context, dgst digest.Digest, extra ...string) (sight, error) {
	none := sight{size: transfer.Unknown}
	resp, err := r.do(ctx, opHeadBlob, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.HeadBlob(ctx, r.name, dgst)
	}, extra...)
	if err != nil {
		return none, err
	}
	stated, err := statedDigest(resp.Header, headerDigest)
	if err == nil {
		err = sameContent(stated, dgst)
	}
	if err != nil {
		wire.Drain(resp)
		return none, opHeadBlob.fail(err)
	}
	seen := sight{named: stated == dgst, ofRegistry: stated == dgst || namesAPI(resp)}
	if wire.IsRedirect(resp.StatusCode) {
		said := seen.ofRegistry
		seen.ofRegistry = true
		if resp, err = r.headStorage(ctx, resp); err != nil {
			if e, answered := errors.AsType[*Error](err); said && !errors.Is(err, ErrUntrusted) && (!answered || e.StatusCode != http.StatusNotFound) {
				err = &storageError{err}
			}
			return none, opHeadBlob.fail(err)
		}
	}
	wire.Drain(resp)
	if seen.size = resp.ContentLength; seen.size < 0 {
		return none, opHeadBlob.fail(contradicts(ErrMalformedReply, "the size of the blob is missing"))
	}
	return seen, nil
}

// storageError is what the question for a blob failed with at the storage: the registry has said that
// the blob is there. A redirect that does not name the digest or the API is not the registry's, and
// neither is one to where its blobs cannot be.
type storageError struct{ err error }

func (e *storageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *storageError) Unwrap() error { return e.err }

// headStorage follows the redirect of a HEAD request to storage.
func (r *Repository) headStorage(ctx context.Context, resp *http.Response) (*http.Response, error) {
	link, err := r.client.serving(resp).transport.BlobLink(resp)
	if err != nil {
		return nil, err
	}
	if resp, err = r.client.fetch(ctx, http.MethodHead, link, http.Header{}); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, storageFault(resp)
	}
	return resp, nil
}

// blobDescriptor returns the descriptor of a blob.
func blobDescriptor(mediaType string, dgst digest.Digest, size int64) ocispec.Descriptor {
	if mediaType == "" {
		mediaType = octetStream
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: dgst, Size: size}
}
