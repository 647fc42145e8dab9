package store

import "github.com/opencontainers/go-digest"

func (r *repository) properties() Repository {
	return Repository{
		Name: r.name, Created: r.created, Updated: r.updated,
		Manifests: r.manifests.len(), Tags: r.tags.len(), Attributes: r.attributes,
	}
}

// Repositories lists the names of the repositories that hold a manifest and are not hidden. A page
// costs what it holds.
func (st *Store) Repositories(p Page) (names []string, more bool) {
	p.Order = ByKey
	st.read(func(s *state) {
		var page []*repository
		page, more = s.repositories.page(p, func(r *repository) bool {
			return r.visible() && !r.attributes.ListDisabled
		})
		for _, r := range page {
			names = append(names, r.name)
		}
	})
	return names, more
}

// Repository returns a repository's properties.
//
// Errors: ErrRepositoryUnknown.
func (st *Store) Repository(name string) (p Repository, err error) {
	st.read(func(s *state) {
		r := s.visible(name)
		if r == nil {
			err = ErrRepositoryUnknown
			return
		}
		p = r.properties()
	})
	return p, err
}

// UpdateRepository changes a repository's attributes; no lock stands in the way.
//
// Errors: ErrRepositoryUnknown.
func (st *Store) UpdateRepository(name string, c Change) (Repository, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.primary.visible(name)
	if r == nil || !st.knownRepository(name) {
		return Repository{}, ErrRepositoryUnknown
	}
	a := c.apply(r.attributes)
	if err := st.commit(&record{Op: opAttributes, Time: st.time(), Repository: name, Attributes: &a}); err != nil {
		return Repository{}, err
	}
	return r.properties(), nil
}

// Writable says whether a blob or manifest may be pushed to a repository, which need not exist.
//
// Errors: ErrDisallowed when the repository is locked against writes.
func (st *Store) Writable(name string) error {
	st.mu.RLock()
	defer st.mu.RUnlock()
	if r := st.primary.repositories.get(name); r != nil && r.attributes.WriteDisabled {
		return ErrDisallowed
	}
	return nil
}

// DeleteRepository deletes a repository with all that is in it, and says which manifests and tags
// went.
//
// Errors: ErrRepositoryUnknown; ErrDisallowed when the repository, or any tag or manifest in it, is
// locked.
func (st *Store) DeleteRepository(name string) (manifests []digest.Digest, tags []string, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.primary.visible(name)
	if r == nil || !st.knownRepository(name) {
		return nil, nil, ErrRepositoryUnknown
	}
	locked := r.attributes.locked()
	for m := range r.manifests.byKey.all() {
		locked = locked || m.attributes.locked()
		manifests = append(manifests, m.m.Digest)
	}
	for t := range r.tags.byKey.all() {
		locked = locked || t.attributes.locked()
		tags = append(tags, t.name)
	}
	if locked {
		return nil, nil, ErrDisallowed
	}
	if err := st.commit(&record{Op: opDrop, Time: st.time(), Repository: name, Soft: st.soft()}); err != nil {
		return nil, nil, err
	}
	return manifests, tags, nil
}

// locked says whether the attributes forbid to delete what has them.
func (a Attributes) locked() bool { return a.DeleteDisabled || a.WriteDisabled }

// apply returns the attributes as the change makes them.
func (c Change) apply(a Attributes) Attributes {
	set := func(disabled *bool, enable *bool) {
		if enable != nil {
			*disabled = !*enable
		}
	}
	set(&a.DeleteDisabled, c.Delete)
	set(&a.WriteDisabled, c.Write)
	set(&a.ReadDisabled, c.Read)
	set(&a.ListDisabled, c.List)
	if c.QuarantineState != nil {
		a.QuarantineState = *c.QuarantineState
	}
	if c.QuarantineDetails != nil {
		a.QuarantineDetails = *c.QuarantineDetails
	}
	return a
}

// knownRepository reports whether the repository is known at the replica that a write is made at.
func (st *Store) knownRepository(name string) bool {
	return st.known(func(s *state) error {
		if s.visible(name) == nil {
			return ErrRepositoryUnknown
		}
		return nil
	}) == nil
}
