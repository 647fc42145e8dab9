package acr

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/gen"
)

// ReferrersOptions are the choices of Referrers.
type ReferrersOptions struct {
	ArtifactType string // only referrers of this type; empty: all
	PageSize     int    // referrers per request where the registry has pages of them; 0: its own choice
}

// Referrers lists the manifests whose subject is the one with this digest: signatures, SBOMs, attestations. Nothing is asked before it is
// ranged over, then one request per page. Where the registry has no referrers API (one encrypted with customer-managed keys) they are
// read from the referrers tag, which costs one request more. A digest that nobody refers to gives an empty list. The filter is applied
// here where the registry did not. Errors: ErrNameUnknown, ErrInvalidName, ErrInvalidDigest, ErrMalformedReply, and those of any list.
func (r *Repository) Referrers(ctx context.Context, dgst digest.Digest, opts *ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	if opts == nil {
		opts = &ReferrersOptions{}
	}
	l := list[ocispec.Descriptor]{client: r.client, op: opListReferrers, name: r.name, decode: decodeReferrers(opts.ArtifactType)}
	params := &gen.ListReferrersParams{}
	if opts.PageSize != 0 {
		params.N, l.refuse = pageSize(opts.PageSize)
	}
	if opts.ArtifactType != "" {
		params.ArtifactType = new(opts.ArtifactType)
		l.keep = map[string][]string{"artifactType": {opts.ArtifactType}}
		if !printable(opts.ArtifactType) {
			l.refuse = &ArgumentError{Kind: ErrInvalidArgument, Value: opts.ArtifactType, Reason: "no media type"}
		}
	}
	if err := checkDigest(dgst); err != nil {
		l.refuse = err
	}
	if r.err != nil {
		l.refuse = r.err
	}
	l.first = func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
		return r.client.gen.ListReferrers(ctx, r.name, dgst, params, editors...)
	}
	return func(yield func(ocispec.Descriptor, error) bool) {
		begun := false
		for v, err := range l.all(ctx) {
			if !begun && noReferrersAPI(err) {
				r.taggedReferrers(ctx, dgst, opts.ArtifactType)(yield)
				return
			}
			begun = true
			if !yield(v, err) {
				return
			}
		}
	}
}

// noReferrersAPI tells whether a list failed because the registry has no referrers API: a 404 that is not about the repository.
func noReferrersAPI(err error) bool {
	return errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNameUnknown)
}

// decodeReferrers reads a page, which is an image index, and applies the filter unless the registry says that it did.
func decodeReferrers(artifactType string) decoder[ocispec.Descriptor] {
	return func(page reply, into []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		index, err := decodeIndex(page.body)
		if err != nil {
			return into, err
		}
		filter := artifactType
		for applied := range strings.SplitSeq(page.header.Get("OCI-Filters-Applied"), ",") {
			if strings.TrimSpace(applied) == "artifactType" {
				filter = ""
			}
		}
		return appendReferrers(into, index.Manifests, filter)
	}
}

// decodeIndex reads an image index.
func decodeIndex(body []byte) (ocispec.Index, error) {
	var index ocispec.Index
	s := &scanner{data: body}
	found := false
	err := s.document(func(key []byte) {
		found = found || string(key) == "manifests"
		s.skip()
	})
	switch {
	case err != nil:
		return index, err // tells a document cut short from a malformed one
	case !found:
		return index, contradicts(ErrMalformedReply, "it has no %q", "manifests") // not even an empty list: nobody may take it for one
	default:
		return index, json.Unmarshal(body, &index)
	}
}

// appendReferrers keeps those of the type.
func appendReferrers(into, all []ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	for _, d := range all {
		if err := checkDigest(d.Digest); err != nil {
			return into, contradicts(ErrMalformedReply, "%s", plain(err))
		}
		if artifactType == "" || d.ArtifactType == artifactType {
			into = append(into, d)
		}
	}
	return into, nil
}
