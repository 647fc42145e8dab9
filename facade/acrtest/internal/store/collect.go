package store

import "time"

// Collected says what a Collect freed.
type Collected struct{ Blobs, Sessions, Manifests int }

// Collect frees what nothing needs any more: links to blobs that no manifest names and that are
// older than grace, with their content where no other repository links to it; expired upload
// sessions; and manifests whose time after a soft deletion is over. It costs one pass over all
// links.
func (st *Store) Collect(grace time.Duration) (c Collected, err error) {
	now := st.opts.Now()
	c.Sessions = st.sessions.expire(now)
	st.mu.Lock()
	defer st.mu.Unlock()
	for r := range st.primary.repositories.snapshot() {
		before := r.deletedManifests.len()
		if err := st.purge(r); err != nil {
			return c, err
		}
		c.Manifests += before - r.deletedManifests.len()
		for d, l := range r.links {
			if r.uses[d] > 0 || now.Sub(l.created) < grace {
				continue
			}
			if err := st.commit(&record{Op: opUnlink, Time: st.time(), Repository: r.name, Digest: d}); err != nil {
				return c, err
			}
			c.Blobs++
		}
	}
	return c, nil
}
