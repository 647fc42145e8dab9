package retention

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	versions "github.com/acrkit/acrkit/facade/internal/match"
)

// matchDeletes finds what the Delete rules select. The first rule that selects something is named;
// one that deletes more than the tag goes before one that only untags.
func (j *judge) matchDeletes() {
	for i := range j.policy.delete {
		r := &j.policy.delete[i]
		for _, t := range j.tags {
			hit := !t.named && r.selectsTag(t.name) || t.named && t.of == nil && r.sel.Orphans
			if before := j.matched[t.at]; !hit || before != nil && (r.delete.UntagOnly || !before.delete.UntagOnly) {
				continue
			}
			if j.oldEnough(r.delete, clockOfTag(r.delete.By, t)) {
				j.matched[t.at] = r
			}
		}
		for _, n := range j.nodes {
			j.matchNode(r, n)
		}
	}
}

// matchNode finds whether a Delete rule selects a manifest.
func (j *judge) matchNode(r *compiledRule, n *node) {
	alone := n.standsAlone()
	orphan := n.isOrphan()
	hit := alone && (r.sel.Untagged && !orphan || r.sel.Orphans && orphan)
	if hit && j.alone[n.at] == nil && j.oldEnough(r.delete, j.clockOfNode(r.delete.By, n)) {
		j.alone[n.at] = r
	}
	if n.subject != nil && r.types[n.body.Artifact] && j.byType[n.at] == nil && j.oldEnough(r.delete, j.clockOfNode(r.delete.By, n)) {
		j.byType[n.at] = r
	}
}

func clockOfTag(by Clock, t *tag) time.Time {
	if by == Created {
		return t.created
	}
	return t.updated
}

func (j *judge) clockOfNode(by Clock, n *node) time.Time {
	switch by {
	case Created:
		return n.created
	case Untagging:
		return j.untagged[n]
	default:
		return n.updated
	}
}

// oldEnough reports whether something of that time is old enough for a Delete rule.
func (j *judge) oldEnough(d *Delete, at time.Time) bool {
	switch {
	case d.Any:
		return true
	case at.IsZero():
		return false // the registry tells no time: it may be young
	case d.OlderThan > 0:
		return j.now.Sub(at) > time.Duration(d.OlderThan)
	default:
		return at.Before(d.Before)
	}
}

// selected is the reason of something that a Delete rule selects, and that has this time.
func (j *judge) selected(r *compiledRule, orphan bool, at time.Time) Reason {
	reason := Reason{Code: Old, Rule: r.name}
	age := inDays(j.now.Sub(at))
	switch {
	case r.delete.Any:
		reason.Code, reason.Text = Matched, "of any age: "+age
	case r.delete.OlderThan > 0:
		reason.Text = fmt.Sprintf("older than %s: %s", r.delete.OlderThan, age)
	default:
		reason.Text = fmt.Sprintf("before %s: %s", r.delete.Before.UTC().Format(time.RFC3339), age)
	}
	if orphan {
		reason.Code = Orphan
	}
	return reason
}

// selectedTag is the reason of a tag. One that an interrupted apply has left alone has none.
func (j *judge) selectedTag(t *tag) Reason {
	r := j.matched[t.at]
	if r == nil {
		return Reason{}
	}
	return j.selected(r, t.named, clockOfTag(r.delete.By, t))
}

// exemptTypes finds the referrers that may go although their subject stays.
func (j *judge) exemptTypes() {
	for _, n := range j.nodes {
		if j.byType[n.at] == nil {
			continue
		}
		kept := slices.ContainsFunc(j.policy.keep, func(k compiledRule) bool {
			return k.types[n.body.Artifact] && j.keepAlways(k.keep, n.updated)
		})
		j.exempt[n.at] = !kept
	}
}

// keepAlways reports whether a Keep rule keeps something of that time without counting. A count
// keeps all referrers of a type: they belong to different images.
func (j *judge) keepAlways(k *Keep, at time.Time) bool {
	none := k.Newest == 0 && k.Within == 0 && k.Since.IsZero()
	return none || k.Newest > 0 || j.isYoung(at, time.Duration(k.Within)) || !k.Since.IsZero() && (at.IsZero() || !at.Before(k.Since))
}

// keepRule keeps what a Keep rule selects. Referrers that it selects by their type are seen to by
// exemptTypes.
func (j *judge) keepRule(r *compiledRule) {
	j.keepSelectedTags(r)
	var alone []*node
	for _, n := range j.nodes {
		if n.standsAlone() && (r.sel.Untagged && !n.isOrphan() || r.sel.Orphans && n.isOrphan()) {
			alone = append(alone, n)
		}
	}
	newest := newestOf(alone, r.keep.Newest, func(a, b *node) int {
		return orderTime(r.keep, a.created, a.updated).Compare(orderTime(r.keep, b.created, b.updated))
	})
	for _, n := range alone {
		switch text := j.keptBy(r.keep, n.created, n.updated); {
		case text != "":
			j.keepNode(n, Reason{KeptByRule, r.name, "", text})
		case newest(n) > 0:
			j.keepNode(n, Reason{KeptByRule, r.name, "", ordinal(newest(n)) + " newest"})
		}
	}
}

