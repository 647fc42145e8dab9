package acr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/wire"
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
	index, err := m.Index()
	if err != nil {
		return nil, opListReferrers.fail(fmt.Errorf("the tag %s: %w", referrersTag(d), err))
	}
	return index, nil
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
		for _, c := range all {
			if !r.decide(ctx, c, nil, artifactType, yield) {
				return
			}
		}
		if err != nil {
			yield(ocispec.Descriptor{}, opListReferrers.malformed(err))
		}
	}
}

// referrersState is what a client knows and does about referrers.
type referrersState struct {
	api    atomic.Bool   // the registry has a referrers API
	noting chan struct{} // holds who rewrites a referrers tag: one at a time, for the spec offers nothing against losing one of two updates
}

// maxNotes is how often a referrers tag is rewritten before it is left to the others who do.
const maxNotes = 4

// noteReferrer adds a referrer to the index under its subject's referrers tag, unless the registry keeps referrers itself. Then it looks
// whether another client's update was in the way, and does it again.
func (r *Repository) noteReferrer(ctx context.Context, subject digest.Digest, referrer ocispec.Descriptor, content []byte) error {
	state := &r.client.referrers
	if state.api.Load() {
		return nil
	}
	resp, err := r.do(ctx, opListReferrers, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.ListReferrers(ctx, r.name, subject, &gen.ListReferrersParams{})
	})
	if err == nil {
		wire.Drain(resp)
		state.api.Store(true)
		return nil
	}
	if !noReferrersAPI(err) {
		return err
	}
	select {
	case state.noting <- struct{}{}:
		defer func() { <-state.noting }()
	case <-ctx.Done():
		return endOf(ctx)
	}
	entry := describeReferrer(referrer, content)
	for tries := 0; ; tries++ {
		index, err := r.referrersIndex(ctx, subject)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == entry.Digest }) {
			return nil
		}
		if tries == maxNotes {
			return fmt.Errorf("others rewrite %s again and again", referrersTag(subject))
		}
		index.Manifests = append(index.Manifests, entry)
		document, err := json.Marshal(index)
		if err != nil {
			return err
		}
		if _, err := r.PutManifest(ctx, referrersTag(subject), document, &PutManifestOptions{MediaType: ocispec.MediaTypeImageIndex}); err != nil {
			return err
		}
	}
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
