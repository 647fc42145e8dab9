package acr

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// errCutShort: a JSON document ended in the middle. The reply was cut on its way, so that asking again may help.
var errCutShort = errors.New("the document ends in the middle")

// maxDepth bounds how deep a document may nest.
const maxDepth = 64

// scanner reads the JSON documents of lists in one pass, without reflection and with an allocation only for what is kept: for 100,000
// tags that is a quarter of the time that encoding/json takes (BenchmarkDecodeTags). It stops at its first error; every method is then a
// no-op, so that callers look at err once, at the end.
type scanner struct {
	data  []byte
	pos   int
	depth int
	err   error
}

// fail keeps the first error.
func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %s", s.pos, fmt.Sprintf(format, args...))
	}
}

// next skips white space and gives the byte that follows, 0 at an error.
func (s *scanner) next() byte {
	for s.err == nil {
		if s.pos >= len(s.data) {
			s.err = errCutShort
			return 0
		}
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// expect takes one byte.
func (s *scanner) expect(c byte) bool {
	if got := s.next(); s.err == nil && got != c {
		s.fail("%q where %q belongs", got, c)
	}
	if s.err != nil {
		return false
	}
	s.pos++
	return true
}

// null takes a null, if one is next.
func (s *scanner) null() bool {
	if s.next() != 'n' {
		return false
	}
	s.literal("null")
	return true
}

// literal takes the word.
func (s *scanner) literal(word string) {
	rest := s.data[s.pos:]
	n := min(len(rest), len(word))
	switch {
	case string(rest[:n]) != word[:n]:
		s.fail("no value of JSON")
	case n < len(word):
		s.err = errCutShort
	default:
		s.pos += n
	}
}

// enter and leave count the nesting.
func (s *scanner) enter() bool {
	if s.depth++; s.depth > maxDepth {
		s.fail("nested deeper than %d", maxDepth)
	}
	return s.err == nil
}

func (s *scanner) leave() { s.depth-- }

// document is object for the outermost value, which may not be null.
func (s *scanner) document(member func(key []byte)) error {
	if s.next() == 'n' {
		s.fail("no object")
	}
	s.object(member)
	return s.end()
}

// object calls member for each member of an object (or of none, for null). member must take the value.
func (s *scanner) object(member func(key []byte)) {
	if s.null() || !s.expect('{') || !s.enter() {
		return
	}
	defer s.leave()
	if s.next() == '}' {
		s.pos++
		return
	}
	for s.err == nil {
		if s.next() != '"' {
			s.fail("a member without a name")
			return
		}
		key := s.text()
		if !s.expect(':') {
			return
		}
		member(key)
		if !s.more('}') {
			return
		}
	}
}

// array calls element for each element of an array (or of none, for null). element must take the value.
func (s *scanner) array(element func()) {
	if s.null() || !s.expect('[') || !s.enter() {
		return
	}
	defer s.leave()
	if s.next() == ']' {
		s.pos++
		return
	}
	for s.err == nil {
		element()
		if !s.more(']') {
			return
		}
	}
}

// more takes the comma before another entry, or the end.
func (s *scanner) more(end byte) bool {
	switch c := s.next(); {
	case s.err != nil:
		return false
	case c == ',':
		s.pos++
		return true
	case c == end:
		s.pos++
		return false
	default:
		s.fail("%q where ',' or %q belongs", c, end)
		return false
	}
}

// text takes a string, or null for the empty one. The result is valid until the document's buffer is used again.
func (s *scanner) text() []byte {
	if s.null() || !s.expect('"') {
		return nil
	}
	start := s.pos
	plain := true
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			raw := s.data[start:s.pos]
			s.pos++
			if plain {
				return raw
			}
			return s.unquote(s.data[start-1 : s.pos])
		case c == '\\':
			plain = false
			s.pos++
		case c < ' ':
			s.fail("control character in a string")
			return nil
		case c >= utf8.RuneSelf:
			plain = false // encoding/json mends what is no UTF-8
		}
	}
	s.err = errCutShort
	return nil
}

// unquote resolves escapes.
func (s *scanner) unquote(quoted []byte) []byte {
	var v string
	if err := json.Unmarshal(quoted, &v); err != nil {
		s.fail("%v", err)
	}
	return []byte(v)
}

// keep is text as a string. Where it equals the last value of the same field, that is given again: lists repeat themselves.
func (s *scanner) keep(last string) string {
	if b := s.text(); string(b) != last {
		return string(b)
	}
	return last
}

// time takes an RFC 3339 time stamp, or null or "" for none.
func (s *scanner) time() (t time.Time) {
	b := s.text()
	if len(b) == 0 {
		return t
	}
	if err := t.UnmarshalText(b); err != nil {
		s.fail("%q is no time stamp", b[:min(len(b), 40)])
	}
	return t
}

// bool takes a boolean; null is absent.
func (s *scanner) bool(absent bool) bool {
	switch s.next() {
	case 't':
		s.literal("true")
		return true
	case 'f':
		s.literal("false")
		return false
	case 'n':
		s.literal("null")
		return absent
	default:
		s.fail("no boolean")
		return absent
	}
}

// int takes a whole number, or null for 0.
func (s *scanner) int() int64 {
	if s.null() {
		return 0
	}
	start := s.pos
	s.number()
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(s.data[start:s.pos]), 10, 64)
	if err != nil {
		s.fail("%q is no whole number of 64 bits", s.data[start:min(s.pos, start+40)])
	}
	return n
}

// number takes any number, as RFC 8259 writes it.
func (s *scanner) number() {
	if s.byteIn("-") {
		s.pos++
	}
	if s.byteIn("0") {
		s.pos++
	} else {
		s.digits()
	}
	if s.byteIn(".") {
		s.pos++
		s.digits()
	}
	if s.byteIn("eE") {
		s.pos++
		if s.byteIn("+-") {
			s.pos++
		}
		s.digits()
	}
	if s.err == nil && s.pos == len(s.data) {
		s.err = errCutShort // no document ends with a number
	}
}

// byteIn tells whether the next byte is one of these.
func (s *scanner) byteIn(set string) bool {
	return s.err == nil && s.pos < len(s.data) && strings.IndexByte(set, s.data[s.pos]) >= 0
}

// digits takes one digit or more.
func (s *scanner) digits() {
	start := s.pos
	for s.byteIn("0123456789") {
		s.pos++
	}
	switch {
	case s.err != nil || s.pos > start:
	case s.pos == len(s.data):
		s.err = errCutShort
	default:
		s.fail("no value of JSON")
	}
}

// skip takes any value.
func (s *scanner) skip() {
	switch s.next() {
	case '{':
		s.object(func([]byte) { s.skip() })
	case '[':
		s.array(s.skip)
	case '"':
		s.text()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		if s.err == nil {
			s.number()
		}
	}
}

// end demands that nothing follows the document, and gives the verdict on it.
func (s *scanner) end() error {
	for s.err == nil && s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			s.fail("something follows the document")
		}
	}
	return s.err
}
