package store

import (
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// replica is another state of the content, in which changes made elsewhere arrive some time later.
type replica struct {
	state    *state
	lag      time.Duration
	writable bool // changes are made at it too, and seen there at once
	due      []pending
	// mixed says that a change of its own was made before an earlier one had arrived from
	// elsewhere. Such a state is replaced by the primary's once it has all changes, so that
	// replicas agree in the end.
	mixed bool
}

// pending is a change that has not arrived yet.
type pending struct {
	rec  *record
	at   time.Time
	held *blob // content that the record links to, kept until it is linked
}

// Replica returns the store as replica n sees it. It sees its own writes at once and those of
// others after Options.ReplicaLag, and knows only the upload sessions that were started at it.
func (st *Store) Replica(n int) *Store { return &Store{core: st.core, at: st.replicas[n]} }

func (r *replica) queue(p *pool, rec *record, now time.Time) {
	next := pending{rec: rec, at: now.Add(r.lag)} // not the time of the change, which may run ahead
	if rec.Op == opLink {
		next.held = p.hold(rec.Digest, rec.Size)
	}
	r.due = append(r.due, next)
}

// write makes a change of the replica's own.
func (r *replica) write(rec *record) {
	r.mixed = r.mixed || len(r.due) > 0
	r.apply(rec)
}

// apply makes a change, unless what it changes is missing because another change has not arrived.
func (r *replica) apply(rec *record) {
	if !r.mixed {
		r.state.apply(rec)
		return
	}
	if rec.Op == opDelete { // of what goes together, what is there
		part := *rec
		part.Digests = slices.DeleteFunc(slices.Clone(rec.Digests), func(d digest.Digest) bool { return !r.state.holds(rec.Repository, d) })
		rec = &part
	}
	if r.state.has(rec) {
		r.state.apply(rec)
	}
}

// advance makes the changes whose time has come.
func (r *replica) advance(c *core, now time.Time) {
	for len(r.due) > 0 && !r.due[0].at.After(now) {
		r.apply(r.due[0].rec)
		if held := r.due[0].held; held != nil {
			c.pool.release(held)
		}
		r.due = r.due[1:]
	}
	if r.mixed && len(r.due) == 0 {
		fresh := newState(c.pool)
		for rec := range c.primary.records() {
			fresh.apply(rec)
		}
		r.state.releaseAll()
		r.state, r.mixed = fresh, false
	}
}

// has reports whether the state has what a record changes. apply relies on it.
func (s *state) has(rec *record) bool {
	r := s.repositories.get(rec.Repository)
	if r == nil {
		return rec.Op == opLink || rec.Op == opManifest
	}
	switch rec.Op {
	case opTag:
		return s.holds(rec.Repository, rec.Digest)
	case opUntag:
		return r.tags.get(rec.Tag) != nil
	case opRestore:
		return s.holds(rec.Repository, rec.Digest) || r.deletedManifests.get(rec.Digest.String()) != nil
	case opAttributes:
		if rec.Tag != "" {
			return r.tags.get(rec.Tag) != nil
		}
		return rec.Digest == "" || s.holds(rec.Repository, rec.Digest)
	}
	return true
}

// holds reports whether a repository has a live manifest.
func (s *state) holds(name string, d digest.Digest) bool {
	r := s.repositories.get(name)
	return r != nil && r.manifests.get(d.String()) != nil
}

// releaseAll gives up the content that the state holds.
func (s *state) releaseAll() {
	for r := range s.repositories.byKey.all() {
		for _, l := range r.links {
			s.pool.release(l.blob)
		}
	}
}
