package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// plan makes the repository's part of a plan of what the judge found.
func (j *judge) plan() *RepositoryPlan {
	gone, count := make(nodeSet, len(j.nodes)), 0
	for _, n := range j.nodes {
		if j.keptNodes[n.at] == nil {
			gone[n.at] = true
			count++
		}
	}
	p := &RepositoryPlan{Name: j.name, Policy: j.policy.Name, Untag: []Tag{}}
	if j.blobSizes {
		p.Bytes = j.bytes(gone)
		j.dropBlobs()
	}
	p.Delete = make([]Manifest, 0, count)
	for _, n := range j.sortDeletions(gone) {
		m := j.deleted(n, gone)
		p.Tags.Delete += len(m.Tags)
		p.Delete = append(p.Delete, m)
	}
	for _, t := range j.tags {
		if j.keptTags[t.at] == nil && !gone[t.node.at] {
			why := j.keptNodes[t.node.at]
			v := j.deletedTag(t)
			v.Digest = t.node.digest
			v.Reason.Text += "; the manifest stays: " + why.Text
			p.Untag = append(p.Untag, v)
		}
	}
	p.Tags.Delete += len(p.Untag)
	p.Manifests = Counts{len(j.nodes), count}
	p.Tags.Total = len(j.tags)
	p.Keep = j.kept()
	j.missingInUse()
	slices.SortFunc(j.findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(string(a.Code), string(b.Code)), strings.Compare(a.What, b.What), strings.Compare(a.Detail, b.Detail))
	})
	p.Findings = j.findings
	p.why = j.explanation()
	if refusal := j.limits(count); refusal != nil {
		p.refused(refusal)
	}
	return p
}

// limits refuses a plan that deletes too much.
func (j *judge) limits(gone int) *Refusal {
	l := j.policy.Limits
	switch {
	case l.Manifests > 0 && gone > l.Manifests:
		return &Refusal{RefusedLimits, fmt.Sprintf("%d manifests would be deleted, and the limit is %d", gone, l.Manifests)}
	case float64(gone)*100 > l.percent()*float64(len(j.nodes)):
		return &Refusal{RefusedLimits, fmt.Sprintf("%d of %d manifests would be deleted, and the limit is %g percent", gone, len(j.nodes), l.percent())}
	}
	return nil
}

