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
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// referrersTag returns the tag that lists the referrers of a digest if there is no referrers
// API; see the OCI distribution specification, "Referrers Tag Schema".
func referrersTag(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded()[:min(64, len(d.Encoded()))]
}

// referrersIndex returns the index under the referrers tag, as it is and decoded; an empty one
// if there is none.
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
	// missPatience is how long an entry may be missing before it is dropped: a client that deletes it has removed its entry by
	// then, and a replica that was behind knows it, in all likelihood.
	missPatience = 10 * time.Second
)

// hasReferrersAPI asks whether the registry has a referrers API, with a list of the referrers
// of a digest. A client asks until the answer is yes.
func (r *Repository) hasReferrersAPI(ctx context.Context, d digest.Digest) (bool, error) {
	state := &r.client.referrers
	if state.api.Load() {
		return true, nil
	}
	resp, err := r.do(ctx, opListReferrers, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.ListReferrers(ctx, r.name, d, &gen.ListReferrersParams{})
	})
	switch {
	case err == nil:
		wire.Drain(resp)
		state.api.Store(true)
		return true, nil
	case noReferrersAPI(err):
		return false, nil
	default:
		return false, err
	}
}

// noteReferrer adds a referrer to the index under its subject's referrers tag, unless the
// registry has a referrers API.
func (r *Repository) noteReferrer(ctx context.Context, subject digest.Digest, referrer ocispec.Descriptor, content []byte) error {
	if has, err := r.hasReferrersAPI(ctx, subject); has || err != nil {
		return err
	}
	entry := describeReferrer(referrer, content)
	added, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	return r.editReferrersTag(ctx, subject, func(raw []json.RawMessage, entries []ocispec.Descriptor) ([]json.RawMessage, bool) {
		if slices.ContainsFunc(entries, func(d ocispec.Descriptor) bool { return d.Digest == entry.Digest }) {
			return raw, false
		}
		return append(raw, added), true
	})
}

// listedSubject returns the subject of a manifest that is about to be deleted, if it may be
// listed under a referrers tag: if the registry has no referrers API, and the manifest has a
// subject. An identity that may delete but not pull cannot know; it deletes all the same.
func (r *Repository) listedSubject(ctx context.Context, dgst digest.Digest) (digest.Digest, error) {
	has, err := r.hasReferrersAPI(ctx, dgst)
	refusal, refused := errors.AsType[*Error](err)
	switch {
	case has:
		return "", nil
	case refused && refusal.Operation == opListReferrers.id: // the deletion does not depend on it
		if refusal.denies() {
			r.client.referrers.api.Store(true) // do not ask before each deletion
		}
		return "", nil
	case err != nil: // it would meet the deletion too
		return "", err
	}
	m, err := r.GetManifest(ctx, string(dgst))
	if refusal, ok := errors.AsType[*Error](err); ok && (refusal.denies() || refusal.Is(ErrNotFound) || refusal.Is(ErrLocked)) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if subject, err := subjectOf(m.Content); err == nil && subject != nil {
		return subject.Digest, nil
	}
	return "", nil // no client has listed what cannot be read
}

// denies reports whether a right is missing.
func (e *Error) denies() bool {
	return e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden
}

// forgetReferrer removes a deleted referrer from the index under its subject's referrers tag.
func (r *Repository) forgetReferrer(ctx context.Context, subject, referrer digest.Digest) error {
	return r.editReferrersTag(ctx, subject, func(raw []json.RawMessage, entries []ocispec.Descriptor) ([]json.RawMessage, bool) {
		var kept []json.RawMessage
		for i, d := range entries {
			if d.Digest != referrer {
				kept = append(kept, raw[i])
			}
		}
		return kept, len(kept) < len(raw)
	})
}

// entryEdit changes the entries of an index, given as they are and decoded. It returns false if
// there is nothing to change.
type entryEdit func(raw []json.RawMessage, entries []ocispec.Descriptor) ([]json.RawMessage, bool)

