package store

import (
	"iter"
	"slices"
	"sort"
)

// chunkSize bounds what one insertion has to move. With it a list of 100,000 is some 400 chunks.
const chunkSize = 256

// sorted is an ordered list in chunks: finding a place costs O(log n), inserting and removing O(log
// n + chunkSize), and reading on from a place nothing but the reading.
type sorted[T any] struct {
	chunks [][]T
	n      int
}

// seek returns the place of the first value that is not before the wanted place. before must be
// true for a head of the list and false for the rest.
func (s *sorted[T]) seek(before func(T) bool) (chunk, at int) {
	chunk = sort.Search(len(s.chunks), func(i int) bool { c := s.chunks[i]; return !before(c[len(c)-1]) })
	if chunk == len(s.chunks) {
		return chunk, 0
	}
	c := s.chunks[chunk]
	return chunk, sort.Search(len(c), func(i int) bool { return !before(c[i]) })
}

// first returns the first value that is not before the wanted place.
func (s *sorted[T]) first(before func(T) bool) (v T, ok bool) {
	chunk, at := s.seek(before)
	if chunk == len(s.chunks) {
		return v, false
	}
	return s.chunks[chunk][at], true
}

func (s *sorted[T]) insert(v T, before func(T) bool) {
	s.n++
	chunk, at := s.seek(before)
	if chunk == len(s.chunks) {
		// Values that come in order fill their chunks to the brim.
		if chunk > 0 && len(s.chunks[chunk-1]) < chunkSize {
			s.chunks[chunk-1] = append(s.chunks[chunk-1], v)
			return
		}
		s.chunks = append(s.chunks, []T{v})
		return
	}
	c := slices.Insert(s.chunks[chunk], at, v)
	if len(c) <= chunkSize {
		s.chunks[chunk] = c
		return
	}
	half := len(c) / 2
	s.chunks[chunk] = slices.Clone(c[:half])
	s.chunks = slices.Insert(s.chunks, chunk+1, slices.Clone(c[half:]))
}

// remove removes the value at a place that first found.
func (s *sorted[T]) remove(before func(T) bool) {
	chunk, at := s.seek(before)
	s.n--
	c := slices.Delete(s.chunks[chunk], at, at+1)
	if len(c) == 0 {
		s.chunks = slices.Delete(s.chunks, chunk, chunk+1)
		return
	}
	s.chunks[chunk] = c
}

// from yields the values from the wanted place on.
func (s *sorted[T]) from(before func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		chunk, at := s.seek(before)
		for ; chunk < len(s.chunks); chunk, at = chunk+1, 0 {
			for _, v := range s.chunks[chunk][at:] {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// back yields the values before the wanted place, the last one first.
func (s *sorted[T]) back(before func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		chunk, at := s.seek(before)
		for {
			for at > 0 {
				at--
				if !yield(s.chunks[chunk][at]) {
					return
				}
			}
			if chunk == 0 {
				return
			}
			chunk--
			at = len(s.chunks[chunk])
		}
	}
}

// all yields every value.
func (s *sorted[T]) all() iter.Seq[T] { return s.from(func(T) bool { return false }) }
