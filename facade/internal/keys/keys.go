// Package keys estimates where the entries of a sorted list are, so that a list can be read in
// several places at the same time. An estimate is only a guess: whoever uses it has to check that
// nothing is missing between two places.
package keys

import "strings"

// The digits of a key are those around the first place in which the keys of a page differ. More
// than thirteen hexadecimal digits do not fit into a float64.
const (
	carry  = 5  // digits before that place, which change when the ones after it overflow
	window = 13 // digits in all
)

// alphabets are what keys are counted in, from the smallest.
var alphabets = []string{"0123456789", "0123456789abcdef", "0123456789abcdefghijklmnopqrstuvwxyz"}

// Scale is the position of keys as numbers, taken from one page of a sorted list.
type Scale struct {
	sample   string  // the last key of the page
	start    int     // where the digits begin
	alphabet string  // of the digits
	step     float64 // from one entry to the next
}

// Fit returns the scale of a page of n keys. It returns false if the keys are not in ascending
// order, or have nothing to count in.
func Fit(n int, key func(i int) string) (Scale, bool) {
	if n < 2 {
		return Scale{}, false
	}
	for i := 1; i < n; i++ {
		if key(i) <= key(i-1) {
			return Scale{}, false
		}
	}
	first, last := key(0), key(n-1)
	place := 0
	for place < len(first) && first[place] == last[place] {
		place++
	}
	for _, alphabet := range alphabets {
		s := Scale{sample: last, start: place, alphabet: alphabet}
		for s.start > max(0, place-carry) && strings.IndexByte(alphabet, first[s.start-1]) >= 0 {
			s.start--
		}
		if s.covers(n, key, place) {
			half := n / 2 // the second half tells more about what follows than the whole
			s.step = (s.position(last) - s.position(key(n-1-half))) / float64(half)
			return s, s.step > 0
		}
	}
	return Scale{}, false
}

// covers reports whether the digits of all keys are in the alphabet.
func (s Scale) covers(n int, key func(i int) string, place int) bool {
	all := alphabets[len(alphabets)-1]
	for i := range n {
		k := key(i)
		for at := s.start; at < min(len(k), s.start+window) && strings.IndexByte(all, k[at]) >= 0; at++ {
			if strings.IndexByte(s.alphabet, k[at]) < 0 {
				return false
			}
		}
		if len(k) <= place || strings.IndexByte(all, k[place]) < 0 {
			return false
		}
	}
	return true
}

// position returns the digits of a key as a fraction of one.
func (s Scale) position(key string) float64 {
	var sum float64
	unit := 1.0
	for i := s.start; i < min(len(key), s.start+window); i++ {
		digit := strings.IndexByte(s.alphabet, key[i])
		if digit < 0 {
			break
		}
		unit /= float64(len(s.alphabet))
		sum += float64(digit) * unit
	}
	return sum
}

// Beyond returns the key that is expected a number of entries after another one. It returns false
// if the scale does not cover one of them.
func (s Scale) Beyond(key string, entries float64) (string, bool) {
	if len(key) < s.start || key[:s.start] != s.sample[:s.start] {
		return "", false
	}
	at := s.position(key) + entries*s.step
	if at >= 1 {
		return "", false
	}
	b := []byte(s.sample)
	for i := s.start; i < min(len(b), s.start+window) && strings.IndexByte(s.alphabet, b[i]) >= 0; i++ {
		at *= float64(len(s.alphabet))
		digit := min(int(at), len(s.alphabet)-1)
		at -= float64(digit)
		b[i] = s.alphabet[digit]
	}
	return string(b), string(b) > key
}
