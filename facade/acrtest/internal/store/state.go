package store

import (
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// state is the registry's content as it is after a series of records. It has no lock and refuses nothing: who makes a record has
// checked it.
type state struct {
	pool         *pool
	repositories index[*repository]
}

// repository holds what was pushed under one name. It is there while it holds anything, and to be seen while it holds a manifest.
type repository struct {
	name             string
	created, updated time.Time
	attributes       Attributes
	links            map[digest.Digest]*link
	uses             map[digest.Digest]int // manifests, live or deleted, that need the blob
	tags             index[*tag]
	manifests        index[*manifest]
	referrers        map[digest.Digest]*index[*manifest] // by subject
	deletedTags      index[*deletedTag]
	deletedManifests index[*manifest] // their key and time are as those of live ones
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

// at is the time of the deletion in the index of deleted manifests, and else that of the last update.
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
		r.deleteTag(r.tags.get(rec.Tag), rec.Time, rec.Soft)
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

// tidy forgets a repository that holds nothing, and the properties of one that can no longer be seen.
func (s *state) tidy(r *repository) {
	if r.manifests.len() > 0 {
		return
	}
	r.attributes = Attributes{}
	if len(r.links) == 0 && r.deletedManifests.len() == 0 && r.deletedTags.len() == 0 {
		s.repositories.remove(r)
	}
}

// touch sets a repository's own properties.
func (r *repository) touch(rec *record) {
	r.created, r.updated, r.attributes = rec.Created, rec.Time, *rec.Attributes
}

func (s *state) link(r *repository, rec *record) {
	if r.links[rec.Digest] == nil {
		r.links[rec.Digest] = &link{blob: s.pool.hold(rec.Digest, rec.Size), created: rec.Time}
	}
}

func (s *state) unlink(r *repository, d digest.Digest) {
	if l := r.links[d]; l != nil {
		delete(r.links, d)
		s.pool.release(l.blob)
	}
}

func (r *repository) putManifest(rec *record) {
	if r.manifests.len() == 0 {
		r.created = rec.Time
	}
	r.updated = rec.Time
	m := r.manifests.get(rec.Manifest.Digest.String())
	switch {
	case m == nil:
		m = newManifest(rec)
		r.manifests.insert(m)
		r.use(m.m, 1)
		r.refer(m)
	case !m.attributes.WriteDisabled:
		r.manifests.touch(m, func() { m.updated = rec.Time })
	}
	for _, name := range rec.Tags {
		r.putTag(name, m, rec)
	}
}

func newManifest(rec *record) *manifest {
	m := &manifest{m: rec.Manifest, created: rec.Time, updated: rec.Time}
	if !rec.Created.IsZero() {
		m.created = rec.Created
	}
	if rec.Attributes != nil {
		m.attributes = *rec.Attributes
	}
	return m
}

func (r *repository) use(m *Manifest, by int) {
	for _, d := range m.Blobs {
		if r.uses[d] += by; r.uses[d] == 0 {
			delete(r.uses, d)
		}
	}
}

// refer lists the manifest among the referrers of its subject, which need not exist.
func (r *repository) refer(m *manifest) {
	if m.m.Subject == "" {
		return
	}
	if r.referrers == nil {
		r.referrers = make(map[digest.Digest]*index[*manifest])
	}
	x := r.referrers[m.m.Subject]
	if x == nil {
		x = new(index[*manifest])
		r.referrers[m.m.Subject] = x
	}
	x.byKey.insert(m, beforeKey[*manifest](m.key()))
}

func (r *repository) unrefer(m *manifest) {
	x := r.referrers[m.m.Subject]
	if x == nil {
		return
	}
	x.byKey.remove(beforeKey[*manifest](m.key()))
	if x.len() == 0 {
		delete(r.referrers, m.m.Subject)
	}
}

func (r *repository) putTag(name string, m *manifest, rec *record) {
	r.updated = rec.Time
	if t := r.tags.get(name); t != nil {
		// The manifest's index of tags goes by the same time, so the tag leaves it before the time changes.
		t.manifest.tags.remove(t)
		r.tags.touch(t, func() { t.manifest, t.updated = m, rec.Time })
		m.tags.insert(t)
		return
	}
	t := &tag{name: name, manifest: m, created: rec.Time, updated: rec.Time}
	if !rec.Created.IsZero() {
		t.created = rec.Created
	}
	if rec.Attributes != nil && rec.Op == opTag {
		t.attributes = *rec.Attributes
	}
	r.tags.insert(t)
	m.tags.insert(t)
}

func (r *repository) deleteTag(t *tag, now time.Time, soft bool) {
	r.tags.remove(t)
	t.manifest.tags.remove(t)
	if soft {
		d := &deletedTag{name: t.name, digest: t.manifest.m.Digest, created: t.created, deleted: now}
		if r.deletedTags.get(d.key()) == nil {
			r.deletedTags.insert(d)
		}
	}
}

func (r *repository) deleteManifest(m *manifest, now time.Time, soft bool) {
	for t := range m.tags.snapshot() {
		m.formerTags = append(m.formerTags, t.name)
		r.deleteTag(t, now, soft)
	}
	r.manifests.remove(m)
	r.unrefer(m)
	if !soft {
		r.use(m.m, -1)
		return
	}
	m.deleted = now
	r.deletedManifests.insert(m)
}

func (s *state) drop(r *repository, rec *record) {
	for m := range r.manifests.snapshot() {
		r.deleteManifest(m, rec.Time, rec.Soft)
	}
	r.updated = rec.Time
	for d := range r.links {
		if r.uses[d] == 0 {
			s.unlink(r, d)
		}
	}
}

func (r *repository) setAttributes(rec *record) {
	switch {
	case rec.Tag != "":
		r.tags.get(rec.Tag).attributes = *rec.Attributes
	case rec.Digest != "":
		r.manifests.get(rec.Digest.String()).attributes = *rec.Attributes
	default:
		r.attributes = *rec.Attributes
	}
}

func (r *repository) restore(rec *record) {
	m := r.deletedManifests.get(rec.Digest.String())
	if m != nil {
		if r.manifests.len() == 0 {
			r.created = rec.Time
		}
		r.deletedManifests.remove(m)
		m.deleted, m.formerTags = time.Time{}, nil
		r.manifests.insert(m)
		r.refer(m)
	} else {
		m = r.manifests.get(rec.Digest.String())
	}
	r.updated = rec.Time
	for _, name := range rec.Tags {
		r.putTag(name, m, rec)
		for d := range r.deletedTags.snapshot() {
			if d.name == name && d.digest == m.m.Digest {
				r.deletedTags.remove(d)
			}
		}
	}
}

// purge forgets what was deleted at the time or before.
func (r *repository) purge(until time.Time) (purged int) {
	for m, ok := r.deletedManifests.oldest(until); ok; m, ok = r.deletedManifests.oldest(until) {
		r.deletedManifests.remove(m)
		r.use(m.m, -1)
		purged++
	}
	for t, ok := r.deletedTags.oldest(until); ok; t, ok = r.deletedTags.oldest(until) {
		r.deletedTags.remove(t)
	}
	return purged
}

func (r *repository) putDeleted(rec *record) {
	m := newManifest(rec)
	m.updated, m.deleted, m.formerTags = rec.Updated, rec.Time, slices.Clone(rec.Tags)
	r.deletedManifests.insert(m)
	r.use(m.m, 1)
}