// deleted describes a manifest that is deleted.
func (j *judge) deleted(n *node, gone nodeSet) Manifest {
	m := Manifest{
		Digest: n.digest, MediaType: n.mediaType, Kind: n.kind(), Locked: n.locked, Created: n.created, Updated: n.updated, Size: n.size,
		Needs: n.neededBy(gone), Reason: j.whyDeleted(n, gone),
	}
	if n.subject != nil && gone[n.subject.at] {
		m.With = n.subject.digest
	}
	if len(n.tags) > 0 {
		m.Tags = make([]Tag, 0, len(n.tags))
	}
	for _, t := range n.tags {
		m.Tags = append(m.Tags, j.deletedTag(t))
	}
	slices.SortFunc(m.Tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	return m
}

// neededBy returns the deleted manifests that must stay if this one stays: the ends of its edges E2
// to E6.
func (n *node) neededBy(gone nodeSet) []digest.Digest {
	var needs []digest.Digest
	add := func(v *node) {
		if v != nil && v != n && gone[v.at] {
			needs = append(needs, v.digest)
		}
	}
	for _, c := range n.needs {
		add(c)
	}
	add(n.subject)
	for _, r := range n.refers {
		add(r)
	}
	for _, t := range n.belongs {
		add(t.node)
	}
	slices.Sort(needs)
	return slices.Compact(needs)
}

func (j *judge) deletedTag(t *tag) Tag {
	v := Tag{Name: t.name, Updated: t.updated, Locked: t.locked, Reason: j.selectedTag(t)}
	if t.of != nil {
		v.Reason = Reason{Follows, "", t.of.digest, "it belongs to " + short(t.of.digest) + ", which is deleted"}
	}
	return v
}

// whyDeleted returns the reason of a deletion.
func (j *judge) whyDeleted(n *node, gone nodeSet) Reason {
	if r := j.alone[n.at]; r != nil {
		return j.selected(r, n.isOrphan(), j.clockOfNode(r.delete.By, n))
	}
	plain := slices.DeleteFunc(slices.Clone(n.tags), func(t *tag) bool { return t.named && t.of != nil })
	switch len(plain) {
	case 0:
	case 1:
		r := j.selectedTag(plain[0])
		r.Text = "its only tag " + plain[0].name + " is " + r.Text
		return r
	default:
		r := j.selectedTag(plain[0])
		r.Text = fmt.Sprintf("each of its %d tags is deleted; %s is %s", len(plain), plain[0].name, r.Text)
		return r
	}
	if r := j.byType[n.at]; r != nil {
		return j.selected(r, false, j.clockOfNode(r.delete.By, n))
	}
	if n.subject != nil && gone[n.subject.at] {
		return Reason{Follows, "", n.subject.digest, "it refers to " + short(n.subject.digest) + ", which is deleted"}
	}
	for _, t := range n.tags {
		if t.of != nil && gone[t.of.at] {
			return Reason{Follows, "", t.of.digest, "its tag belongs to " + short(t.of.digest) + ", which is deleted"}
		}
	}
	if len(n.parents) > 0 {
		p := n.parents[0]
		return Reason{Unneeded, "", p.digest, childText(p, n) + ", which is deleted, and of nothing else"}
	}
	return Reason{Code: Unneeded, Text: "nothing needs it"}
}

// kept lists what stays although a Delete rule selects it.
func (j *judge) kept() []Kept {
	var kept []Kept
	for _, n := range j.nodes {
		why := j.keptNodes[n.at]
		if why == nil {
			continue
		}
		var tags []string
		for _, t := range n.tags {
			if j.matched[t.at] != nil && j.keptTags[t.at] != nil {
				tags = append(tags, t.name)
			}
		}
		if j.alone[n.at] != nil || j.byType[n.at] != nil || len(tags) > 0 {
			slices.Sort(tags)
			kept = append(kept, Kept{n.digest, tags, *why})
		}
	}
	return kept
}

// missingInUse reports references in use that do not exist.
func (j *judge) missingInUse() {
	for t := range j.used.tags {
		if j.tag(t) == nil {
			j.find(FoundNotThere, t, "the tag is in use, and does not exist")
		}
	}
	for d := range j.used.digests {
		if j.node(d) == nil {
			j.find(FoundNotThere, string(d), "the manifest is in use, and does not exist")
		}
	}
}

// dropBlobs frees the lists of blobs. They are a third of what the state holds, and only bytes needs
// them once the edges are set.
func (j *judge) dropBlobs() {
	for _, n := range j.nodes {
		n.body.Blobs = nil
	}
}

// bytes adds up the blobs.
func (j *judge) bytes(gone nodeSet) *Bytes {
	type use struct {
		size        int64
		gone, stays bool
	}
	blobs := map[uint64]use{}
	for _, n := range j.nodes {
		for _, b := range n.body.Blobs {
			u := blobs[b.Hash]
			u.size = max(u.size, b.Size)
			u.gone = u.gone || gone[n.at]
			u.stays = u.stays || !gone[n.at]
			blobs[b.Hash] = u
		}
	}
	b := &Bytes{}
	for _, u := range blobs {
		b.Total += u.size
		switch {
		case u.gone && u.stays:
			b.Shared += u.size
		case u.gone:
			b.Freed += u.size
		}
	}
	return b
}

// explanation keeps the reasons of all that stays.
func (j *judge) explanation() *explanation {
	e := &explanation{}
	for _, n := range j.nodes {
		if r := j.keptNodes[n.at]; r != nil {
			e.manifests = append(e.manifests, explained{string(n.digest), r})
		}
	}
	for _, t := range j.tags {
		if r := j.keptTags[t.at]; r != nil {
			e.tags = append(e.tags, explained{t.name, r})
		}
	}
	return e
}
