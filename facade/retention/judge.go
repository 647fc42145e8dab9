package retention

import (
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

// judge decides what stays in one repository. It computes the least set that holds the roots (what
// stays for its own sake) and all that anything in the set needs; everything else that a rule leads
// to is deleted.
type judge struct {
	*state
	policy *compiled
	now    time.Time
	used   *used

	// By node.at or tag.at, nil for all others:
	keptNodes []*Reason
	keptTags  []*Reason
	matched   []*compiledRule // tags that a Delete rule selects
	alone     []*compiledRule // manifests that stand alone and that a Delete rule selects
	byType    []*compiledRule // referrers that a Delete rule selects by their type

	exempt   nodeSet // referrers that may go although their subject stays
	queue    []any   // *node and *tag whose needs are still to be followed
	findings []Finding
	begun    begun
}

// begun is what an interrupted apply has left alone by deleting what it belonged to: it has no rule
// of its own.
type begun struct {
	nodes map[digest.Digest]bool
	tags  map[string]bool
	untag map[string]bool // tags that are deleted alone: without those before it a tag may be part of a circle
}

func newJudge(s *state, p *compiled, now time.Time, u *used, b begun) *judge {
	if u == nil {
		u = &used{}
	}
	nodes, tags := len(s.nodes), len(s.tags)
	j := &judge{
		state: s, policy: p, now: now, used: u, begun: b,
		keptNodes: make([]*Reason, nodes), keptTags: make([]*Reason, tags), exempt: make(nodeSet, nodes),
		matched: make([]*compiledRule, tags), alone: make([]*compiledRule, nodes), byType: make([]*compiledRule, nodes),
	}
	j.matchDeletes()
	j.exemptTypes()
	j.roots()
	j.close()
	j.ground()
	return j
}

// keepNode puts a manifest into the set, with the first reason that is found.
func (j *judge) keepNode(n *node, r Reason) {
	if j.keptNodes[n.at] == nil {
		j.keptNodes[n.at] = &r
		j.queue = append(j.queue, n)
	}
}

func (j *judge) keepTag(t *tag, r Reason) {
	if j.keptTags[t.at] == nil {
		j.keptTags[t.at] = &r
		j.queue = append(j.queue, t)
	}
}

// close follows the needs of all that is kept.
func (j *judge) close() {
	for len(j.queue) > 0 {
		v := j.queue[0]
		j.queue = j.queue[1:]
		switch v := v.(type) {
		case *tag:
			why := j.keptTags[v.at]
			j.keepNode(v.node, Reason{KeptTagged, why.Rule, "", "the tag " + v.name + " on it stays: " + why.Text}) // E1
		case *node:
			j.closeNode(v)
		}
	}
	j.queue = nil
}

func (j *judge) closeNode(n *node) {
	for _, c := range n.needs { // E2, E6
		j.keepNode(c, Reason{KeptChild, "", n.digest, childText(n, c)})
	}
	if n.subject != nil { // E3
		j.keepNode(n.subject, Reason{KeptSubject, "", n.digest, "it is the subject of " + short(n.digest)})
	}
	for _, r := range n.refers { // E4
		if !j.exempt[r.at] {
			j.keepNode(r, Reason{KeptReferrer, "", n.digest, "it refers to " + short(n.digest)})
		}
	}
	for _, t := range n.belongs { // E5
		j.keepTag(t, Reason{KeptReferrer, "", n.digest, "it belongs to " + short(n.digest)})
		j.keepNode(t.node, Reason{KeptReferrer, "", n.digest, "its tag " + t.name + " belongs to " + short(n.digest)})
	}
}

func childText(parent, child *node) string {
	if p := parent.platform(child); p != "" {
		return p + " of " + short(parent.digest)
	}
	return "part of " + short(parent.digest)
}

// roots keeps what stays for its own sake.
func (j *judge) roots() {
	for i := range j.policy.keep {
		j.keepRule(&j.policy.keep[i])
	}
	grace := j.policy.grace()
	for _, t := range j.tags {
		j.rootTag(t, grace)
	}
	j.lastTags()
	for _, n := range j.nodes {
		j.rootNode(n, grace)
	}
	j.rootCircles()
}

// rootCircles keeps what cannot be deleted in any order that is safe to interrupt.
func (j *judge) rootCircles() {
	left := make(nodeSet, len(j.nodes))
	for i := range left {
		left[i] = true
	}
	for _, n := range j.sortDeletions(left) {
		left[n.at] = false
	}
	for _, n := range j.nodes {
		if left[n.at] {
			why := Reason{Code: KeptCircle, Text: "it belongs to manifests that belong to each other"}
			j.keepNode(n, why)         // K9
			for _, t := range n.tags { // without them it might belong to something else the next time
				if !j.begun.untag[t.name] {
					j.keepTag(t, why)
				}
			}
			j.find(FoundCircle, string(n.digest), "it belongs to manifests that belong to each other, so that no order of deletions is right: it stays")
		}
	}
}

// rootTag keeps a tag for its own sake.
func (j *judge) rootTag(t *tag, grace time.Duration) {
	rule := j.matched[t.at]
	matched := rule != nil
	switch {
	case j.used.all || j.used.tags[t.name]:
		j.keepTag(t, Reason{Code: KeptInUse, Text: "it is in use"}) // K3
	case t.locked && !(j.policy.Unlock && matched):
		j.keepTag(t, Reason{Code: KeptLocked, Text: "the tag is locked"}) // K2
	case j.isYoung(t.updated, grace):
		j.keepTag(t, Reason{Code: KeptYoung, Text: j.pushedAgo(t.updated)}) // K4
	case t.of != nil, j.begun.tags[t.name]: // it stays and goes with what it belongs to: E5
	case !matched:
		j.keepTag(t, Reason{Code: KeptUnmatched, Text: "no rule deletes it"}) // K1, K5
		if t.named {
			j.find(FoundOrphan, t.name, "it belongs to a manifest that does not exist, and no rule deletes orphans of its age")
		}
	case rule.delete.UntagOnly:
		j.keepNode(t.node, Reason{KeptByRule, rule.name, "", "the rule deletes the tag only"})
	}
}

// lastTags keeps the newest tags.
func (j *judge) lastTags() {
	n := j.policy.Limits.leaveTags()
	if n == 0 {
		return
	}
	plain := slices.DeleteFunc(slices.Clone(j.tags), func(t *tag) bool { return t.named })
	slices.SortStableFunc(plain, func(a, b *tag) int { return b.updated.Compare(a.updated) })
	for i, t := range plain[:min(n, len(plain))] {
		j.keepTag(t, Reason{Code: KeptLast, Text: fmt.Sprintf("the %s newest tag of the repository", ordinal(i+1))}) // K8
	}
}

// isYoung reports whether something is younger than a length of time. What has no time may be
// young.
func (j *judge) isYoung(at time.Time, than time.Duration) bool {
	return than > 0 && (at.IsZero() || j.now.Sub(at) < than)
}

func (j *judge) pushedAgo(at time.Time) string {
	if at.IsZero() {
		return "the registry does not tell when it was pushed"
	}
	return "pushed " + inDays(j.now.Sub(at)) + " ago"
}

// rootNode keeps a manifest for its own sake.
func (j *judge) rootNode(n *node, grace time.Duration) {
	if j.used.all || j.used.digests[n.digest] {
		j.keepNode(n, Reason{Code: KeptInUse, Text: "it is in use"}) // K3
	}
	if n.locked && !j.mayUnlock(n) { // K2
		j.lockedNode(n, "is locked")
	}
	if j.isYoung(n.updated, grace) {
		j.keepNode(n, Reason{Code: KeptYoung, Text: j.pushedAgo(n.updated)}) // K4
	}
	if n.quarantined { // K6
		j.lockedNode(n, "is quarantined")
	}
	if !n.attributes.ReadEnabled { // K7
		j.lockedNode(n, "must not be read")
	}
	if n.body.Kind == graph.KindUnknown {
		j.keepNode(n, Reason{Code: KeptUnknown, Text: "its media type is unknown: " + n.mediaType}) // K6
		j.find(FoundUnknownKind, string(n.digest), "the media type "+n.mediaType+" is unknown, so it stays, and all that it names")
	}
	if n.standsAlone() && n.isOrphan() && j.alone[n.at] == nil && !j.begun.nodes[n.digest] { // it stays by K5
		j.find(FoundOrphan, string(n.digest), "its subject does not exist, and no rule deletes orphans of its age")
	}
	for _, r := range n.body.Named {
		if r.Child && j.node(r.Digest) == nil {
			j.find(FoundBrokenIndex, string(n.digest), "it contains "+string(r.Digest)+", which does not exist")
		}
	}
}

// lockedNode keeps a manifest and its tags, none of which could be put back as they are.
func (j *judge) lockedNode(n *node, state string) {
	j.keepNode(n, Reason{Code: KeptLocked, Text: "the manifest " + state})
	for _, t := range n.tags {
		j.keepTag(t, Reason{Code: KeptLocked, Text: "its manifest " + state})
	}
}

// mayUnlock reports whether a locked manifest may be unlocked: a Delete rule selects it, or all of
// its tags.
func (j *judge) mayUnlock(n *node) bool {
	if !j.policy.Unlock {
		return false
	}
	if j.alone[n.at] != nil {
		return true
	}
	for _, t := range n.tags {
		if rule := j.matched[t.at]; rule == nil || rule.delete.UntagOnly {
			return false
		}
	}
	return len(n.tags) > 0
}

func (j *judge) find(code FindingCode, what, detail string) {
	j.findings = append(j.findings, Finding{code, what, detail})
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}
