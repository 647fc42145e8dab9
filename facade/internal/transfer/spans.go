package transfer

import "slices"

// span is the bytes from one offset up to another.
type span struct{ from, to int64 }

// spans is a set of bytes, as spans in order that do not touch each other. There are as many as there
// are ranges in flight, so that a slice is enough.
type spans []span

// add adds the bytes from off up to end and returns how many of them were in the set before.
func (s *spans) add(off, end int64) int64 {
	set := *s
	i := len(set)
	for i > 0 && set[i-1].to >= off {
		i--
	}
	merged, j, again := span{off, end}, i, int64(0)
	for ; j < len(set) && set[j].from <= end; j++ {
		again += max(min(set[j].to, end)-max(set[j].from, off), 0)
		merged.from, merged.to = min(merged.from, set[j].from), max(merged.to, set[j].to)
	}
	*s = slices.Replace(set, i, j, merged)
	return again
}
