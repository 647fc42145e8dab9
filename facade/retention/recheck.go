package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// ask asks whether a manifest exists. The error matches acr.ErrNotFound if it does not; after any
// other error nobody knows.
func ask(ctx context.Context, repo *acr.Repository, d digest.Digest) error {
	_, err := repo.Artifact(string(d)).ManifestProperties(ctx)
	return err
}

// check compares a manifest and its tags with the plan, right before the deletion. It returns why
// the manifest must not be deleted, or nil.
func (r *run) check(ctx context.Context, i *item) (*Skipped, error) {
	why, err := r.checkManifest(ctx, i)
	if err != nil || why != nil || len(i.Tags) == 0 {
		return why, err
	}
	return r.checkTags(ctx, i)
}

// checkManifest asks for the manifest's properties.
func (r *run) checkManifest(ctx context.Context, i *item) (*Skipped, error) {
	what := string(i.Digest)
	m, err := r.repo.Artifact(what).ManifestProperties(ctx)
	if errors.Is(err, acr.ErrNotFound) {
		return &Skipped{what, SkippedGone, "it does not exist any more"}, nil
	}
	if err != nil {
		return nil, err
	}
	now := newNode(&m)
	slices.Sort(m.Tags)
	planned := make([]string, 0, len(i.Tags))
	for _, t := range i.Tags {
		planned = append(planned, t.Name)
	}
	switch {
	case now.locked && !(i.Locked && i.node.locked):
		return &Skipped{what, SkippedLocked, "it was locked"}, nil
	case now.quarantined:
		return &Skipped{what, SkippedLocked, "it is quarantined"}, nil
	case !now.updated.Equal(i.Updated):
		return &Skipped{what, SkippedUpdated, "it was pushed again"}, nil
	case slices.ContainsFunc(m.Tags, func(t string) bool { _, found := slices.BinarySearch(planned, t); return !found }):
		return &Skipped{what, SkippedTagged, "its tags are " + strings.Join(m.Tags, ", ")}, nil
	case !slices.Equal(m.Tags, planned):
		return &Skipped{what, SkippedMoved, "a tag was taken away from it: somebody is working on it"}, nil
	}
	return nil, nil
}

// checkTags asks for the manifest's tags.
func (r *run) checkTags(ctx context.Context, i *item) (*Skipped, error) {
	there := 0
	for t, err := range r.repo.Tags(ctx, &acr.ListTagsOptions{Digest: i.Digest}) {
		if errors.Is(err, acr.ErrNotFound) {
			break // it has no tags any more
		}
		if err != nil {
			return nil, err
		}
		if why := i.checkTag(&t); why != nil {
			return why, nil
		}
		there++
	}
	if there != len(i.Tags) {
		return &Skipped{string(i.Digest), SkippedMoved, fmt.Sprintf("it has %d tags, and %d were planned", there, len(i.Tags))}, nil
	}
	return nil, nil
}

func (i *item) checkTag(t *acr.TagProperties) *Skipped {
	at, planned := slices.BinarySearchFunc(i.Tags, t.Name, func(p Tag, name string) int { return strings.Compare(p.Name, name) })
	switch now := newTag(t); {
	case !planned || t.Digest != i.Digest:
		return &Skipped{string(i.Digest), SkippedTagged, "it has the tag " + t.Name + ", which was not planned"}
	case !now.updated.Equal(i.Tags[at].Updated):
		return &Skipped{string(i.Digest), SkippedUpdated, "its tag " + t.Name + " was pushed again"}
	case now.locked && !i.Tags[at].Locked:
		return &Skipped{string(i.Digest), SkippedLocked, "its tag " + t.Name + " was locked"}
	}
	return nil
}

// checkWith checks what the registry is about to delete along with an item.
func (r *run) checkWith(ctx context.Context, i *item) (*Skipped, error) {
	switch {
	case i.status == deleted:
		return nil, nil
	case i.status != pending || !i.noted:
		return &Skipped{string(i.Digest), SkippedNeeded, "it stays"}, nil
	case i.Locked:
		return &Skipped{string(i.Digest), SkippedLocked, "it is locked, and the registry would have to delete it along with its subject"}, nil
	}
	for _, b := range i.before {
		if b.status == left {
			return &Skipped{string(i.Digest), SkippedNeeded, short(b.Digest) + " stays"}, nil
		}
	}
	why, err := r.check(ctx, i)
	if why != nil && why.Code == SkippedGone {
		why = nil
	}
	return why, err
}
