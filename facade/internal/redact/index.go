package redact

import "encoding/binary"

// Index tells which texts cannot hold any of many secrets, at a cost that does not depend on how many there are: nearly all
// texts hold none, and Hide looks for each secret in turn. The zero value is empty. It must not be changed while it is used.
type Index struct {
	first map[uint64]int // how many beginnings of secrets start with these bytes
	short int            // how many are too short to be in first
}

// firstBytes is how many bytes of a beginning are looked for.
const firstBytes = 8

// Add adds a secret.
func (x *Index) Add(s Secret) { x.count(s, 1) }

// Remove removes a secret that was added.
func (x *Index) Remove(s Secret) { x.count(s, -1) }

func (x *Index) count(s Secret, n int) {
	if x.first == nil {
		x.first = make(map[uint64]int)
	}
	_, beginnings := s.reveal()
	for _, b := range beginnings {
		if len(b) < firstBytes {
			x.short += n
			continue
		}
		key := binary.LittleEndian.Uint64([]byte(b[:firstBytes]))
		if x.first[key] += n; x.first[key] == 0 {
			delete(x.first, key)
		}
	}
}

// MayHold returns false if Hide would find none of the secrets in the text.
func (x *Index) MayHold(text string) bool {
	if x.short > 0 {
		return true
	}
	for plain, level := []byte(text), 0; ; level++ {
		if x.starts(plain) {
			return true
		}
		next, _, changed := unescaped(plain)
		if !changed || level == maxEncodings {
			return false
		}
		plain = next
	}
}

// starts reports whether a beginning may start anywhere in the text.
func (x *Index) starts(text []byte) bool {
	if len(text) < firstBytes || len(x.first) == 0 {
		return false
	}
	key := binary.LittleEndian.Uint64(text) << 8
	for _, c := range text[firstBytes-1:] {
		key = key>>8 | uint64(c)<<56
		if _, ok := x.first[key]; ok {
			return true
		}
	}
	return false
}
