package acr

import (
	"context"
	"encoding/json"
	"iter"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/gen"
)

// Media types of Docker's manifests, which this package takes beside those of OCI.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// acceptManifests is every media type that a registry may hold. Without the right one ACR converts a Docker manifest to schema 1, with
// another digest; see https://distribution.github.io/distribution/spec/manifest-v2-2/#backward-compatibility.
var acceptManifests = strings.Join([]string{
	ocispec.MediaTypeImageManifest,
	ocispec.MediaTypeImageIndex,
	MediaTypeDockerManifest,
	MediaTypeDockerManifestList,
	"application/vnd.oci.artifact.manifest.v1+json",
	"application/vnd.cncf.oras.artifact.manifest.v1+json",
	"*/*",
}, ", ")

// Manifest is a manifest as the registry holds it, byte for byte.
type Manifest struct {
	Descriptor ocispec.Descriptor // media type, digest and size, computed from the content
	Content    []byte
}

// Image decodes an image manifest, OCI's or Docker's. Errors: ErrManifestMalformed, also when it is of another kind.
func (m *Manifest) Image() (*ocispec.Manifest, error) {
	if k := kindOf(m.Descriptor.MediaType); k != kindImage {
		return nil, malformedManifest("%s is no image manifest", quote(m.Descriptor.MediaType))
	}
	v := new(ocispec.Manifest)
	if err := json.Unmarshal(m.Content, v); err != nil {
		return nil, malformedManifest("%v", err)
	}
	return v, nil
}

// Index decodes an image index, or Docker's manifest list. Errors: ErrManifestMalformed, also when it is of another kind.
func (m *Manifest) Index() (*ocispec.Index, error) {
	if k := kindOf(m.Descriptor.MediaType); k != kindIndex {
		return nil, malformedManifest("%s is no index", quote(m.Descriptor.MediaType))
	}
	v := new(ocispec.Index)
	if err := json.Unmarshal(m.Content, v); err != nil {
		return nil, malformedManifest("%v", err)
	}
	return v, nil
}

// GetManifest gets the manifest that a tag or digest names, of whatever media type. One request, or two where a reply without a length turns
// out wrong; at most 4 MiB of memory. The digest is computed, and compared with the one asked for and with the one that the registry states.
// Errors: ErrManifestUnknown (ErrNotFound), ErrDigestMismatch, ErrManifestMalformed, ErrTooLarge, ErrInvalidArgument.
func (r *Repository) GetManifest(ctx context.Context, reference string) (*Manifest, error) {
	want, err := r.wanted(reference)
	if err != nil {
		return nil, err
	}
	params := &gen.GetManifestParams{Accept: acceptManifests}
	for again := false; ; again = true {
		got, err := r.client.read(ctx, opGetManifest, r.name, maxManifestSize, nil, func(ctx context.Context) (*http.Response, error) {
			return r.client.gen.GetManifest(ctx, r.name, reference, params)
		}, nil)
		if err != nil {
			return nil, err
		}
		m, err := verifyManifest(got, want)
		switch {
		case err == nil:
			return m, nil
		case again || got.length >= 0:
			return nil, opGetManifest.fail(err)
		} // an answer that does not say how long it is, and is cut short, looks just like its end: once more
	}
}

// verifyManifest makes a manifest of a reply, once it is found to be what was asked for.
func verifyManifest(got reply, want digest.Digest) (*Manifest, error) {
	mediaType := mediaTypeOf(got.header)
	if isSchema1(mediaType) {
		return nil, malformedManifest("the registry sent Docker schema 1 (%s), whose digest is not that of its bytes", mediaType)
	}
	stated := digest.Digest(got.header.Get(headerDigest))
	if stated != "" {
		if err := checkDigest(stated); err != nil {
			return nil, contradicts(ErrDigestMismatch, "the registry states a digest that cannot be checked: %s", plain(err))
		}
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
	mediaType, err := checkManifest(got.body, mediaType)
	if err != nil {
		return nil, err
	}
	return &Manifest{Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(got.body))}, Content: got.body}, nil
}