// keptBy says why a Keep rule keeps something of these times without counting, or "".
func (j *judge) keptBy(k *Keep, created, at time.Time) string {
	switch {
	case k.Newest == 0 && k.Within == 0 && k.Since.IsZero():
		return "the rule keeps all that it selects"
	case at.IsZero(), created.IsZero() && k.Order == ByCreated:
		return "the registry does not tell its time"
	case j.isYoung(at, time.Duration(k.Within)):
		return fmt.Sprintf("within %s: %s", k.Within, inDays(j.now.Sub(at)))
	case !k.Since.IsZero() && !at.Before(k.Since):
		return "since " + k.Since.UTC().Format(time.RFC3339)
	default:
		return ""
	}
}

func orderTime(k *Keep, created, updated time.Time) time.Time {
	if k.Order == ByCreated {
		return created
	}
	return updated
}

// keepSelectedTags keeps the tags that a Keep rule selects, by its conditions.
func (j *judge) keepSelectedTags(r *compiledRule) {
	groups := map[string][]*tag{}
	for _, t := range j.tags {
		if r.sel.Orphans && t.named && t.of == nil {
			if text := j.keptBy(r.keep, t.created, t.updated); text != "" || r.keep.Newest > 0 {
				j.keepTag(t, Reason{KeptByRule, r.name, "", cmp.Or(text, "the rule keeps orphans")})
			}
		}
		if t.named || !r.selectsTag(t.name) {
			continue
		}
		if text := j.keptBy(r.keep, t.created, t.updated); text != "" {
			j.keepTag(t, Reason{KeptByRule, r.name, "", text})
		}
		group, _ := r.tags.Group(t.name)
		groups[group] = append(groups[group], t)
	}
	if r.keep.Newest == 0 {
		return
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		j.keepNewest(r, group, groups[group])
	}
}

// keepNewest keeps the newest images, or tags, of one group.
func (j *judge) keepNewest(r *compiledRule, group string, tags []*tag) {
	compare := func(a, b *tag) int {
		return orderTime(r.keep, a.created, a.updated).Compare(orderTime(r.keep, b.created, b.updated))
	}
	if r.keep.Order == BySemver {
		tags = j.onlyVersions(r, tags)
		compare = func(a, b *tag) int {
			va, _ := versions.ParseVersion(a.name)
			vb, _ := versions.ParseVersion(b.name)
			return va.Compare(vb)
		}
	}
	// An image is as new as the newest of its selected tags.
	best := map[*node]*tag{}
	for _, t := range tags {
		if b := best[t.node]; b == nil || compare(t, b) > 0 {
			best[t.node] = t
		}
	}
	counted := tags
	if j.policy.Count != Tags {
		counted = nil
		for _, n := range j.nodes {
			if t := best[n]; t != nil {
				counted = append(counted, t)
			}
		}
	}
	place := newestOf(counted, r.keep.Newest, compare)
	for _, t := range tags {
		at := place(t)
		if j.policy.Count != Tags {
			at = place(best[t.node])
		}
		if at == 0 {
			continue
		}
		text := ordinal(at) + " newest"
		if group != "" {
			text += " of " + group
		}
		j.keepTag(t, Reason{KeptByRule, r.name, "", text})
	}
}

// onlyVersions keeps the tags that are no versions, and returns the others: where a tag stands in
// the order is not known.
func (j *judge) onlyVersions(r *compiledRule, tags []*tag) []*tag {
	var sorted []*tag
	for _, t := range tags {
		if _, ok := versions.ParseVersion(t.name); ok {
			sorted = append(sorted, t)
			continue
		}
		j.keepTag(t, Reason{KeptByRule, r.name, "", "it is no version, so its place in the order is not known"})
		j.find(FoundNoVersion, t.name, "it is no version, and "+r.name+" orders by version: it stays")
	}
	return sorted
}

// newestOf returns a function that tells the place of an item among the n newest, counted from 1,
// and 0 for all others. Items that are equally new as the nth are among them.
func newestOf[T comparable](items []T, n int, compare func(a, b T) int) func(T) int {
	sorted := slices.Clone(items)
	slices.SortStableFunc(sorted, func(a, b T) int { return compare(b, a) })
	place := map[T]int{}
	for i, v := range sorted {
		if i >= n && (n == 0 || compare(v, sorted[n-1]) != 0) {
			break
		}
		place[v] = i + 1
	}
	return func(v T) int { return place[v] }
}
