package acr

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/gen"
)

// Media types of Docker manifests, which this package accepts in addition to those of OCI.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// acceptManifests lists every media type that a registry may hold. Without the right one ACR
// converts a Docker manifest to schema 1, which has another digest; see
// https://distribution.github.io/distribution/spec/manifest-v2-2/#backward-compatibility.
var acceptManifests = strings.Join([]string{
	ocispec.MediaTypeImageManifest,
	ocispec.MediaTypeImageIndex,
	MediaTypeDockerManifest,
	MediaTypeDockerManifestList,
	"application/vnd.oci.artifact.manifest.v1+json",
	"application/vnd.cncf.oras.artifact.manifest.v1+json",
	"*/*",
}, ", ")

// maxManifestSize is how much of a manifest is read into memory, and the largest manifest that is
// stored. Microsoft's SDKs have the same limit.
const maxManifestSize = 4 << 20

// Manifest is a manifest with its exact bytes.
type Manifest struct {
	Descriptor ocispec.Descriptor // media type, digest and size, computed from the content
	Content    []byte
}

// Image decodes an image manifest of OCI or Docker.
//
// Errors:
//   - [ErrManifestMalformed] if the manifest is not an image manifest, or cannot be decoded
func (m *Manifest) Image() (*ocispec.Manifest, error) {
	if m == nil {
		return nil, malformedManifest("it is nil")
	}
	if k := kindOf(m.Descriptor.MediaType); k != kindImage {
		return nil, malformedManifest("%s is not the media type of an image manifest", quote(m.Descriptor.MediaType))
	}
	v := new(ocispec.Manifest)
	if err := json.Unmarshal(m.Content, v); err != nil {
		return nil, malformedManifest("%v", err)
	}
	return v, nil
}

// Index decodes an image index of OCI, or a manifest list of Docker.
//
// Errors:
//   - [ErrManifestMalformed] if the manifest is not an index, or cannot be decoded
func (m *Manifest) Index() (*ocispec.Index, error) {
	if m == nil {
		return nil, malformedManifest("it is nil")
	}
	if k := kindOf(m.Descriptor.MediaType); k != kindIndex {
		return nil, malformedManifest("%s is not the media type of an index", quote(m.Descriptor.MediaType))
	}
	v := new(ocispec.Index)
	if err := json.Unmarshal(m.Content, v); err != nil {
		return nil, malformedManifest("%v", err)
	}
	return v, nil
}

// GetManifest returns the manifest that a tag or digest refers to, of any media type. Its digest is
// computed and compared with the requested one and with the one in the response. It costs one
// request, or two if the first response may have been cut short, and at most 4 MiB of memory.
//
// Errors:
//   - [ErrManifestUnknown] if the manifest or tag does not exist (also matches [ErrNotFound])
//   - [ErrDigestMismatch] if the content has another digest
//   - [ErrManifestMalformed] if the manifest contradicts itself or its media type
//   - [ErrTooLarge] if the manifest is larger than 4 MiB
//   - [ErrInvalidArgument] if the repository name or reference is invalid
func (r *Repository) GetManifest(ctx context.Context, reference string) (*Manifest, error) {
	want, err := r.checkReference(reference)
	if err != nil {
		return nil, err
	}
	params := &gen.GetManifestParams{Accept: acceptManifests}
	send := func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.GetManifest(ctx, r.name, reference, params)
	}
	var m *Manifest
	_, err = r.client.read(ctx, question{op: opGetManifest, name: r.name, limit: maxManifestSize, send: send, use: func(got reply) (bool, error) {
		var err error
		if m, err = verifyManifest(got, want); err != nil {
			// A response that does not say how long it is looks complete when it is cut short.
			return got.length < 0, got.fail(opGetManifest, err)
		}
		return false, nil
	}})
	return m, err
}

// verifyManifest returns the manifest of a response if it is the one that was requested.
func verifyManifest(got reply, want digest.Digest) (*Manifest, error) {
	mediaType := mediaTypeOf(got.header)
	if isSchema1(mediaType) {
		return nil, malformedManifest("the registry sent Docker schema 1 (%s), whose digest is not that of its bytes", mediaType)
	}
	if len(got.body) == 0 {
		return nil, malformedManifest("it is empty")
	}
	stated, err := statedDigest(got.header, headerDigest)
	if err != nil {
		return nil, err
	}
	for _, d := range []digest.Digest{want, stated} {
		if computed := computedAs(d, got.body); d != "" && computed != d {
			return nil, contradicts(ErrDigestMismatch, "the manifest has the digest %s instead of %s", computed, d)
		}
	}
	d := want
	if d == "" {
		d = stated
	}
	if d == "" {
		d = digest.FromBytes(got.body)
	}
	mediaType, err = checkManifest(got.body, mediaType)
	if err != nil {
		return nil, err
	}
	return &Manifest{Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(got.body))}, Content: got.body}, nil
}