// HeadManifest gives the media type, digest and size of the manifest that a tag or digest names. One request without a body, and that of
// GetManifest where the answer leaves out the digest or the size (or says 0, as proxies do), or has a digest of another algorithm than was
// asked for. Errors: those of GetManifest.
func (r *Repository) HeadManifest(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	want, err := r.wanted(reference)
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
	d := ocispec.Descriptor{MediaType: mediaTypeOf(resp.Header), Digest: digest.Digest(resp.Header.Get(headerDigest)), Size: resp.ContentLength}
	switch {
	case want != "" && d.Digest != "" && d.Digest != want && sameAlgorithm(d.Digest, want):
		return ocispec.Descriptor{}, opHeadManifest.fail(contradicts(ErrDigestMismatch, "the registry states %s instead of %s", d.Digest, want))
	case checkDigest(d.Digest) != nil || want != "" && d.Digest != want || d.Size <= 0 || d.MediaType == "":
		m, err := r.GetManifest(ctx, reference)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return m.Descriptor, nil
	}
	return d, nil
}

// DeleteManifest deletes a manifest with every tag that points to it, and the referrers whose subject it is. One request. The manifests
// of an index stay, and those that an index still names are deleted all the same. Where the answer is lost and the manifest is gone when
// the request is sent again, that is no error. Errors: ErrManifestUnknown (ErrNotFound), ErrLocked, ErrInvalidArgument.
func (r *Repository) DeleteManifest(ctx context.Context, dgst digest.Digest) error {
	if r.err != nil {
		return r.err
	}
	if err := checkDigest(dgst); err != nil {
		return err
	}
	return r.take(ctx, opDeleteManifest, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.DeleteManifest(ctx, r.name, string(dgst))
	})
}

// wanted checks the handle and a reference in it, and gives the digest that a manifest by this reference must have, if it is one.
func (r *Repository) wanted(reference string) (digest.Digest, error) {
	if r.err != nil {
		return "", r.err
	}
	_, d, err := parseReference(reference)
	return d, err
}

const headerDigest = "Docker-Content-Digest"

// sameAlgorithm tells whether two digests can be compared.
func sameAlgorithm(a, b digest.Digest) bool {
	algorithm, _, _ := strings.Cut(string(a), ":")
	return strings.HasPrefix(string(b), algorithm+":")
}

// computedAs is the digest of the content by the algorithm of d.
func computedAs(d digest.Digest, content []byte) digest.Digest {
	if d == "" {
		return ""
	}
	return d.Algorithm().FromBytes(content)
}

// mediaTypeOf is the Content-Type without its parameters, empty when it says nothing.
func mediaTypeOf(h http.Header) string {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType == "application/octet-stream" || mediaType == "application/json" || strings.HasPrefix(mediaType, "text/") {
		return ""
	}
	return mediaType
}

// ListManifestsOptions are the choices of a list of manifests.
type ListManifestsOptions struct {
	PageSize int    // manifests per request, at most 1000; 0: 1000
	After    string // the list starts behind this digest, which need not exist; empty: at its beginning
	Order    Order  // empty: by digest
}

// Manifests lists the repository's manifests with their properties, tagged or not. Requests and errors are those of Tags. Manifests may be
// deleted while they are listed by digest; a list by time has to be collected first, for the registry continues it from the last manifest
// that it gave, which must still be there.
func (r *Repository) Manifests(ctx context.Context, opts *ListManifestsOptions) iter.Seq2[ManifestProperties, error] {
	if opts == nil {
		opts = &ListManifestsOptions{}
	}
	l := list[ManifestProperties]{client: r.client, op: opListManifests, name: r.name, decode: decodeManifests, keep: opts.Order.keep(map[string][]string{})}
	params := &gen.ListManifestsParams{APIVersion: apiVersion()}
	params.N, params.Last, params.Orderby, l.refuse = orderedQuery(opts.PageSize, opts.After, opts.Order)
	if r.err != nil {
		l.refuse = r.err
	}
	l.first = func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
		return r.client.gen.ListManifests(ctx, r.name, params, editors...)
	}
	return l.all(ctx)
}
