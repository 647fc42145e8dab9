package retention

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// untagAll deletes the tags whose manifest stays. It comes last: an apply that is interrupted has
// then deleted only what nothing that stays needs.
func (r *run) untagAll(ctx context.Context) error {
	of := len(r.untag)
	for len(r.untag) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(r.judgedAt) > judgeAgainAfter {
			if err := r.again(ctx); err != nil {
				return err
			}
			continue // with what is still to be untagged
		}
		t := r.untag[0]
		r.untag = r.untag[1:]
		if r.seenTags[t.Name] {
			continue // it was skipped
		}
		r.seenTags[t.Name] = true
		if err := r.untagOne(ctx, t); err != nil {
			return err
		}
		r.reader.tell("untag", r.plan.Name, len(r.seenTags), of)
	}
	return nil
}

func (r *run) untagOne(ctx context.Context, t Tag) error {
	a := r.repo.Artifact(t.Name)
	now, err := a.TagProperties(ctx)
	if errors.Is(err, acr.ErrNotFound) {
		return nil
	}
	if err != nil {
		return r.tagFailed(ctx, t, err)
	}
	v := newTag(&now)
	switch {
	case now.Digest != t.Digest || !v.updated.Equal(t.Updated):
		r.skipTag(t, SkippedMoved, "it was pushed again")
		return nil
	case v.locked && !t.Locked:
		r.skipTag(t, SkippedLocked, "it was locked")
		return nil
	}
	if of := r.belongs(t); of != "" { // which may stay after all, or may have been pushed since
		switch err := ask(ctx, r.repo, of); {
		case err == nil:
			r.skipTag(t, SkippedNeeded, "it belongs to "+short(of)+", which exists")
			return nil
		case !errors.Is(err, acr.ErrNotFound):
			return r.tagFailed(ctx, t, err)
		}
	}
	if err := r.noteUntag(t, now); err != nil {
		return err
	}
	was, err := r.deleteTag(ctx, a, t, now)
	if err != nil {
		return r.tagFailed(ctx, t, err)
	}
	if was != "" && was != t.Digest {
		return r.retag(ctx, t, was, now.Attributes)
	}
	r.result.Untagged++
	return r.journal.write(entry{Repository: r.plan.Name, Tag: t.Name, Done: outcomeDeleted})
}

// belongs returns the manifest that a tag belongs to by its name, or "".
func (r *run) belongs(t Tag) digest.Digest {
	if judged := r.state.tag(t.Name); judged != nil && judged.of != nil {
		return judged.of.digest
	}
	_, suffix, named := graph.AttachedTag(t.Name)
	of := digest.Digest(strings.Replace(strings.TrimSuffix(t.Name, suffix), "-", ":", 1))
	if !named || of == t.Digest || of.Validate() != nil {
		return ""
	}
	return of
}

func (r *run) noteUntag(t Tag, now acr.TagProperties) error {
	err := r.journal.write(entry{
		Repository: r.plan.Name, Do: doUntag, Tag: t.Name, Digest: t.Digest, Attributes: changedAttributes(now.Attributes),
	})
	if err == nil {
		err = r.journal.sync()
	}
	return err
}

// deleteTag deletes a tag, which it unlocks first if the rules allow that. It returns the digest
// that the tag was on.
func (r *run) deleteTag(ctx context.Context, a *acr.Artifact, t Tag, now acr.TagProperties) (digest.Digest, error) {
	if err := r.mayWrite(); err != nil {
		return "", err
	}
	locked := isLocked(now.Attributes)
	if locked {
		if err := must(policyOf(r.policies, r.plan.Name).Unlock, "I5: %s may not be unlocked", t.Name); err != nil {
			return "", err
		}
		if _, err := a.UpdateTagAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(true), WriteEnabled: new(true)}); err != nil {
			return "", err
		}
	}
	was, err := a.Untag(ctx)
	if err != nil && locked {
		_, _ = a.UpdateTagAttributes(context.WithoutCancel(ctx), relocked(now.Attributes))
	}
	return was, err
}

// retag puts a tag back that somebody moved in the moment before it was deleted: it was on another
// manifest than planned.
func (r *run) retag(ctx context.Context, t Tag, was digest.Digest, attributes acr.Attributes) error {
	ctx = context.WithoutCancel(ctx)
	_, err := r.repo.Tag(ctx, string(was), t.Name, &acr.TagOptions{IfAbsent: true})
	if locks := changedAttributes(attributes); err == nil && locks != nil {
		_, err = r.repo.Artifact(t.Name).UpdateTagAttributes(ctx, locks.change())
	}
	if err != nil && !errors.Is(err, acr.ErrTagExists) {
		r.skipTag(t, SkippedFailed, fmt.Sprintf("it was moved to %s in the moment of its deletion, and could not be put back: %v", was, err))
		return r.journal.write(entry{Repository: r.plan.Name, Tag: t.Name, Done: outcomeDeleted})
	}
	detail := "it was moved to " + short(was) + " in the moment of its deletion, and was put back"
	r.result.Repaired = append(r.result.Repaired, Skipped{t.Name, SkippedMoved, detail})
	return r.journal.write(entry{Repository: r.plan.Name, Tag: t.Name, Done: outcomeRestored})
}

func (r *run) skipTag(t Tag, code SkipCode, detail string) {
	r.result.Skipped = append(r.result.Skipped, Skipped{t.Name, code, detail})
}

// tagFailed decides what an error about a tag means.
func (r *run) tagFailed(ctx context.Context, t Tag, err error) error {
	var response *acr.Error
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrJournal), errors.Is(err, errInvariant):
		return err
	case errors.Is(err, acr.ErrNotFound):
		return nil
	case errors.Is(err, acr.ErrLocked):
		r.skipTag(t, SkippedLocked, err.Error())
	case errors.As(err, &response) && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden):
		return stop(Refused, "%v", err)
	default:
		r.skipTag(t, SkippedFailed, err.Error())
		if r.failures++; r.failures >= maxFailures {
			return stop(Stopped, "%d requests failed, the last one with: %v", r.failures, err)
		}
	}
	return nil
}
