package store

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// soft says whether what is deleted is kept for a while.
func (st *Store) soft() bool { return st.opts.SoftDelete > 0 }

// horizon is the time of the newest deletion that is no longer kept.
func (st *Store) horizon() time.Time { return st.opts.Now().Add(-st.opts.SoftDelete) }

// purge forgets what the repository has kept long enough. The caller holds the lock.
func (st *Store) purge(r *repository) error {
	until := st.horizon()
	_, manifests := r.deletedManifests.oldest(until)
	_, tags := r.deletedTags.oldest(until)
	if !manifests && !tags {
		return nil
	}
	return st.commit(&record{Op: opPurge, Time: until, Repository: r.name})
}

// DeletedRepositories lists the names of the repositories that were deleted and of which a manifest
// is still kept.
func (st *Store) DeletedRepositories(p Page) (names []string, more bool) {
	until := st.horizon()
	p.Order = ByKey
	st.read(func(s *state) {
		var page []*repository
		page, more = s.repositories.page(p, func(r *repository) bool {
			if r.manifests.len() > 0 {
				return false
			}
			_, kept := r.deletedManifests.newest(until)
			return kept
		})
		for _, r := range page {
			names = append(names, r.name)
		}
	})
	return names, more
}

// DeletedManifests lists the manifests of a repository that were deleted and are still kept; lists
// by time go by the time of the deletion.
//
// Errors: ErrRepositoryUnknown when nothing of the repository is kept.
func (st *Store) DeletedManifests(name string, p Page) (manifests []Manifest, more bool, err error) {
	until := st.horizon()
	st.read(func(s *state) {
		r := s.repositories.get(name)
		if r == nil {
			err = ErrRepositoryUnknown
			return
		}
		var page []*manifest
		page, more = r.deletedManifests.page(p, func(m *manifest) bool { return m.deleted.After(until) })
		for _, m := range page {
			d := m.bare()
			d.Tags = m.formerTags
			manifests = append(manifests, d)
		}
	})
	return manifests, more, err
}

// DeletedTags lists the tags of a repository that were deleted and are still kept. The key of a
// page is what DeletedTagKey makes of its last tag.
//
// Errors: ErrRepositoryUnknown when nothing of the repository is kept.
func (st *Store) DeletedTags(name string, p Page) (tags []Tag, more bool, err error) {
	until := st.horizon()
	st.read(func(s *state) {
		r := s.repositories.get(name)
		if r == nil {
			err = ErrRepositoryUnknown
			return
		}
		var page []*deletedTag
		page, more = r.deletedTags.page(p, func(t *deletedTag) bool { return t.deleted.After(until) })
		for _, t := range page {
			tags = append(tags, Tag{Name: t.name, Digest: t.digest, Created: t.created, Updated: t.created, Deleted: t.deleted})
		}
	})
	return tags, more, err
}

// DeletedTagKey is what a list of deleted tags goes on after: one name can have been deleted many
// times.
func DeletedTagKey(t Tag) string { return (&deletedTag{name: t.Name, deleted: t.Deleted}).key() }

// Restore makes a deleted manifest live again and, unless tag is empty, points the tag at it. A
// live manifest can have a tag restored as well.
//
// Errors: ErrManifestUnknown when it is not kept; ErrConflict when the tag points at another
// manifest and force is false; ErrDisallowed when that tag is locked.
func (st *Store) Restore(name string, d digest.Digest, tag string, force bool) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.primary.repositories.get(name)
	if r == nil {
		return ErrManifestUnknown
	}
	if err := st.purge(r); err != nil {
		return err
	}
	if r.deletedManifests.get(d.String()) == nil && (tag == "" || r.manifests.get(d.String()) == nil) {
		return ErrManifestUnknown
	}
	rec := &record{Op: opRestore, Time: st.time(), Repository: name, Digest: d}
	if tag != "" {
		if t := r.tags.get(tag); t != nil && t.manifest.m.Digest != d && !force {
			return ErrConflict
		}
		if !r.mayTag(tag, d, false) {
			return ErrDisallowed
		}
		rec.Tags = []string{tag}
	}
	return st.commit(rec)
}
