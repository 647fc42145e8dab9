// Package jsonscan reads JSON documents in one pass, without reflection and with an allocation only for what is kept. For the
// lists of a registry, 100,000 tags say, it takes a quarter of the time of encoding/json (BenchmarkDecodeTags in package acr).
//
// A caller asks for the value that it expects next. Object and Array call it back for each member or element:
//
//	s := jsonscan.New(document)
//	err := s.Document(func(key []byte) {
//		switch string(key) {
//		case "name":
//			name = string(s.Text())
//		default:
//			s.Skip()
//		}
//	})
package jsonscan

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrCutShort is returned for a document that ends before it is complete, as one does whose transfer broke off.
var ErrCutShort = errors.New("the document ends in the middle")

// maxDepth is how deep a document may nest.
const maxDepth = 64

// Scanner reads one document. It stops at its first error: every method then does nothing and returns the zero value, so that callers
// check for an error once, at the end.
type Scanner struct {
	data  []byte
	pos   int
	depth int
	err   error
}

// New returns a Scanner of a document. It keeps data, and does not change it.
func New(data []byte) *Scanner { return &Scanner{data: data} }

// Fail ends the scan with an error that names the position, unless it has ended with one already.
func (s *Scanner) Fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %s", s.pos, fmt.Sprintf(format, args...))
	}
}

// Next skips white space and returns the byte that follows without reading it: the first one of the next value. It returns 0 after an error.
func (s *Scanner) Next() byte {
	for s.err == nil {
		if s.pos >= len(s.data) {
			s.err = ErrCutShort
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

// expect reads one byte, which must be c.
func (s *Scanner) expect(c byte) bool {
	if got := s.Next(); s.err == nil && got != c {
		s.Fail("%q instead of %q", got, c)
	}
	if s.err != nil {
		return false
	}
	s.pos++
	return true
}

// null reads a null, if one is next.
func (s *Scanner) null() bool {
	if s.Next() != 'n' {
		return false
	}
	s.literal("null")
	return true
}

// literal reads the word.
func (s *Scanner) literal(word string) {
	rest := s.data[s.pos:]
	n := min(len(rest), len(word))
	switch {
	case string(rest[:n]) != word[:n]:
		s.Fail("not a JSON value")
	case n < len(word):
		s.err = ErrCutShort
	default:
		s.pos += n
	}
}

// enter and leave count the nesting.
func (s *Scanner) enter() bool {
	if s.depth++; s.depth > maxDepth {
		s.Fail("nested deeper than %d", maxDepth)
	}
	return s.err == nil
}

func (s *Scanner) leave() { s.depth-- }

// Document reads the whole document, which must be one object, and calls member for each of its members, as Object does. It returns the
// first error: [ErrCutShort], or one that says what is wrong and where.
func (s *Scanner) Document(member func(key []byte)) error {
	if s.Next() == 'n' {
		s.Fail("not an object")
	}
	s.Object(member)
	return s.end()
}

// Object reads an object and calls member with the name of each member. member must read the value. A null is read as an object without
// members. key is valid until member returns.
func (s *Scanner) Object(member func(key []byte)) {
	if s.null() || !s.expect('{') || !s.enter() {
		return
	}
	defer s.leave()
	if s.Next() == '}' {
		s.pos++
		return
	}
	for s.err == nil {
		if s.Next() != '"' {
			s.Fail("a member without a name")
			return
		}
		key := s.Text()
		if !s.expect(':') {
			return
		}
		member(key)
		if !s.more('}') {
			return
		}
	}
}

// Array reads an array and calls element for each element. element must read the value. A null is read as an empty array.
func (s *Scanner) Array(element func()) {
	if s.null() || !s.expect('[') || !s.enter() {
		return
	}
	defer s.leave()
	if s.Next() == ']' {
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

// more reads the comma before another entry, or the end.
func (s *Scanner) more(end byte) bool {
	switch c := s.Next(); {
	case s.err != nil:
		return false
	case c == ',':
		s.pos++
		return true
	case c == end:
		s.pos++
		return false
	default:
		s.Fail("%q instead of ',' or %q", c, end)
		return false
	}
}

// Text reads a string, or null, which it returns as an empty one. The result may share the memory of the document.
func (s *Scanner) Text() []byte {
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
			s.Fail("control character in a string")
			return nil
		case c >= utf8.RuneSelf:
			plain = false // encoding/json replaces invalid UTF-8
		}
	}
	s.err = ErrCutShort
	return nil
}

// unquote resolves escapes.
func (s *Scanner) unquote(quoted []byte) []byte {
	var v string
	if err := json.Unmarshal(quoted, &v); err != nil {
		s.Fail("%v", err)
	}
	return []byte(v)
}

// Keep reads a string as Text does, and returns last if it is equal. Lists repeat themselves, so this saves most allocations.
func (s *Scanner) Keep(last string) string {
	if b := s.Text(); string(b) != last {
		return string(b)
	}
	return last
}

// Time reads an RFC 3339 time stamp. One without a zone is in UTC, and T and Z may be lower case. It returns the zero time for null, "",
// and text that is not a time stamp: a list is worth more than one of its times.
func (s *Scanner) Time() (t time.Time) {
	b := s.Text()
	if len(b) == 0 || t.UnmarshalText(b) == nil {
		return t
	}
	text := strings.ToUpper(string(b[:min(len(b), 64)]))
	for _, zone := range []string{"", "Z"} {
		if t, err := time.Parse(time.RFC3339Nano, text+zone); err == nil {
			return t
		}
	}
	return time.Time{}
}

// Bool reads a boolean. It returns absent for null.
func (s *Scanner) Bool(absent bool) bool {
	switch s.Next() {
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
		s.Fail("not a boolean")
		return absent
	}
}

// Int reads a whole number of 64 bits. It returns 0 for null.
func (s *Scanner) Int() int64 {
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
		s.Fail("%q is not a whole number of 64 bits", s.data[start:min(s.pos, start+40)])
	}
	return n
}

// number reads any number, as RFC 8259 writes it.
func (s *Scanner) number() {
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
		s.err = ErrCutShort // no document ends with a number
	}
}

// byteIn tells whether the next byte is one of these.
func (s *Scanner) byteIn(set string) bool {
	return s.err == nil && s.pos < len(s.data) && strings.IndexByte(set, s.data[s.pos]) >= 0
}

// digits reads one digit or more.
func (s *Scanner) digits() {
	start := s.pos
	for s.byteIn("0123456789") {
		s.pos++
	}
	switch {
	case s.err != nil || s.pos > start:
	case s.pos == len(s.data):
		s.err = ErrCutShort
	default:
		s.Fail("not a JSON value")
	}
}

// Skip reads any value and drops it.
func (s *Scanner) Skip() {
	switch s.Next() {
	case '{':
		s.Object(func([]byte) { s.Skip() })
	case '[':
		s.Array(s.Skip)
	case '"':
		s.Text()
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

// Raw reads any value and returns its text, which shares the memory of the document. It returns nil after an error.
func (s *Scanner) Raw() []byte {
	s.Next()
	start := s.pos
	s.Skip()
	if s.err != nil {
		return nil
	}
	return s.data[start:s.pos]
}

// end checks that nothing follows the document, and returns the first error.
func (s *Scanner) end() error {
	for s.err == nil && s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			s.Fail("more data follows the document")
		}
	}
	return s.err
}
