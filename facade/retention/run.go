package retention

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// run deletes in one repository.
type run struct {
	*applier
	plan     *RepositoryPlan
	planned  map[digest.Digest]bool // what the plan deletes
	repo     *acr.Repository
	result   *RepositoryResult
	state    *state
	created  time.Time // of the repository, when it was first judged
	judgedAt time.Time // local time
	items    map[digest.Digest]*item
	order    []*item
	batch    []*item // that is being deleted
	untag    []Tag
	seenTags map[string]bool // those of untag that were deleted or skipped
	bodies   map[digest.Digest]*body
	since    time.Time                   // the newest time of the registry that has been seen, and was not in the future
	looked   map[digest.Digest]time.Time // manifests that were looked at, and when each had changed last
	recent   map[digest.Digest]*item     // deleted in this batch and the one before
	failures int
	mu       sync.Mutex // of the items, the result and failures
}

// item is a manifest that is to be deleted.
type item struct {
	Manifest
	node    *node
	needs   []*item // what must stay if it stays
	before  []*item // what has to be deleted before it
	with    []*item // what the registry deletes along with it
	content []byte
	status  itemStatus
	noted   bool // its intent is in the journal, on disk

	doubtful bool // the registry was asked to delete it, and nobody knows whether it will
}

type itemStatus int

const (
	pending itemStatus = iota
	deleted
	left // skipped, or protected because something that stays needs it
	restored
)

// judge reads and judges the repository, and finds what both the plan and the new judgement delete.
// It is called again during long runs: then only what is pending is judged.
func (r *run) judge(ctx context.Context) error {
	policy := policyOf(r.policies, r.plan.Name)
	if policy == nil || policy.Name != r.plan.Policy {
		return stop(Refused, "the plan's rules do not govern it by the policy %q", r.plan.Policy)
	}
	started := r.reader.clock.now()
	s, err := r.reader.read(ctx, r.plan.Name, r.bodies)
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return stop(Refused, "%s", refused.refusal.Text)
	case errors.Is(err, errGone): // with its last manifest
		return stop(Done, "")
	case err != nil:
		return err
	case !r.created.IsZero() && !r.created.Equal(s.created):
		return stop(Stopped, "the repository was deleted and made anew")
	}
	r.reader.recall(s)
	now := newJudge(s, policy, r.applier.plan.Made, r.used[r.plan.Name], r.begun(s)).plan()
	if now.Refused != nil {
		return stop(Refused, "%s", now.Refused.Text)
	}
	r.state, r.created, r.judgedAt = s, s.created, time.Now()
	r.since = latest(r.since, earliest(s.newest, started)) // what was pushed while the lists were read may be in none of them
	return r.intersect(now)
}

// begun returns what an earlier run of the same plan left alone when it was interrupted: the images
// of an index that it deleted, and the signatures of an image. Nothing but the plan says what these
// belonged to, so the plan must be one that this process has made, or that somebody has approved.
func (r *run) begun(s *state) begun {
	b := begun{map[digest.Digest]bool{}, map[string]bool{}, map[string]bool{}}
	if !r.applier.plan.own && r.opts.Approved == "" {
		return b
	}
	follow := func(t Tag) {
		if t.Reason.Code == Follows && s.node(t.Reason.Via) == nil {
			b.tags[t.Name] = true
		}
	}
	for _, m := range r.plan.Delete {
		for _, need := range m.Needs {
			if s.node(m.Digest) == nil && r.planned[need] {
				b.nodes[need] = true
			}
		}
		for _, t := range m.Tags {
			follow(t)
		}
	}
	for _, t := range r.plan.Untag {
		follow(t)
		b.untag[t.Name] = true
	}
	return b
}

