package retention

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// lookBack is how far the list of new manifests is read back beyond the newest time that was seen:
// replicas of a registry learn of pushes at different times.
const lookBack = 10 * time.Minute

// look finds manifests that were pushed since the repository was judged. What they need is left, or
// put back if it was deleted meanwhile. What is left after all gets its lost parts back too.
func (r *run) look(ctx context.Context) error {
	pushed, err := r.pushed(ctx)
	ctx = context.WithoutCancel(ctx)
	for d, needs := range pushed {
		for _, need := range needs {
			if i := r.deletion(need); i != nil {
				r.restore(ctx, i, short(d)+" was pushed, and needs it")
			}
		}
		r.mu.Lock()
		r.protect(needs, d)
		r.mu.Unlock()
	}
	r.complete(ctx)
	return err
}

// deletion returns the item of a digest, also one of a batch before the repository was judged
// again.
func (r *run) deletion(d digest.Digest) *item {
	if i := r.items[d]; i != nil {
		return i
	}
	return r.recent[d]
}

// pushed returns what manifests need that were pushed since the repository was judged, and have not
// been looked at. With an error it returns what it has found.
func (r *run) pushed(ctx context.Context) (map[digest.Digest][]digest.Digest, error) {
	until, since, now := r.since.Add(-lookBack), r.since, r.reader.clock.now()
	found := map[digest.Digest][]digest.Digest{}
	var failed error
	for m, err := range r.repo.Manifests(ctx, &acr.ListManifestsOptions{Order: acr.OrderByUpdateDescending, PageSize: 100}) {
		if errors.Is(err, acr.ErrNotFound) && r.isEmpty() {
			return found, nil // with its last manifest the repository itself is gone
		}
		if err != nil {
			return found, r.lookFailed(ctx, err)
		}
		updated := latest(m.CreatedTime, m.LastUpdateTime)
		if updated.Before(until) && !updated.IsZero() {
			break
		}
		since = latest(since, earliest(updated, now))
		if looked, ok := r.looked[m.Digest]; ok && !updated.After(looked) {
			continue
		}
		var needs []digest.Digest
		if n, again := r.state.node(m.Digest), r.deletion(m.Digest); n != nil && (again == nil || again.status != deleted) {
			needs = r.lacks(n)
		} else if needs, err = r.needsOf(ctx, m.Digest); errors.Is(err, errGone) {
			continue // it may be pushed again
		} else if ctx.Err() != nil {
			return found, err // the next look reads it
		} else if err != nil {
			failed, needs = r.lookFailed(ctx, err), r.anything()
		}
		r.looked[m.Digest] = updated
		found[m.Digest] = needs
	}
	if failed == nil {
		r.since = since
	}
	return found, failed
}

// lacks returns what a judged manifest needs of what was deleted before the judgement: it may have
// been pushed in between.
func (r *run) lacks(n *node) (needs []digest.Digest) {
	for d := range r.recent {
		hash := hashOf(d)
		names := func(v reference) bool { return v.Digest == d }
		isBlob := func(b blob) bool { return b.Hash == hash }
		if n.body.Subject == d || slices.ContainsFunc(n.body.Named, names) || slices.ContainsFunc(n.body.Blobs, isBlob) {
			needs = append(needs, d)
		}
	}
	return needs
}

// isEmpty reports whether all manifests that the repository had are deleted.
func (r *run) isEmpty() bool {
	return !slices.ContainsFunc(r.state.nodes, func(n *node) bool {
		i := r.items[n.digest]
		return i == nil || i.status != deleted
	})
}

// needsOf returns what a new manifest needs of the deletions.
func (r *run) needsOf(ctx context.Context, d digest.Digest) ([]digest.Digest, error) {
	m, err := r.repo.GetManifest(ctx, string(d))
	if err != nil {
		return r.needsOfUnread(ctx, d, err)
	}
	g, err := graph.Read(m.Descriptor.MediaType, m.Content)
	if err != nil {
		return r.anything(), nil //nolint:nilerr // what cannot be understood
	}
	var needs []digest.Digest
	for _, v := range g.Descriptors() {
		if r.deletion(v.Digest) != nil {
			needs = append(needs, v.Digest)
		}
	}
	return append(needs, r.attached(d)...), nil
}

// attached returns what belongs to a new manifest, of the deletions that are still to be done or were
// done of late: referrers and cosign tags whose image was not there until now.
func (r *run) attached(d digest.Digest) (attached []digest.Digest) {
	key := graph.TagKey(d)
	names := func(t *tag) bool {
		of, _, _ := graph.AttachedTag(t.name)
		return t.named && of == key
	}
	for _, items := range []map[digest.Digest]*item{r.items, r.recent} {
		for _, i := range items {
			late := i.status == pending || r.recent[i.Digest] == i
			if late && i.Digest != d && (i.node.body.Subject == d || slices.ContainsFunc(i.node.tags, names)) {
				attached = append(attached, i.Digest)
			}
		}
	}
	return attached
}

// needsOfUnread returns what a new manifest needs that could not be read, as one in quarantine: it
// may need anything. If it is gone again, it fails with errGone.
func (r *run) needsOfUnread(ctx context.Context, d digest.Digest, err error) ([]digest.Digest, error) {
	if ctx.Err() != nil {
		return nil, err
	}
	switch why := ask(ctx, r.repo, d); {
	case errors.Is(why, acr.ErrNotFound):
		return nil, errGone
	case why != nil:
		return nil, err
	}
	return r.anything(), nil
}

// anything returns all that is still to be deleted, and what was deleted of late.
func (r *run) anything() []digest.Digest {
	all := slices.Collect(maps.Keys(r.recent))
	for _, i := range r.order {
		if i.status == pending {
			all = append(all, i.Digest)
		}
	}
	return all
}

// lookFailed ends the repository: what was pushed meanwhile is not known.
func (r *run) lookFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return stop(Stopped, "what was pushed meanwhile cannot be read: %v", err)
}