// editReferrersTag changes the index under a referrers tag. Registries have no conditional requests, so
// of two clients that do this at once one overwrites what the other wrote. Therefore each looks again
// after a while, and makes its change once more if it is gone.
func (r *Repository) editReferrersTag(ctx context.Context, subject digest.Digest, edit entryEdit) error {
	state := &r.client.referrers
	select {
	case state.noting <- struct{}{}:
		defer func() { <-state.noting }()
	case <-ctx.Done():
		return wait.Cause(ctx)
	}
	missing := map[digest.Digest]time.Time{}
	for try := range maxNotes + 1 {
		began := time.Now()
		index, changed, err := r.referrersIndexAfter(ctx, subject, edit, missing)
		if err != nil || !changed {
			return err
		}
		if try == maxNotes {
			break
		}
		_, err = r.PutManifest(ctx, referrersTag(subject), index.Content, &PutManifestOptions{MediaType: index.Descriptor.MediaType})
		if errors.Is(err, ErrManifestBlobUnknown) {
			err = r.lookFor(ctx, index, err, missing)
		}
		if err != nil {
			return err
		}
		// Another client takes about as long from reading to writing. They must not meet again at the next try.
		pause := max(notePause, 3*time.Since(began))
		if len(missing) > 0 {
			pause = max(pause, missPatience/(maxNotes-2))
		}
		if err := wait.Sleep(ctx, pause+rand.N(time.Duration(try+1)*notePause)); err != nil {
			return err
		}
	}
	return fmt.Errorf("tag %s keeps being overwritten by other clients (%d attempts)", referrersTag(subject), maxNotes)
}

// lookFor finds out which entries of an index the registry does not have, when it refuses the index for
// one of them: another client is deleting it, or has left its entry behind, or a replica does not know it
// yet. missing notes since when; an entry that stays away is dropped. It returns why if all are there.
func (r *Repository) lookFor(ctx context.Context, m *Manifest, why error, missing map[digest.Digest]time.Time) error {
	index, err := m.Index()
	if err != nil {
		return err
	}
	named := make(map[digest.Digest]bool) // by the error; all of them if it names none
	if refusal, ok := errors.AsType[*Error](why); ok {
		for _, d := range index.Manifests {
			if slices.ContainsFunc(refusal.Details, func(e ErrorDetail) bool { return strings.Contains(string(e.Detail), string(d.Digest)) }) {
				named[d.Digest] = true
			}
		}
	}
	for _, d := range index.Manifests {
		if len(named) > 0 && !named[d.Digest] {
			continue
		}
		_, err := r.HeadManifest(ctx, string(d.Digest))
		switch {
		case err == nil:
			delete(missing, d.Digest)
		case !errors.Is(err, ErrNotFound):
			return err
		case missing[d.Digest].IsZero():
			missing[d.Digest] = time.Now()
		}
	}
	if len(missing) == 0 {
		return why
	}
	return nil
}

// referrersIndexAfter returns the index under the referrers tag after an edit, and whether the edit changed
// it. Entries that have been missing for long are dropped with it. Everything else in the index stays as
// it is, whether known or not.
func (r *Repository) referrersIndexAfter(ctx context.Context, subject digest.Digest, edit entryEdit, missing map[digest.Digest]time.Time) (after *Manifest, changed bool, err error) {
	m, index, err := r.referrersIndex(ctx, subject)
	if err != nil {
		return nil, false, err
	}
	var all map[string]json.RawMessage
	var raw []json.RawMessage
	if err := json.Unmarshal(m.Content, &all); err != nil {
		return nil, false, err
	}
	if list := all["manifests"]; list != nil {
		if err := json.Unmarshal(list, &raw); err != nil {
			return nil, false, err
		}
	}
	if len(raw) != len(index.Manifests) {
		return nil, false, malformedManifest("the index under the tag %s lists its manifests twice, differently", referrersTag(subject))
	}
	kept := make([]json.RawMessage, 0, len(raw)+1)
	var entries []ocispec.Descriptor
	for i, d := range index.Manifests {
		if since, ok := missing[d.Digest]; !ok || time.Since(since) < missPatience {
			kept, entries = append(kept, raw[i]), append(entries, d)
		}
	}
	if kept, changed = edit(kept, entries); !changed {
		return nil, false, nil
	}
	if all["manifests"], err = plainJSON(append([]json.RawMessage{}, kept...)); err != nil {
		return nil, false, err
	}
	content, err := plainJSON(all)
	return &Manifest{Descriptor: m.Descriptor, Content: content}, true, err
}

// plainJSON encodes a value without escapes for HTML: they would change what is passed on.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
