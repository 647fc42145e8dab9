package retention

import (
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// remember notes in the cache which manifests have tags, and finds out since when the others have
// none, if a rule asks.
func (r *reader) remember(s *state, p *compiled) {
	asked := slices.ContainsFunc(p.delete, func(d compiledRule) bool { return d.delete.By == Untagging })
	if !asked || r.cache == nil {
		return
	}
	now := r.clock.registry
	s.untagged = map[*node]time.Time{}
	for _, n := range s.nodes {
		if last, ok := r.lastTagged(s.name, n); ok && len(n.tags) == 0 {
			s.untagged[n] = last
			continue
		}
		s.untagged[n] = now
		if text, err := now.MarshalText(); err == nil {
			r.cache.Store(r.taggedKey(s.name, n.digest), text)
		}
	}
}

// recall finds out since when manifests are untagged, from the cache alone: what a plan did not see
// there is not old.
func (r *reader) recall(s *state) {
	s.untagged = map[*node]time.Time{}
	for _, n := range s.nodes {
		if last, ok := r.lastTagged(s.name, n); ok && len(n.tags) == 0 {
			s.untagged[n] = last
		}
	}
}

func (r *reader) taggedKey(repository string, d digest.Digest) string {
	return "tagged1/" + r.client.Endpoint() + "/" + repository + "@" + string(d)
}

// lastTagged returns when the manifest was last seen with a tag, or first seen.
func (r *reader) lastTagged(repository string, n *node) (last time.Time, ok bool) {
	if r.cache == nil {
		return last, false
	}
	entry, ok := r.cache.Load(r.taggedKey(repository, n.digest))
	if ok {
		ok = last.UnmarshalText(entry) == nil
	}
	return latest(last, n.created), ok // the entry may be of the time before it was deleted and pushed again
}
