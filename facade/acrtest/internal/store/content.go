package store

import (
	"io"
	"sort"
)

// content is the immutable bytes of a blob. It stays readable for those who have opened it after
// the blob is gone.
type content interface {
	open() (ContentReader, error)
	// discard frees the bytes; no one will open them any more.
	discard()
}

// ContentReader reads a blob. The caller closes it.
type ContentReader interface {
	io.ReaderAt
	io.Closer
	// WriteRange writes n bytes from off on to w, without a copy where the content is in memory.
	// The range lies within the blob.
	WriteRange(w io.Writer, off, n int64) error
}

const (
	firstSegment = 4 << 10
	maxSegment   = 1 << 20
)

// segments is content in memory. Segments double up to maxSegment, so that a small blob is small
// and a large one wastes at most a part of one segment while it grows, and nothing when it is done.
type segments struct {
	parts [][]byte
	ends  []int64 // offset of the end of each part
}

func (s *segments) size() int64 {
	if len(s.ends) == 0 {
		return 0
	}
	return s.ends[len(s.ends)-1]
}

// tail returns free space at the end, to be filled and then grown by.
func (s *segments) tail() []byte {
	n := len(s.parts)
	if n == 0 || len(s.parts[n-1]) == cap(s.parts[n-1]) {
		size := firstSegment
		if n > 0 {
			size = min(2*cap(s.parts[n-1]), maxSegment)
		}
		s.parts = append(s.parts, make([]byte, 0, size))
		s.ends = append(s.ends, s.size())
		n++
	}
	last := s.parts[n-1]
	return last[len(last):cap(last)]
}

// grow takes in the first n bytes of the tail.
func (s *segments) grow(n int) {
	last := len(s.parts) - 1
	s.parts[last] = s.parts[last][:len(s.parts[last])+n]
	s.ends[last] += int64(n)
}

// trim gives back what the last segment does not need.
func (s *segments) trim() {
	if n := len(s.parts); n > 0 && len(s.parts[n-1]) < cap(s.parts[n-1]) {
		s.parts[n-1] = append(make([]byte, 0, len(s.parts[n-1])), s.parts[n-1]...)
	}
}

func (s *segments) open() (ContentReader, error) { return s, nil }
func (s *segments) discard()                     {}

// Close does nothing: the memory is freed with the last reader.
func (s *segments) Close() error { return nil }

func (s *segments) ReadAt(p []byte, off int64) (n int, err error) {
	for i := s.find(off); n < len(p) && i < len(s.parts); i++ {
		begin := s.ends[i] - int64(len(s.parts[i]))
		n += copy(p[n:], s.parts[i][off+int64(n)-begin:])
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (s *segments) WriteRange(w io.Writer, off, n int64) error {
	for i := s.find(off); n > 0 && i < len(s.parts); i++ {
		part := s.parts[i][off-(s.ends[i]-int64(len(s.parts[i]))):]
		if int64(len(part)) > n {
			part = part[:n]
		}
		m, err := w.Write(part)
		if err != nil {
			return err
		}
		off, n = off+int64(m), n-int64(m)
	}
	return nil
}

// find returns the segment that holds the offset.
func (s *segments) find(off int64) int {
	return sort.Search(len(s.ends), func(i int) bool { return s.ends[i] > off })
}
