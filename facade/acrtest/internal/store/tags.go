package store

import "github.com/opencontainers/go-digest"

func (t *tag) properties() Tag {
	return Tag{Name: t.name, Digest: t.manifest.m.Digest, Created: t.created, Updated: t.updated, Attributes: t.attributes}
}

// Tags lists the tags of a repository that are not hidden, or, unless of is empty, of one manifest.
// A page costs what it holds.
//
// Errors: ErrRepositoryUnknown.
func (st *Store) Tags(name string, of digest.Digest, p Page) (tags []Tag, more bool, err error) {
	st.read(func(s *state) {
		r := s.visible(name)
		if r == nil {
			err = ErrRepositoryUnknown
			return
		}
		x := &r.tags
		if of != "" {
			m := r.manifests.get(of.String())
			if m == nil {
				return
			}
			x = &m.tags
		}
		var page []*tag
		page, more = x.page(p, func(t *tag) bool { return !t.attributes.ListDisabled })
		tags = make([]Tag, len(page))
		for i, t := range page {
			tags[i] = t.properties()
		}
	})
	return tags, more, err
}

// Tag returns a tag's properties.
//
// Errors: ErrTagUnknown, also for an unknown repository.
func (st *Store) Tag(name, tag string) (p Tag, err error) {
	st.read(func(s *state) {
		t, e := s.tag(name, tag)
		if e != nil {
			err = e
			return
		}
		p = t.properties()
	})
	return p, err
}

func (s *state) tag(name, tag string) (*tag, error) {
	if r := s.visible(name); r != nil {
		if t := r.tags.get(tag); t != nil {
			return t, nil
		}
	}
	return nil, ErrTagUnknown
}

// PutTag points a tag at a manifest of the repository.
//
// Errors: ErrManifestUnknown, ErrDisallowed.
func (st *Store) PutTag(name, tag string, d digest.Digest) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.primary.visible(name)
	if r == nil || r.manifests.get(d.String()) == nil || st.knownManifest(name, d) != nil {
		return ErrManifestUnknown
	}
	if !r.mayTag(tag, d, false) {
		return ErrDisallowed
	}
	return st.commit(&record{Op: opTag, Time: st.time(), Repository: name, Tag: tag, Digest: d})
}

// mayTag says whether no lock keeps the tag from pointing at the manifest.
func (r *repository) mayTag(name string, d digest.Digest, keep bool) bool {
	if r.attributes.WriteDisabled {
		return false
	}
	t := r.tags.get(name)
	return t == nil || !t.attributes.WriteDisabled && (!keep || t.manifest.m.Digest == d)
}

// UpdateTag changes a tag's attributes; no lock stands in the way.
//
// Errors: ErrTagUnknown.
func (st *Store) UpdateTag(name, tag string, c Change) (Tag, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	t, err := st.primary.tag(name, tag)
	if err == nil {
		err = st.knownTag(name, tag)
	}
	if err != nil {
		return Tag{}, err
	}
	a := c.apply(t.attributes)
	if err := st.commit(&record{Op: opAttributes, Time: st.time(), Repository: name, Tag: tag, Attributes: &a}); err != nil {
		return Tag{}, err
	}
	return t.properties(), nil
}

// DeleteTag deletes a tag and leaves its manifest, whose digest it returns.
//
// Errors: ErrTagUnknown, also for an unknown repository; ErrDisallowed when the tag is locked, or
// the repository against writes.
func (st *Store) DeleteTag(name, tag string) (digest.Digest, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	t, err := st.primary.tag(name, tag)
	if err == nil {
		err = st.knownTag(name, tag)
	}
	if err != nil {
		return "", err
	}
	if t.attributes.locked() || st.primary.visible(name).attributes.WriteDisabled {
		return "", ErrDisallowed
	}
	d := t.manifest.m.Digest
	return d, st.commit(&record{Op: opUntag, Time: st.time(), Repository: name, Tag: tag, Soft: st.soft()})
}

// knownTag returns what is missing of a tag at the replica that a write is made at.
func (st *Store) knownTag(name, tag string) error {
	return st.known(func(s *state) error {
		_, err := s.tag(name, tag)
		return err
	})
}
