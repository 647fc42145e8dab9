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

// complete puts back the parts of what was to be deleted in this batch and is left after all. The
// list of an image's referrers, for example, is deleted after the image, and the registry deletes
// the referrers along with the image.
func (r *run) complete(ctx context.Context) {
	for _, whole := range r.batch {
		if parts := r.lostParts(whole); whole.status == left && len(parts) > 0 && !r.isGone(ctx, whole) {
			for _, i := range parts {
				r.restore(ctx, i, short(whole.Digest)+" stays, and needs it")
			}
		}
	}
}

// lostParts returns what is deleted, or may be, of what a manifest contains.
func (r *run) lostParts(whole *item) (parts []*item) {
	for _, part := range whole.node.needs {
		if i := r.deletion(part.digest); i != nil && i.content != nil && (i.status == deleted || i.doubtful) {
			parts = append(parts, i)
		}
	}
	return parts
}

// leaveBroken leaves what is still to be deleted though it has lost a part: the repository ends
// here, and nothing says that somebody continues.
func (r *run) leaveBroken(why error) {
	for _, whole := range r.batch {
		if whole.status == pending && len(r.lostParts(whole)) > 0 {
			r.skip(whole, Skipped{string(whole.Digest), SkippedFailed, why.Error()})
		}
	}
}

// heal looks again after a batch, also if the context has ended, and forgets the batch before it.
func (r *run) heal(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	err := r.look(ctx)
	r.settle(ctx)
	if err == nil {
		r.forget(r.batch)
		r.batch = nil
	}
	return err
}

// settle asks once more for what was left and may be gone.
func (r *run) settle(ctx context.Context) {
	for _, i := range r.batch {
		if i.status == left && i.doubtful && r.isGone(ctx, i) {
			r.unskip(i)
			_ = r.done(i, outcomeGone) // a journal that fails is noticed before the next deletion
		}
	}
}

// unskip takes back that an item was skipped.
func (r *run) unskip(i *item) {
	r.result.Skipped = slices.DeleteFunc(r.result.Skipped, func(s Skipped) bool { return s.What == string(i.Digest) })
}

// forget drops the contents of manifests that were deleted before this batch.
func (r *run) forget(batch []*item) {
	before := maps.Clone(r.recent)
	for _, i := range batch {
		delete(before, i.Digest)
	}
	for d, i := range before {
		i.content = nil
		delete(r.recent, d)
	}
}

// deletion returns the item of a digest, also one of a batch before the repository was judged
// again.
func (r *run) deletion(d digest.Digest) *item {
	if i := r.items[d]; i != nil {
		return i
	}
	return r.recent[d]
}

// current returns the item of a manifest by the last judgement, if it has one.
func (r *run) current(i *item) *item {
	if now := r.deletion(i.Digest); now != nil {
		return now
	}
	return i
}

// restore puts a deleted manifest back, and before it what it needs.
func (r *run) restore(ctx context.Context, i *item, why string) {
	was := i.status
	if was == restored || was != deleted && !r.isLost(ctx, i) {
		return
	}
	if was != deleted { // it is deleted after all
		r.result.Deleted++
		r.unskip(i)
	}
	i.status = restored
	back := short(i.Digest) + " was put back, and needs it"
	for _, need := range i.needs {
		if slices.Contains(i.node.needs, need.node) || need.node == i.node.subject {
			r.restore(ctx, r.current(need), back)
		}
	}
	if err := putBack(ctx, r.repo, i.Digest, i.MediaType, i.content); err != nil {
		r.result.Skipped = append(r.result.Skipped, Skipped{string(i.Digest), SkippedFailed, why + "; it could not be put back: " + err.Error()})
	} else {
		r.result.Deleted--
		r.result.Repaired = append(r.result.Repaired, Skipped{string(i.Digest), SkippedNeeded, why})
		r.attach(ctx, i)
		r.lock(ctx, i)
		_ = r.journal.write(entry{Repository: r.plan.Name, Digest: i.Digest, Done: outcomeRestored}) // noticed before the next deletion
	}
	for _, need := range i.needs { // its referrers belong to it, and what is still to be deleted of its needs must stay
		need = r.current(need)
		r.restore(ctx, need, back)
		r.leave(need, Skipped{string(need.Digest), SkippedNeeded, back})
	}
}

// isLost reports whether an item is gone though it is not known to be: the apply was interrupted, or
// a request failed. What is in doubt counts as gone if nobody says that it is there.
func (r *run) isLost(ctx context.Context, i *item) bool {
	switch {
	case !i.noted:
		return false
	case i.doubtful:
		_, err := r.repo.Artifact(string(i.Digest)).ManifestProperties(ctx)
		return err != nil
	}
	return i.status == pending && r.isGone(ctx, i)
}

// attach puts the tags of a manifest back that attach it to another one by their names.
func (r *run) attach(ctx context.Context, i *item) {
	for _, t := range i.node.tags {
		if !t.named {
			continue
		}
		_, err := r.repo.Artifact(t.name).TagProperties(ctx)
		if errors.Is(err, acr.ErrNotFound) { // nobody has put it elsewhere
			_, err = r.repo.Tag(ctx, string(i.Digest), t.name, &acr.TagOptions{IfAbsent: true})
			if locks := changedAttributes(t.attributes); err == nil && locks != nil {
				_, err = r.repo.Artifact(t.name).UpdateTagAttributes(ctx, locks.change())
			}
		}
		if err != nil && !errors.Is(err, acr.ErrTagExists) {
			r.skipTag(Tag{Name: t.name}, SkippedFailed, "it could not be put back: "+err.Error())
		}
	}
}

// lock locks a manifest again that was put back.
func (r *run) lock(ctx context.Context, i *item) {
	locks := changedAttributes(i.node.attributes)
	if locks == nil {
		return
	}
	if _, err := r.repo.Artifact(string(i.Digest)).UpdateManifestAttributes(ctx, locks.change()); err != nil {
		r.result.Skipped = append(r.result.Skipped, Skipped{string(i.Digest), SkippedFailed, "it was put back, and could not be locked again: " + err.Error()})
	}
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
	_, propertiesErr := r.repo.Artifact(string(d)).ManifestProperties(ctx)
	switch {
	case errors.Is(propertiesErr, acr.ErrNotFound):
		return nil, errGone
	case propertiesErr != nil:
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

// putBack stores a manifest again. A registry with soft delete refuses to take a manifest that is
// in its recycle bin: there it is taken out of that.
func putBack(ctx context.Context, repo *acr.Repository, d digest.Digest, mediaType string, content []byte) error {
	if len(content) == 0 {
		return errors.New("its content is not known")
	}
	_, err := repo.PutManifest(ctx, string(d), content, &acr.PutManifestOptions{MediaType: mediaType})
	if err == nil || errors.Is(err, acr.ErrManifestBlobUnknown) {
		return err
	}
	if restoreErr := repo.RestoreManifest(ctx, d, nil); restoreErr != nil {
		return err
	}
	return nil
}
