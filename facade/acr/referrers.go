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

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// ReferrersOptions are the options of [Repository.Referrers].
type ReferrersOptions struct {
	// ArtifactType restricts the list to referrers of this type. Default: all referrers.
	ArtifactType string
	// PageSize is the number of referrers per request, if the registry supports it. Default: the
	// registry's choice.
	PageSize int
}

// Referrers lists the manifests whose subject is the manifest with this digest: signatures, SBOMs,
// attestations. It sends no request before the first iteration, and then one for each page. A
// digest without referrers yields an empty list.
//
// If the registry has no referrers API (for example with customer-managed keys), the list is read
// from the referrers tag, for one more request. The referrers tag is named after the digest; it
// points to an index of the referrers, which clients maintain ("Referrers Tag Schema" in the OCI
// distribution specification). If the registry does not filter by type, the client does; a referrer
// that is listed without its type then costs one more request.
//
// Errors (an error ends the list):
//   - [ErrNameUnknown] if the repository does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the repository name, digest or an option is invalid
//   - [ErrUntrusted] if the link to the next page leads to another host or path
//   - [ErrListEndless] if the list leads back to an earlier page or has too many pages
//   - [ErrMalformedReply] if the response is not an image index
//   - [ErrTooLarge] if a page is larger than 8 MiB
func (r *Repository) Referrers(ctx context.Context, dgst digest.Digest, opts *ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	o := given(opts)
	l := list[candidate]{client: r.Client(), op: opListReferrers, name: r.Name(), decode: decodeReferrers(o.ArtifactType)}
	params := &gen.ListReferrersParams{}
	if o.PageSize != 0 {
		params.N, l.refuse = pageSize(o.PageSize)
	}
	if o.ArtifactType != "" {
		params.ArtifactType = new(o.ArtifactType)
		l.keep = map[string][]string{"artifactType": {o.ArtifactType}}
		if !wire.IsVisible(o.ArtifactType) {
			l.refuse = badArgument("ArtifactType", o.ArtifactType, "not a media type")
		}
	}
	if err := checkDigest(dgst); err != nil {
		l.refuse = err
	}
	if r.bad() != nil {
		l.refuse = r.bad()
	}
	l.first = func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
		return r.client.gen.ListReferrers(ctx, r.name, dgst, params, editors...)
	}
	return func(yield func(ocispec.Descriptor, error) bool) {
		begun := false
		for c, err := range l.all(ctx) {
			if !begun && noReferrersAPI(err) {
				r.taggedReferrers(ctx, dgst, o.ArtifactType)(yield)
				return
			}
			begun = true
			if !r.decide(ctx, c, err, o.ArtifactType, yield) {
				return
			}
		}
	}
}

// candidate is a referrer as listed.
type candidate struct {
	ocispec.Descriptor

	untyped bool // its descriptor has no type, so it may be of the requested one
}

// decide yields a candidate that is of the type asked for. ACR leaves the type out of descriptors
// where only the config of the manifest has one, see https://github.com/Azure/acr/issues/784; then
// the manifest tells. It returns false at the end of the list.
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

// noReferrersAPI tells whether a list failed because the registry has no referrers API: a 404 that
// is not about the repository.
func noReferrersAPI(err error) bool {
	return errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNameUnknown)
}

// decodeReferrers reads a page, which is an image index, and applies the filter unless the registry
// says that it did.
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
	s := jsonscan.New(body)
	found := false
	seen := make(map[string]struct{})
	err := s.Document(func(key []byte) {
		name := string(key)
		if !once(s, seen, name, manifestMembers) {
			return
		}
		if name != "manifests" {
			s.Skip()
			return
		}
		found = true
		atMost(s, maxDescriptors, func() {
			var dgst string
			members(s, descriptorMembers, func(name string) {
				if name == "digest" {
					dgst = string(s.Text())
					return
				}
				descriptorMember(s, name)
			})
			named(s, dgst)
		})
	})
	switch {
	case err != nil:
		return index, err // tells a document cut short from a malformed one
	case !found:
		return index, lacks("manifests") // not even an empty list: nobody may take it for one
	default:
		return index, json.Unmarshal(body, &index)
	}
}

// appendReferrers keeps referrers that are, or may be, of the type.
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

// describeReferrer returns the descriptor as a referrers API would list it: with annotations and
// with the artifact type, or the media type of the config if there is none.
func describeReferrer(d ocispec.Descriptor, content []byte) ocispec.Descriptor {
	var artifactType string
	var annotations map[string]string
	var config ocispec.Descriptor
	for name, into := range map[string]any{"artifactType": &artifactType, "annotations": &annotations, "config": &config} {
		if raw, ok := member(content, name); ok && json.Unmarshal(raw, into) != nil {
			return d
		}
	}
	d.ArtifactType, d.Annotations = artifactType, annotations
	if artifactType == "" && config.MediaType != ocispec.MediaTypeEmptyJSON {
		d.ArtifactType = config.MediaType
	}
	return d
}
