package acr

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/gen"
)

// referrersTag is the tag under which the referrers of a digest are listed where there is no referrers API; see the OCI distribution spec,
// "Referrers Tag Schema".
func referrersTag(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded()[:min(64, len(d.Encoded()))]
}

// referrersIndex gets the index under the referrers tag; there need not be one.
func (r *Repository) referrersIndex(ctx context.Context, d digest.Digest) (*ocispec.Index, error) {
	m, err := r.GetManifest(ctx, referrersTag(d))
	if errors.Is(err, ErrNotFound) {
		return &ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}, nil
	}
	if err != nil {
		return nil, err
	}
	return m.Index()
}

// taggedReferrers lists the referrers under the tag.
func (r *Repository) taggedReferrers(ctx context.Context, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		index, err := r.referrersIndex(ctx, d)
		if err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		all, err := appendReferrers(nil, index.Manifests, artifactType)
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
		if err != nil {
			yield(ocispec.Descriptor{}, opListReferrers.malformed(err))
		}
	}
}

// noteReferrer adds a referrer to the index under its subject's referrers tag, unless the registry keeps referrers itself. Two clients
// that do this in the same moment may lose one of the two: the spec offers nothing against it.
func (r *Repository) noteReferrer(ctx context.Context, subject digest.Digest, referrer ocispec.Descriptor, content []byte) error {
	resp, err := r.do(ctx, opListReferrers, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.ListReferrers(ctx, r.name, subject, &gen.ListReferrersParams{})
	})
	if err == nil {
		return resp.Body.Close() // there is a referrers API, which needs no help
	}
	if !noReferrersAPI(err) {
		return err
	}
	index, err := r.referrersIndex(ctx, subject)
	if err != nil {
		return err
	}
	for _, d := range index.Manifests {
		if d.Digest == referrer.Digest {
			return nil
		}
	}
	index.Manifests = append(index.Manifests, describeReferrer(referrer, content))
	document, err := json.Marshal(index)
	if err != nil {
		return opPutManifest.fail(err)
	}
	_, err = r.PutManifest(ctx, referrersTag(subject), document, &PutManifestOptions{MediaType: ocispec.MediaTypeImageIndex})
	return err
}

// describeReferrer is the descriptor as a referrers API would list it: with the artifact type, or the config's in its place, and the
// annotations.
func describeReferrer(d ocispec.Descriptor, content []byte) ocispec.Descriptor {
	var m struct {
		ArtifactType string             `json:"artifactType"`
		Config       ocispec.Descriptor `json:"config"`
		Annotations  map[string]string  `json:"annotations"`
	}
	if json.Unmarshal(content, &m) == nil {
		d.ArtifactType, d.Annotations = m.ArtifactType, m.Annotations
		if d.ArtifactType == "" && m.Config.MediaType != ocispec.MediaTypeEmptyJSON {
			d.ArtifactType = m.Config.MediaType
		}
	}
	return d
}
