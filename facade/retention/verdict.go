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
	gone := map[*node]bool{}
	for _, n := range j.nodes {
		if _, stays := j.keptNodes[n]; !stays {
			gone[n] = true
		}
	}
	p := &RepositoryPlan{Name: j.name, Policy: j.policy.Name, Delete: make([]Manifest, 0, len(gone)), Untag: []Tag{}}
	if j.blobSizes {
		p.Bytes = j.bytes(gone)
	}
	for _, n := range sortDeletions(gone) {
		m := j.deleted(n, gone)
		p.Tags.Delete += len(m.Tags)
		p.Delete = append(p.Delete, m)
	}
	for _, t := range j.tags {
		if _, stays := j.keptTags[t]; !stays && !gone[t.node] {
			why := j.keptNodes[t.node]
			v := j.deletedTag(t)
			v.Digest = t.node.digest
			v.Reason.Text += "; the manifest stays: " + why.Text
			p.Untag = append(p.Untag, v)
		}
	}
	p.Tags.Delete += len(p.Untag)
	p.Manifests = Counts{len(j.nodes), len(gone)}
	p.Tags.Total = len(j.tags)
	p.Keep = j.kept()
	j.missingInUse()
	slices.SortFunc(j.findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(string(a.Code), string(b.Code)), strings.Compare(a.What, b.What), strings.Compare(a.Detail, b.Detail))
	})
	p.Findings = j.findings
	p.why = j.explanation()
	if refusal := j.limits(len(gone)); refusal != nil {
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
func (j *judge) deleted(n *node, gone map[*node]bool) Manifest {
	m := Manifest{
		Digest: n.digest, MediaType: n.mediaType, Kind: n.kind(), Locked: n.locked, Created: n.created, Updated: n.updated, Size: n.size,
		Needs: n.neededBy(gone), Reason: j.whyDeleted(n, gone),
	}
	if n.subject != nil && gone[n.subject] {
		m.With = n.subject.digest
	}
	for _, t := range n.tags {
		m.Tags = append(m.Tags, j.deletedTag(t))
	}
	slices.SortFunc(m.Tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	return m
}

// neededBy returns the deleted manifests that must stay if this one stays: the ends of its edges E2
// to E6.
func (n *node) neededBy(gone map[*node]bool) []digest.Digest {
	var needs []digest.Digest
	add := func(v *node) {
		if v != nil && v != n && gone[v] {
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
func (j *judge) whyDeleted(n *node, gone map[*node]bool) Reason {
	if r := j.alone[n]; r != nil {
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
	if r := j.byType[n]; r != nil {
		return j.selected(r, false, j.clockOfNode(r.delete.By, n))
	}
	if n.subject != nil && gone[n.subject] {
		return Reason{Follows, "", n.subject.digest, "it refers to " + short(n.subject.digest) + ", which is deleted"}
	}
	for _, t := range n.tags {
		if t.of != nil && gone[t.of] {
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
		why, stays := j.keptNodes[n]
		if !stays {
			continue
		}
		_, alone := j.alone[n]
		_, byType := j.byType[n]
		var tags []string
		for _, t := range n.tags {
			if _, matched := j.matched[t]; matched {
				if _, tagStays := j.keptTags[t]; tagStays {
					tags = append(tags, t.name)
				}
			}
		}
		if alone || byType || len(tags) > 0 {
			slices.Sort(tags)
			kept = append(kept, Kept{n.digest, tags, *why})
		}
	}
	return kept
}

// missingInUse reports references in use that do not exist.
func (j *judge) missingInUse() {
	for t := range j.used.tags {
		if j.byTag[t] == nil {
			j.find(FoundNotThere, t, "the tag is in use, and does not exist")
		}
	}
	for d := range j.used.digests {
		if j.byDigest[d] == nil {
			j.find(FoundNotThere, string(d), "the manifest is in use, and does not exist")
		}
	}
}

// bytes adds up the blobs.
func (j *judge) bytes(gone map[*node]bool) *Bytes {
	type use struct {
		size        int64
		gone, stays bool
	}
	blobs := map[uint64]use{}
	for _, n := range j.nodes {
		for _, b := range n.body.Blobs {
			u := blobs[b.Hash]
			u.size = max(u.size, b.Size)
			u.gone = u.gone || gone[n]
			u.stays = u.stays || !gone[n]
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
	e := &explanation{manifests: make(map[digest.Digest]*Reason, len(j.keptNodes)), tags: make(map[string]*Reason, len(j.keptTags))}
	for n, r := range j.keptNodes {
		e.manifests[n.digest] = r
	}
	for t, r := range j.keptTags {
		e.tags[t.name] = r
	}
	return e
}
