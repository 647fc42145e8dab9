package retention

import (
	"container/heap"
	"slices"
	"strings"
)

// sortDeletions puts manifests into an order in which they can be deleted one by one, so that
// whenever the deletion is interrupted nothing that is left lacks a part or a signature. Ties go by
// digest. Manifests that belong to each other in a circle, and what comes after those, have no such
// order: they are not in sorted.
func (s *state) sortDeletions(set nodeSet) (sorted []*node) {
	before := make([]int, len(s.nodes)) // how many still have to go before it
	for _, n := range s.nodes {
		if set[n.at] {
			for _, v := range n.after() {
				before[v.at]++
			}
		}
	}
	free := nodeHeap{}
	for _, n := range s.nodes {
		if set[n.at] && before[n.at] == 0 {
			heap.Push(&free, n)
		}
	}
	for free.Len() > 0 {
		n, _ := heap.Pop(&free).(*node)
		sorted = append(sorted, n)
		for _, v := range n.after() {
			if before[v.at]--; before[v.at] == 0 && set[v.at] {
				heap.Push(&free, v)
			}
		}
	}
	return sorted
}

// after returns what may only be deleted after the manifest, some of it several times: what it
// contains, its referrers, and the manifests with the tags that belong to it.
//
// For a signature among these, the image of that signature, too, may only be deleted after the
// manifest: the registry deletes a referrer along with its subject.
func (n *node) after() (after []*node) {
	after = slices.Clone(n.refers)
	if len(n.needs)+len(n.belongs) == 0 {
		return after
	}
	passed := n.owners()
	follow := func(v *node) {
		for ; v != nil && !passed[v]; v = v.owner() {
			passed[v] = true
			after = append(after, v)
		}
	}
	for _, v := range n.needs {
		follow(v)
	}
	for _, t := range n.belongs {
		if t.node != n {
			after = append(after, t.node)
			follow(t.node)
		}
	}
	return after
}

// owners returns the manifest, its owner, the owner of that, and so on. They may be deleted before it
// even if it contains them, or contains what goes along with them, as does the list of an image's
// referrers under the image's referrers tag: the list is deleted next, in the same batch, and nothing
// else leads to it. If the list stays after all, what it contains is put back; see complete. Only if
// the apply ends in between, and somebody keeps the list before it goes on, the list has lost them.
func (n *node) owners() map[*node]bool {
	owners := map[*node]bool{}
	for ; n != nil && !owners[n]; n = n.owner() {
		owners[n] = true
	}
	return owners
}

// owner returns the manifest without which this one has no purpose: its subject, or the one that all
// of its tags belong to.
func (n *node) owner() *node {
	if n.subject != nil || len(n.tags) == 0 {
		return n.subject
	}
	for _, t := range n.tags {
		if t.of != n.tags[0].of {
			return nil
		}
	}
	return n.tags[0].of
}

// cascade returns the manifest and what the registry deletes along with it: its referrers, and
// theirs.
func cascade(n *node, set nodeSet) []*node {
	with := []*node{n}
	seen := map[*node]bool{n: true}
	for at := 0; at < len(with); at++ {
		for _, r := range with[at].refers {
			if set[r.at] && !seen[r] {
				seen[r] = true
				with = append(with, r)
			}
		}
	}
	return with
}

// nodeHeap has the manifest with the smallest digest first.
type nodeHeap []*node

func (h nodeHeap) Len() int { return len(h) }
func (h nodeHeap) Less(i, j int) bool {
	return strings.Compare(string(h[i].digest), string(h[j].digest)) < 0
}
func (h nodeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *nodeHeap) Push(v any) {
	if n, ok := v.(*node); ok {
		*h = append(*h, n)
	}
}

// Pop implements heap.Interface.
func (h *nodeHeap) Pop() any {
	old := *h
	n := old[len(old)-1]
	*h = old[:len(old)-1]
	return n
}
