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
// here where the registry did not; a referrer that is listed without its type then costs one request more, for its manifest. Errors:
// ErrNameUnknown, ErrInvalidName, ErrInvalidDigest, ErrMalformedReply, and those of any list.
func (r *Repository) Referrers(ctx context.Context, dgst digest.Digest, opts *ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	if opts == nil {
		opts = &ReferrersOptions{}
	}
	l := list[candidate]{client: r.client, op: opListReferrers, name: r.name, decode: decodeReferrers(opts.ArtifactType)}
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
		for c, err := range l.all(ctx) {
			if !begun && noReferrersAPI(err) {
				r.taggedReferrers(ctx, dgst, opts.ArtifactType)(yield)
				return
			}
			begun = true
			if !r.decide(ctx, c, err, opts.ArtifactType, yield) {
				return
			}
		}
	}
}

// candidate is a referrer as it is listed.
type candidate struct {
	ocispec.Descriptor

	untyped bool // it may be of the type asked for: its descriptor does not say
}

// decide yields a candidate that is of the type asked for. ACR leaves the type out of descriptors where only the config of the manifest has
// one, see https://github.com/Azure/acr/issues/784; then the manifest tells. It returns false at the end of the list.
func (r *Repository) decide(ctx context.Context, c candidate, err error, artifactType string, yield func(ocispec.Descriptor, error) bool) bool {
	if err == nil && c.untyped {
		var m *Manifest
		switch m, err = r.GetManifest(ctx, string(c.Digest)); {
		case errors.Is(err, ErrNotFound):
			return true // deleted meanwhile
		case err == nil:
			c.Descriptor = describeReferrer(c.Descriptor, m.Content)
			if c.ArtifactType != artifactType {
				return true
			}
		default:
			yield(ocispec.Descriptor{}, err)
			return false
		}
	}
	return yield(c.Descriptor, err)
}

// noReferrersAPI tells whether a list failed because the registry has no referrers API: a 404 that is not about the repository.
func noReferrersAPI(err error) bool {
	return errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNameUnknown)
}

// decodeReferrers reads a page, which is an image index, and applies the filter unless the registry says that it did.
func decodeReferrers(artifactType string) decoder[candidate] {
	return func(page reply, into []candidate) ([]candidate, error) {
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
		if string(key) != "manifests" {
			s.skip()
			return
		}
		found = true
		s.array(func() {
			var dgst []byte
			s.object(func(key []byte) {
				if string(key) != "digest" {
					s.skip()
					return
				}
				dgst = s.text()
			})
			s.named(string(dgst))
		})
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

// appendReferrers keeps those that are, or may be, of the type.
func appendReferrers(into []candidate, all []ocispec.Descriptor, artifactType string) ([]candidate, error) {
	for _, d := range all {
		if err := checkDigest(d.Digest); err != nil {
			return into, contradicts(ErrMalformedReply, "%s", plain(err))
		}
		if artifactType == "" || d.ArtifactType == "" || d.ArtifactType == artifactType {
			into = append(into, candidate{d, artifactType != "" && d.ArtifactType == ""})
		}
	}
	return into, nil
}
