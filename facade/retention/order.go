package retention

import (
	"container/heap"
	"strings"
)

// sortDeletions puts manifests into an order in which they can be deleted one by one: an index
// before what it contains, and a subject before its referrers, so that whenever the deletion is
// interrupted nothing that is left lacks a part or a signature. Ties go by digest. Where the two
// contradict each other (an index that is a referrer of one of its own images) the first counts;
// these manifests are returned as odd.
func sortDeletions(nodes map[*node]bool) (sorted, odd []*node) {
	s := &sorter{left: nodes, hard: map[*node]int{}, soft: map[*node]int{}, waits: map[*node][]*node{}}
	for n := range nodes {
		for p := range firstBefore(n, nodes) {
			s.hard[n]++
			s.waits[p] = append(s.waits[p], n)
		}
		s.soft[n] = len(s.before(n))
	}
	for n := range nodes {
		s.offer(n)
	}
	placed := map[*node]bool{}
	for len(placed) < len(nodes) {
		n := s.next(placed)
		if s.soft[n] > 0 {
			odd = append(odd, n)
		}
		placed[n] = true
		sorted = append(sorted, n)
		for _, c := range s.waits[n] {
			s.hard[c]--
			s.offer(c)
		}
		for _, r := range s.after(n) {
			s.soft[r]--
			s.offer(r)
		}
	}
	return sorted, odd
}

// firstBefore returns the indexes that have to be deleted before a manifest: those that contain it,
// and those that contain something which the registry deletes along with it.
func firstBefore(n *node, nodes map[*node]bool) map[*node]bool {
	with := cascade(n, nodes)
	before := map[*node]bool{}
	for v := range with {
		for _, p := range v.parents {
			if nodes[p] && !with[p] {
				before[p] = true
			}
		}
	}
	return before
}

// cascade returns the manifest and what the registry deletes along with it: its referrers, and
// theirs.
func cascade(n *node, nodes map[*node]bool) map[*node]bool {
	with := map[*node]bool{n: true}
	for todo := []*node{n}; len(todo) > 0; {
		v := todo[0]
		todo = todo[1:]
		for _, r := range v.refers {
			if nodes[r] && !with[r] {
				with[r] = true
				todo = append(todo, r)
			}
		}
	}
	return with
}

// sorter holds the manifests that can be placed now.
type sorter struct {
	left       map[*node]bool
	hard, soft map[*node]int     // indexes, and subjects, that still have to come before it
	waits      map[*node][]*node // what has to come after it
	free, bent nodeHeap          // without either; with soft ones only
}

// before returns what belongs before a referrer: its subject, and the manifests that its tags
// belong to.
func (s *sorter) before(n *node) (before []*node) {
	if n.subject != nil && n.subject != n && s.left[n.subject] {
		before = append(before, n.subject)
	}
	for _, t := range n.tags {
		if t.of != nil && t.of != n && s.left[t.of] {
			before = append(before, t.of)
		}
	}
	return before
}

// after is the inverse of before.
func (s *sorter) after(n *node) (after []*node) {
	for _, r := range n.refers {
		if r != n && s.left[r] {
			after = append(after, r)
		}
	}
	for _, t := range n.belongs {
		if t.node != n && s.left[t.node] {
			after = append(after, t.node)
		}
	}
	return after
}

func (s *sorter) offer(n *node) {
	if s.hard[n] > 0 {
		return
	}
	if s.soft[n] == 0 {
		heap.Push(&s.free, n)
	} else {
		heap.Push(&s.bent, n)
	}
}

// next takes the manifest that comes next. A manifest may be in both heaps, so those that are
// placed are passed over. What an index contains is a tree of digests, which has no cycle, so there
// always is one.
func (s *sorter) next(placed map[*node]bool) *node {
	for _, h := range []*nodeHeap{&s.free, &s.bent} {
		for h.Len() > 0 {
			if n, ok := heap.Pop(h).(*node); ok && !placed[n] {
				return n
			}
		}
	}
	for n := range s.left { // only of digests that lie
		if !placed[n] {
			return n
		}
	}
	return nil
}

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
