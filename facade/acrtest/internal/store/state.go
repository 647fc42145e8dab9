package store

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// state is the registry's content as it is after a series of records. It has no lock and refuses
// nothing: who makes a record has checked it.
type state struct {
	pool         *pool
	repositories index[*repository]
}

// repository holds what was pushed under one name. It is there while it holds anything, and to be
// seen while it holds a manifest.
type repository struct {
	name             string
	created, updated time.Time
	attributes       Attributes
	kept             bool // it is seen without a manifest as well, until it is deleted
	links            map[digest.Digest]*link
	uses             map[digest.Digest]int // manifests, live or deleted, that need the blob
	tags             index[*tag]
	manifests        index[*manifest]
	referrers        map[digest.Digest]*index[*manifest] // by subject
	deletedTags      index[*deletedTag]
	deletedManifests index[*manifest] // by the time of the deletion
}

type link struct {
	blob    *blob
	created time.Time
}

type tag struct {
	name             string
	manifest         *manifest
	created, updated time.Time
	attributes       Attributes
}

type manifest struct {
	m                *Manifest
	created, updated time.Time
	attributes       Attributes
	tags             index[*tag]
	deleted          time.Time
	formerTags       []string
}

type deletedTag struct {
	name             string
	digest           digest.Digest
	created, deleted time.Time
}

func (r *repository) key() string { return r.name }

// at is the same for all: repositories are listed by name alone.
func (r *repository) at() time.Time { return time.Time{} }

func (t *tag) key() string      { return t.name }
func (t *tag) at() time.Time    { return t.updated }
func (m *manifest) key() string { return m.m.Digest.String() }

// at is the time of the deletion in the index of deleted manifests, and else that of the last
// update.
func (m *manifest) at() time.Time {
	if !m.deleted.IsZero() {
		return m.deleted
	}
	return m.updated
}

// A tag can be deleted again and again, so its name alone does not tell one deletion from another.
func (t *deletedTag) key() string   { return t.name + " " + t.deleted.UTC().Format(keyTime) }
func (t *deletedTag) at() time.Time { return t.deleted }

// keyTime sorts as the times do.
const keyTime = "2006-01-02T15:04:05.000000000Z"

func newState(p *pool) *state { return &state{pool: p} }

func (s *state) ensure(name string, now time.Time) *repository {
	if r := s.repositories.get(name); r != nil {
		return r
	}
	r := &repository{name: name, created: now, updated: now, links: map[digest.Digest]*link{}, uses: map[digest.Digest]int{}}
	s.repositories.insert(r)
	return r
}

// apply makes a change.
func (s *state) apply(rec *record) {
	r := s.ensure(rec.Repository, rec.Time)
	switch rec.Op {
	case opLink:
		s.link(r, rec)
	case opUnlink:
		s.unlink(r, rec.Digest)
	case opManifest:
		r.putManifest(rec)
	case opTag:
		r.putTag(rec.Tag, r.manifests.get(rec.Digest.String()), rec)
	case opUntag:
		t := r.tags.get(rec.Tag)
		r.deleteTag(t, rec.Time, rec.Soft)
		r.tagMoves(t.manifest, rec)
		r.updated = rec.Time
	case opDelete:
		for _, d := range rec.Digests {
			r.deleteManifest(r.manifests.get(d.String()), rec.Time, rec.Soft)
		}
		r.updated = rec.Time
	case opDrop:
		s.drop(r, rec)
	case opAttributes:
		r.setAttributes(rec)
	case opRestore:
		r.restore(rec)
	case opPurge:
		r.purge(rec.Time)
	case opDeleted:
		r.putDeleted(rec)
	case opDeletedTag:
		r.deletedTags.insert(&deletedTag{name: rec.Tag, digest: rec.Digest, created: rec.Created, deleted: rec.Time})
	case opRepository:
		r.touch(rec)
	}
	s.tidy(r)
}

// tidy forgets a repository that holds nothing, and the properties of one that can no longer be
// seen.
func (s *state) tidy(r *repository) {
	if r.visible() {
		return
	}
	r.attributes = Attributes{}
	if len(r.links) == 0 && r.deletedManifests.len() == 0 && r.deletedTags.len() == 0 {
		s.repositories.remove(r)
	}
}
