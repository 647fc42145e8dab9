package acr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// referrersTag returns the tag that lists the referrers of a digest if there is no referrers API;
// see the OCI distribution specification, "Referrers Tag Schema".
func referrersTag(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded()[:min(64, len(d.Encoded()))]
}

// referrersIndex returns the index under the referrers tag, as it is and decoded; an empty one if there is none.
func (r *Repository) referrersIndex(ctx context.Context, d digest.Digest) (*Manifest, *ocispec.Index, error) {
	m, err := r.GetManifest(ctx, referrersTag(d))
	if errors.Is(err, ErrNotFound) {
		m = &Manifest{
			Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex},
			Content:    []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`),
		}
	} else if err != nil {
		return nil, nil, err
	}
	index, err := m.Index()
	if err != nil {
		return nil, nil, fmt.Errorf("the tag %s: %w", referrersTag(d), err)
	}
	return m, index, nil
}

// taggedReferrers lists the referrers in the index under the tag.
func (r *Repository) taggedReferrers(ctx context.Context, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		_, index, err := r.referrersIndex(ctx, d)
		if err != nil {
			yield(ocispec.Descriptor{}, opListReferrers.fail(err))
			return
		}
		all, err := appendReferrers(nil, index.Manifests, artifactType)
		for _, c := range all {
			if !r.decide(ctx, c, nil, artifactType, yield) {
				return
			}
		}
		if err != nil {
			yield(ocispec.Descriptor{}, opListReferrers.malformed(nil, err))
		}
	}
}

// referrersState is what a client knows about referrers of the registry.
type referrersState struct {
	api    atomic.Bool   // the registry has a referrers API
	noting chan struct{} // a lock: one update of a referrers tag at a time, because of two concurrent updates one is lost
}

const (
	// maxNotes is how often a referrers tag is rewritten if other clients overwrite it.
	maxNotes = 12
	// notePause is the least time after which a client looks whether its entry is still there. A client that read the index
	// before has written it by then, in all likelihood.
	notePause = 250 * time.Millisecond
)

// noteReferrer adds a referrer to the index under its subject's referrers tag, unless the registry
// has a referrers API. Registries have no conditional requests, so of two clients that do this at
// once one overwrites the entry of the other. Therefore each looks again after a while, and adds its
// entry once more if it is gone.
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
	for try := range maxNotes + 1 {
		began := time.Now()
		index, there, err := r.referrersIndexWith(ctx, subject, entry)
		if err != nil || there {
			return err
		}
		if try == maxNotes {
			break
		}
		if _, err := r.PutManifest(ctx, referrersTag(subject), index.Content, &PutManifestOptions{MediaType: index.Descriptor.MediaType}); err != nil {
			return err
		}
		// Another client takes about as long from reading to writing. They must not meet again at the next try.
		if err := pauseFor(ctx, max(notePause, 3*time.Since(began))+rand.N(time.Duration(try+1)*notePause)); err != nil {
			return err
		}
	}
	return fmt.Errorf("tag %s keeps being overwritten by other clients (%d attempts)", referrersTag(subject), maxNotes)
}

// referrersIndexWith returns the index under the referrers tag with the entry added to it. Everything else in the index stays as it
// is, whether known or not. there is true if the entry is in it already.
func (r *Repository) referrersIndexWith(ctx context.Context, subject digest.Digest, entry ocispec.Descriptor) (with *Manifest, there bool, err error) {
	m, index, err := r.referrersIndex(ctx, subject)
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == entry.Digest }) {
		return nil, true, nil
	}
	var members map[string]json.RawMessage
	var entries []json.RawMessage
	if err := json.Unmarshal(m.Content, &members); err != nil {
		return nil, false, err
	}
	if raw := members["manifests"]; raw != nil {
		if err := json.Unmarshal(raw, &entries); err != nil {
			return nil, false, err
		}
	}
	added, err := json.Marshal(entry)
	if err != nil {
		return nil, false, err
	}
	if members["manifests"], err = plainJSON(append(entries, added)); err != nil {
		return nil, false, err
	}
	content, err := plainJSON(members)
	return &Manifest{Descriptor: m.Descriptor, Content: content}, false, err
}

// plainJSON encodes a value without escapes for HTML: they would change what is passed on.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
