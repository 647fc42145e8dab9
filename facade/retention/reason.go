package retention

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Reason says why something is deleted or stays.
type Reason struct {
	Code Code          `json:"code"`
	Rule string        `json:"rule,omitzero"` // Rule is the policy and the rule, as "policy/rule".
	Via  digest.Digest `json:"via,omitzero"`  // Via is the manifest that decides.
	Text string        `json:"text"`          // Text is for a person, such as "older than 14d: 45d".
}

// Code is the kind of a Reason, for programs.
type Code string

// Why something is deleted.
const (
	Old      Code = "old"      // a Delete rule selects it by its age
	Matched  Code = "matched"  // a Delete rule for any age selects it
	Unneeded Code = "unneeded" // only deleted indexes contain it
	Follows  Code = "follows"  // it is a referrer or a cosign tag of something that is deleted
	Orphan   Code = "orphan"   // its subject does not exist, and a Delete rule selects orphans
)

// Why something stays.
const (
	KeptByRule    Code = "rule"     // a Keep rule selects it
	KeptUnmatched Code = "noRule"   // no Delete rule selects it
	KeptYoung     Code = "young"    // it is younger than the policy's Grace
	KeptLocked    Code = "locked"   // it is locked or in quarantine
	KeptInUse     Code = "inUse"    // it is in use
	KeptTagged    Code = "tagged"   // a tag on it stays
	KeptChild     Code = "child"    // an index that stays contains it
	KeptSubject   Code = "subject"  // something that stays refers to it
	KeptReferrer  Code = "referrer" // it refers to something that stays
	KeptUnknown   Code = "unknown"  // its media type is unknown
	KeptLast      Code = "last"     // it is among the newest tags, which always stay: Limits.LeaveTags
	KeptCircle    Code = "circle"   // it and other manifests belong to each other, such as two images with the cosign tags of each other
)

// Decision says whether a tag or manifest is deleted, and why.
type Decision struct {
	Deleted bool
	Chain   []Reason // the first is the reason of the tag or manifest itself, the last is the one that decides
}

// explanation holds the reason of everything that stays in a repository, by name.
type explanation struct{ manifests, tags []explained }

type explained struct {
	name string // a digest or tag
	why  *Reason
}

// find returns the reason of one of a sorted list, or nil.
func find(list []explained, name string) *Reason {
	at, found := slices.BinarySearchFunc(list, name, func(e explained, name string) int { return strings.Compare(e.name, name) })
	if !found {
		return nil
	}
	return list[at].why
}

// Explain says why a tag or manifest is deleted or stays, with the chain of reasons. For example,
// an image stays because of its index, the index because of its tag, and the tag because of a Keep
// rule. ok is false if the reference is not in the plan.
//
// A plan from [ReadPlan] explains only what it lists: what is deleted, and what stays although a
// Delete rule selects it.
func (p *Plan) Explain(repository, reference string) (d Decision, ok bool) {
	r := p.repository(repository)
	if r == nil {
		return Decision{}, false
	}
	if r.Refused != nil {
		return Decision{Chain: []Reason{{Code: Code(r.Refused.Code), Text: r.Refused.Text}}}, true
	}
	if d, ok := r.explainDeleted(reference); ok {
		return d, true
	}
	return r.explainKept(reference)
}

func (r *RepositoryPlan) explainDeleted(reference string) (Decision, bool) {
	byDigest := make(map[digest.Digest]*Reason, len(r.Delete))
	var start *Reason
	for i := range r.Delete {
		m := &r.Delete[i]
		byDigest[m.Digest] = &m.Reason
		if string(m.Digest) == reference {
			start = &m.Reason
		}
		for j := range m.Tags {
			if m.Tags[j].Name == reference {
				start = &m.Tags[j].Reason
			}
		}
	}
	for i := range r.Untag {
		if r.Untag[i].Name == reference {
			start = &r.Untag[i].Reason
		}
	}
	if start == nil {
		return Decision{}, false
	}
	return Decision{Deleted: true, Chain: follow(start, func(d digest.Digest) *Reason { return byDigest[d] })}, true
}

func (r *RepositoryPlan) explainKept(reference string) (Decision, bool) {
	why := r.why
	if why == nil {
		why = r.listed()
	}
	first := find(why.tags, reference)
	if first == nil {
		first = find(why.manifests, reference)
	}
	if first == nil {
		return Decision{}, false
	}
	return Decision{Chain: follow(first, func(d digest.Digest) *Reason { return find(why.manifests, string(d)) })}, true
}

// listed is the explanation of what the plan lists as kept.
func (r *RepositoryPlan) listed() *explanation {
	e := &explanation{}
	for i, k := range r.Keep {
		e.manifests = append(e.manifests, explained{string(k.Digest), &r.Keep[i].Reason})
		for _, tag := range k.Tags {
			e.tags = append(e.tags, explained{tag, &r.Keep[i].Reason})
		}
	}
	for _, list := range [][]explained{e.manifests, e.tags} {
		slices.SortFunc(list, func(a, b explained) int { return strings.Compare(a.name, b.name) })
	}
	return e
}

// follow walks the chain of reasons. A chain that comes back to itself ends there.
func follow(first *Reason, reasonOf func(digest.Digest) *Reason) (chain []Reason) {
	seen := map[digest.Digest]bool{}
	for r := first; r != nil; r = reasonOf(r.Via) {
		if chain = append(chain, *r); seen[r.Via] {
			break
		}
		seen[r.Via] = true
	}
	return chain
}
