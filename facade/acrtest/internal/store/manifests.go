package store

import "github.com/opencontainers/go-digest"

// MaxManifest is the largest manifest, in bytes, that a repository takes.
const MaxManifest = 4 << 20

// properties returns the manifest's snapshot with its tags.
func (m *manifest) properties() Manifest {
	p := m.bare()
	for t := range m.tags.byKey.all() {
		p.Tags = append(p.Tags, t.name)
	}
	return p
}

// bare returns it without.
func (m *manifest) bare() Manifest {
	p := *m.m
	p.Created, p.Updated, p.Attributes, p.Deleted = m.created, m.updated, m.attributes, m.deleted
	return p
}

// PutManifest stores a manifest and points its tags at it, all or nothing. Storing it again renews
// its time of update, unless it is locked against writes; a lock on the manifest does not keep a
// tag from pointing at it.
//
// Errors: ErrDigestMismatch, ErrManifestInvalid, *MissingError; ErrDisallowed when the repository
// or a tag is locked, an existing tag may not move, or the same manifest lies soft-deleted.
func (st *Store) PutManifest(name string, p Push) (Manifest, error) {
	m, err := st.parse(name, p)
	if err != nil {
		return Manifest{}, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	now := st.time()
	if r := st.primary.repositories.get(name); r != nil {
		if err := st.purge(r); err != nil {
			return Manifest{}, err
		}
	}
	r := st.primary.repositories.get(name)
	if r != nil {
		for _, tag := range p.Tags {
			if !r.mayTag(tag, m.Digest, p.KeepTags) {
				return Manifest{}, ErrDisallowed
			}
		}
		if r.attributes.WriteDisabled || r.deletedManifests.get(m.Digest.String()) != nil {
			return Manifest{}, ErrDisallowed
		}
	}
	if !p.AllowMissing {
		if missing := r.missing(m); len(missing) > 0 {
			return Manifest{}, &MissingError{missing}
		}
		if err := st.known(func(s *state) error {
			if missing := s.repositories.get(name).missing(m); len(missing) > 0 {
				return &MissingError{missing}
			}
			return nil
		}); err != nil {
			return Manifest{}, err
		}
	}
	if err := st.commit(&record{Op: opManifest, Time: now, Repository: name, Manifest: m, Tags: p.Tags}); err != nil {
		return Manifest{}, err
	}
	return st.primary.repositories.get(name).manifests.get(m.Digest.String()).bare(), nil
}

// missing returns what the manifest names and the repository, which may be nil, lacks.
func (r *repository) missing(m *Manifest) (missing []digest.Digest) {
	for _, d := range m.Blobs {
		if r == nil || r.links[d] == nil {
			missing = append(missing, d)
		}
	}
	for _, ref := range m.References {
		if r == nil || r.manifests.get(ref.Digest.String()) == nil {
			missing = append(missing, ref.Digest)
		}
	}
	return missing
}

// Pull returns a manifest by tag or digest, as a pull sees it. Its Tags are not filled in.
//
// Errors: ErrManifestUnknown, also for an unknown repository and a quarantined manifest asked for
// by tag; ErrDisallowed when reading the repository, the tag or the manifest is disabled, or the
// manifest is quarantined.
func (st *Store) Pull(name, reference string) (p Manifest, err error) {
	st.read(func(s *state) {
		r := s.visible(name)
		if r == nil {
			err = ErrManifestUnknown
			return
		}
		m := r.manifests.get(reference)
		t := r.tags.get(reference)
		blocked := r.attributes.ReadDisabled
		if t != nil {
			m = t.manifest
			blocked = blocked || t.attributes.ReadDisabled
		}
		switch {
		case m == nil, t != nil && m.attributes.quarantined():
			err = ErrManifestUnknown
		case blocked, m.attributes.ReadDisabled, m.attributes.quarantined():
			err = ErrDisallowed
		default:
			p = m.bare()
		}
	})
	return p, err
}

// quarantined says whether the manifest waits for its scan.
func (a Attributes) quarantined() bool { return a.QuarantineState == "Quarantined" }

// Manifest returns a manifest's properties by digest; its attributes do not hide them.
//
// Errors: ErrRepositoryUnknown, ErrManifestUnknown.
func (st *Store) Manifest(name string, d digest.Digest) (p Manifest, err error) {
	st.read(func(s *state) {
		_, m, e := s.manifest(name, d)
		if e != nil {
			err = e
			return
		}
		p = m.properties()
	})
	return p, err
}

func (s *state) manifest(name string, d digest.Digest) (*repository, *manifest, error) {
	r := s.visible(name)
	if r == nil {
		return nil, nil, ErrRepositoryUnknown
	}
	m := r.manifests.get(d.String())
	if m == nil {
		return nil, nil, ErrManifestUnknown
	}
	return r, m, nil
}

// Manifests lists the manifests of a repository that are not hidden. A page costs what it holds.
//
// Errors: ErrRepositoryUnknown.
func (st *Store) Manifests(name string, p Page) (manifests []Manifest, more bool, err error) {
	st.read(func(s *state) {
		r := s.visible(name)
		if r == nil {
			err = ErrRepositoryUnknown
			return
		}
		var page []*manifest
		page, more = r.manifests.page(p, func(m *manifest) bool { return !m.attributes.ListDisabled })
		manifests = make([]Manifest, len(page))
		for i, m := range page {
			manifests[i] = m.properties()
		}
	})
	return manifests, more, err
}

// Referrers lists the manifests whose subject is d, or those among them of one artifact type. The
// subject need not exist.
func (st *Store) Referrers(name string, d digest.Digest, artifactType string, p Page) (manifests []Manifest, more bool) {
	p.Order = ByKey
	st.read(func(s *state) {
		r := s.visible(name)
		if r == nil || r.referrers[d] == nil {
			return
		}
		var page []*manifest
		page, more = r.referrers[d].page(p, func(m *manifest) bool {
			return artifactType == "" || m.m.ArtifactType == artifactType
		})
		for _, m := range page {
			manifests = append(manifests, m.bare())
		}
	})
	return manifests, more
}

// UpdateManifest changes a manifest's attributes; no lock stands in the way, and its time of update
// stays.
//
// Errors: ErrRepositoryUnknown, ErrManifestUnknown.
func (st *Store) UpdateManifest(name string, d digest.Digest, c Change) (Manifest, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	_, m, err := st.primary.manifest(name, d)
	if err == nil {
		err = st.knownManifest(name, d)
	}
	if err != nil {
		return Manifest{}, err
	}
	a := c.apply(m.attributes)
	if err := st.commit(&record{Op: opAttributes, Time: st.time(), Repository: name, Digest: d, Attributes: &a}); err != nil {
		return Manifest{}, err
	}
	return m.properties(), nil
}

// DeleteManifest deletes a manifest with its tags and, as they lose their subject, the manifests
// that refer to it.
//
// Errors: ErrRepositoryUnknown, ErrManifestUnknown; ErrDisallowed when one of what would go is
// locked, or the repository against writes.
func (st *Store) DeleteManifest(name string, d digest.Digest) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	r, m, err := st.primary.manifest(name, d)
	if err == nil {
		err = st.knownManifest(name, d)
	}
	if err != nil {
		return err
	}
	if r.attributes.WriteDisabled {
		return ErrDisallowed
	}
	var all []digest.Digest
	if !r.cascade(m, &all) {
		return ErrDisallowed
	}
	return st.commit(&record{Op: opDelete, Time: st.time(), Repository: name, Digests: all, Soft: st.soft()})
}

// cascade collects the manifest and its referrers, theirs too; it returns false when one of them or
// a tag is locked. A manifest has one subject, whose digest is in its own bytes, so this is a tree.
func (r *repository) cascade(m *manifest, all *[]digest.Digest) bool {
	if m.attributes.locked() {
		return false
	}
	for t := range m.tags.byKey.all() {
		if t.attributes.locked() {
			return false
		}
	}
	*all = append(*all, m.m.Digest)
	x := r.referrers[m.m.Digest]
	if x == nil {
		return true
	}
	for referrer := range x.byKey.all() {
		if !r.cascade(referrer, all) {
			return false
		}
	}
	return true
}

// knownManifest returns what is missing of a manifest at the replica that a write is made at.
func (st *Store) knownManifest(name string, d digest.Digest) error {
	return st.known(func(s *state) error {
		_, _, err := s.manifest(name, d)
		return err
	})
}
