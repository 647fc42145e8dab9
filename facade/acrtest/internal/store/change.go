package store

import (
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// The changes that records make. None of them can fail.

// touch sets a repository's own properties.
func (r *repository) touch(rec *record) {
	r.created, r.updated, r.attributes, r.kept = rec.Created, rec.Time, *rec.Attributes, rec.Keep
}

func (s *state) link(r *repository, rec *record) {
	if l := r.links[rec.Digest]; l != nil {
		l.created = rec.Time // who has just pushed it again may name it soon: it is not to be collected
		return
	}
	r.links[rec.Digest] = &link{blob: s.pool.hold(rec.Digest, rec.Size), created: rec.Time}
}

func (s *state) unlink(r *repository, d digest.Digest) {
	if l := r.links[d]; l != nil {
		delete(r.links, d)
		s.pool.release(l.blob)
	}
}

func (r *repository) putManifest(rec *record) {
	if !r.visible() {
		r.created = rec.Time
	}
	r.kept = r.kept || rec.Keep
	r.updated = rec.Time
	m := r.manifests.get(rec.Manifest.Digest.String())
	switch {
	case m == nil:
		m = newManifest(rec)
		r.manifests.insert(m)
		r.use(m.m, 1)
		r.refer(m)
	case !m.attributes.WriteDisabled && rec.Times != TimesFixed:
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
		// The manifest's index of tags goes by the same time, so the tag leaves it before the time
		// changes.
		t.manifest.tags.remove(t)
		r.tagMoves(t.manifest, rec)
		r.tags.touch(t, func() { t.manifest, t.updated = m, rec.Time })
		m.tags.insert(t)
		r.tagMoves(m, rec)
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
	r.tagMoves(m, rec)
}

// tagMoves moves the time of a manifest that a tag was put on or has left.
func (r *repository) tagMoves(m *manifest, rec *record) {
	if rec.Times == TimesTags && !m.attributes.WriteDisabled {
		r.manifests.touch(m, func() { m.updated = rec.Time })
	}
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
	r.updated, r.kept = rec.Time, false
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
		if !r.visible() {
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