// HeadManifest returns the media type, digest and size of the manifest that a tag or digest refers
// to. It costs one HEAD request. If the response lacks one of these, has a size of 0 (as some
// proxies send), or has a digest of another algorithm than the requested one, it costs a second
// request, that of [Repository.GetManifest].
//
// Errors are those of [Repository.GetManifest].
func (r *Repository) HeadManifest(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	want, err := r.checkReference(reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	params := &gen.HeadManifestParams{Accept: acceptManifests}
	resp, err := r.do(ctx, opHeadManifest, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.HeadManifest(ctx, r.name, reference, params)
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	_ = resp.Body.Close()
	stated, _ := statedDigest(resp.Header, headerDigest) // GetManifest says what is wrong with it
	d := ocispec.Descriptor{MediaType: mediaTypeOf(resp.Header), Digest: stated, Size: resp.ContentLength}
	switch {
	case want != "" && d.Digest != "" && d.Digest != want && sameAlgorithm(d.Digest, want):
		return ocispec.Descriptor{}, opHeadManifest.fail(contradicts(ErrDigestMismatch, "the registry states %s instead of %s", d.Digest, want))
	case d.Digest == "" || want != "" && d.Digest != want || d.Size <= 0 || d.MediaType == "":
		m, err := r.GetManifest(ctx, reference)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return m.Descriptor, nil
	}
	return d, nil
}

// DeleteManifest deletes a manifest with all tags that point to it, and the referrers whose subject
// it is. Deleting an index keeps its manifests. A manifest is deleted even if an index refers to
// it. If the response is lost and a retry finds the manifest gone, DeleteManifest returns nil.
//
// It costs one request. The first deletion of a client may cost one more, which asks whether the
// registry has a referrers API.
//
// If the registry has no referrers API (for example with customer-managed keys), each deletion
// costs two more requests. If the manifest is a referrer, its entry is then removed from the
// referrers tag of its subject (see [Repository.Referrers]), as the OCI distribution specification
// requires. That costs three more requests and a quarter of a second. If it fails, the returned
// error says that the manifest has been deleted.
//
// Errors:
//   - [ErrManifestUnknown] if the manifest does not exist (also matches [ErrNotFound])
//   - [ErrLocked] if the manifest or one of its tags is locked
//   - [ErrInvalidArgument] if the repository name or digest is invalid
func (r *Repository) DeleteManifest(ctx context.Context, dgst digest.Digest) error {
	ctx = staying(ctx)
	if r.bad() != nil {
		return r.bad()
	}
	if err := checkDigest(dgst); err != nil {
		return err
	}
	subject, err := r.listedSubject(ctx, dgst)
	if err != nil {
		return opDeleteManifest.within(err)
	}
	err = r.take(ctx, opDeleteManifest, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.DeleteManifest(ctx, r.name, string(dgst))
	})
	if err != nil || subject == "" {
		return err
	}
	if err := r.forgetReferrer(ctx, subject, dgst); err != nil {
		return opDeleteManifest.fail(fmt.Errorf("%s is deleted, but still listed as a referrer of its subject: %w", dgst, err))
	}
	return nil
}

// checkReference checks the handle and the reference and, if that is a digest, returns it.
func (r *Repository) checkReference(reference string) (digest.Digest, error) {
	if r.bad() != nil {
		return "", r.bad()
	}
	_, d, err := parseReference(reference)
	return d, err
}

// mediaTypeOf returns the Content-Type without parameters; empty if it is missing or says nothing
// about the manifest.
func mediaTypeOf(h http.Header) string {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType == "application/octet-stream" || mediaType == "application/json" || strings.HasPrefix(mediaType, "text/") {
		return ""
	}
	return mediaType
}

// ListManifestsOptions are the options of a list of manifests.
type ListManifestsOptions struct {
	// PageSize is the number of manifests per request. Registries return at most 1000. Default:
	// 1000.
	PageSize int
	// After starts the list after this digest. In the default order it need not exist. Default:
	// from the beginning.
	After string
	// Order is the sort order. Default: by digest.
	Order Order
	// Concurrency is the maximum number of pages that are requested at the same time, at most 100.
	// If it is more than 1, the client does not wait for the link to the next page: it estimates
	// where later pages begin and requests them ahead. The entries, their order and the errors are
	// the same. Up to Concurrency pages are held in memory. A list costs about an eighth more
	// requests; breaking out of the loop, or a wrong estimate, costs up to Concurrency more. Lists
	// with an Order are not requested ahead. Default: 1.
	Concurrency int
}

// Manifests lists the repository's manifests with their properties, with or without tags. Requests
// and errors are those of [Repository.Tags].
//
// In the default order it is safe to delete manifests while ranging. With an Order by time, collect
// the list first: each page starts after the last manifest of the previous one, which must still
// exist.
func (r *Repository) Manifests(ctx context.Context, opts *ListManifestsOptions) iter.Seq2[ManifestProperties, error] {
	l, q := orderedList(r, opListManifests, decodeManifests, func(m *ManifestProperties) string { return string(m.Digest) }, given(opts))
	l.even = true
	params := &gen.ListManifestsParams{N: q.n, Last: q.last, Orderby: q.by, APIVersion: apiVersion()}
	l.first = func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
		return r.client.gen.ListManifests(ctx, r.name, params, editors...)
	}
	return l.all(ctx)
}
