package retention

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

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
		return ask(ctx, r.repo, i.Digest) != nil
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