// intersect keeps to what both plans delete. What only one of them deletes stays, and so does all
// that it needs.
func (r *run) intersect(now *RepositoryPlan) error {
	planned := r.pendingPlan()
	again := map[digest.Digest]*Manifest{}
	for i := range now.Delete {
		again[now.Delete[i].Digest] = &now.Delete[i]
	}
	r.items, r.order = map[digest.Digest]*item{}, nil
	var changed []Skipped
	for _, m := range planned {
		n := r.state.node(m.Digest)
		switch other := again[m.Digest]; {
		case n == nil: // deleted by an earlier run, or by somebody
		case other == nil:
			changed = append(changed, Skipped{string(m.Digest), SkippedKept, "the rules keep it now"})
		case !sameTags(m.Tags, other.Tags):
			changed = append(changed, Skipped{string(m.Digest), SkippedTagged, "its tags are others than planned"})
		default:
			r.items[m.Digest] = &item{Manifest: m, node: n}
		}
	}
	most := r.opts.MaxChanged
	if most <= 0 {
		most = max(defaultMaxChanged, len(planned)/20)
	}
	if len(changed) > most {
		return stop(Stopped, "%d of %d planned deletions are no longer right: make a new plan", len(changed), len(planned))
	}
	r.result.Skipped = append(r.result.Skipped, changed...)
	r.connect()
	for _, m := range now.Delete {
		if r.items[m.Digest] == nil { // it stays, though the rules would delete it: then what it needs has to stay
			r.protect(m.Needs, m.Digest)
		}
	}
	r.untag = intersectTags(r.plan.Untag, now)
	return nil
}

// pendingPlan returns the planned deletions that are still to be done.
func (r *run) pendingPlan() []Manifest {
	if r.items == nil { // it is judged for the first time
		return r.plan.Delete
	}
	return slices.DeleteFunc(slices.Clone(r.plan.Delete), func(m Manifest) bool {
		i := r.items[m.Digest]
		return i == nil || i.status != pending
	})
}

// connect sets what the items need, and what has to go before them, by the graph as it is now.
func (r *run) connect() {
	gone := make(nodeSet, len(r.state.nodes))
	for _, i := range r.items {
		gone[i.node.at] = true
	}
	for _, n := range r.state.sortDeletions(gone) {
		r.order = append(r.order, r.items[n.digest])
	}
	for _, i := range r.items {
		for _, d := range i.node.neededBy(gone) {
			i.needs = append(i.needs, r.items[d])
		}
		for _, v := range i.node.after() {
			if gone[v.at] {
				later := r.items[v.digest]
				later.before = append(later.before, i)
				i.needs = append(i.needs, later) // it could not be deleted either
			}
		}
		for _, v := range cascade(i.node, gone)[1:] {
			i.with = append(i.with, r.items[v.digest])
		}
	}
}

// protect leaves the items among the digests, and all that they need.
func (r *run) protect(needs []digest.Digest, because digest.Digest) {
	for _, d := range needs {
		if i := r.items[d]; i != nil {
			r.leave(i, Skipped{string(d), SkippedNeeded, short(because) + " stays, and needs it"})
		}
	}
}

// leave skips an item, and all that it needs. What the registry would delete along with others
// cannot stay without them, so those are among its needs.
func (r *run) leave(i *item, why Skipped) {
	if i.status != pending {
		return
	}
	i.status = left
	r.result.Skipped = append(r.result.Skipped, why)
	if i.noted && !i.doubtful {
		_ = r.journal.write(entry{Repository: r.plan.Name, Digest: i.Digest, Done: outcomeLeft}) // a journal that fails is noticed before the next deletion
	}
	for _, need := range i.needs {
		r.leave(need, Skipped{string(need.Digest), SkippedNeeded, short(i.Digest) + " stays, and needs it"})
	}
}

func sameTags(a, b []Tag) bool {
	return slices.EqualFunc(a, b, func(x, y Tag) bool { return x.Name == y.Name && x.Updated.Equal(y.Updated) })
}

// intersectTags returns the planned tags that the new judgement deletes as well, from the same
// manifest: alone or with it, for once the first tags are gone a rule may select the manifest too.
func intersectTags(planned []Tag, now *RepositoryPlan) []Tag {
	byName := map[string]Tag{}
	for _, t := range now.Untag {
		byName[t.Name] = t
	}
	for _, m := range now.Delete {
		for _, t := range m.Tags {
			t.Digest = m.Digest
			byName[t.Name] = t
		}
	}
	var both []Tag
	for _, t := range planned {
		if o := byName[t.Name]; o.Digest == t.Digest && o.Updated.Equal(t.Updated) {
			both = append(both, t)
		}
	}
	return both
}
