package retention

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strings"
)

// decodeStrict decodes a JSON document into v. Unlike encoding/json alone, it refuses members that
// v does not have, members that occur twice, members in other letters, null, and anything that
// follows the document.
func decodeStrict(document []byte, v any) error {
	return decodeMembers(document, v, memberChecker{})
}

// decodeMembers is decodeStrict with a checker that may refuse more.
func decodeMembers(document []byte, v any, c memberChecker) error {
	c.Decoder, c.known = json.NewDecoder(bytes.NewReader(document)), map[string]reflect.Type{}
	memberNames(reflect.TypeOf(v), c.known)
	switch err := c.document(); {
	case len(bytes.TrimSpace(document)) == 0:
		return errors.New("it is empty")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends too early")
	case err != nil:
		return err
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// maxDepth bounds how deep a document may be nested.
const maxDepth = 32

// memberChecker refuses objects with a member twice, or with a member whose name is known in no
// object: encoding/json takes "Keep" for "keep", and of two members the last. It also refuses null,
// which encoding/json takes for a missing member. Unlike encoding/json it says where an invalid text
// is, such as an age or a time.
type memberChecker struct {
	*json.Decoder
	known  map[string]reflect.Type
	noZero bool // a number must not be 0, which means the same as a missing member
}

func (c memberChecker) document() error {
	if err := c.value("", maxDepth); err != nil {
		return err
	}
	if _, err := c.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

func (c memberChecker) value(path string, depth int) error {
	if depth == 0 {
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	t, err := c.Token()
	if err != nil {
		return err
	}
	if text, ok := t.(string); ok {
		return c.text(path, text)
	}
	switch t {
	case json.Delim('{'):
		err = c.object(path, depth)
	case json.Delim('['):
		for i := 0; err == nil && c.More(); i++ {
			err = c.value(fmt.Sprintf("%s[%d]", path, i), depth-1)
		}
	case nil:
		return fmt.Errorf("%q is null: leave it out, or write what it is", path)
	case float64(0):
		if c.noZero {
			return fmt.Errorf("%q is 0, which means the default: leave it out, or write another number", path)
		}
	}
	if _, opened := t.(json.Delim); opened && err == nil {
		_, err = c.Token() // the closing bracket
	}
	return err
}

// text checks the value of a member whose type has a text of its own.
func (c memberChecker) text(path, text string) error {
	if t := c.known[path[strings.LastIndexByte(path, '.')+1:]]; t != nil {
		if v, ok := reflect.TypeAssert[encoding.TextUnmarshaler](reflect.New(t)); ok {
			if err := v.UnmarshalText([]byte(text)); err != nil {
				return fmt.Errorf("%q: %w", path, err)
			}
		}
	}
	return nil
}

func (c memberChecker) object(path string, depth int) error {
	seen := map[string]bool{}
	for c.More() {
		key, err := c.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		switch {
		case seen[name]:
			return fmt.Errorf("the member %q of %q occurs twice", name, path)
		case c.known[name] == nil:
			return fmt.Errorf("unknown member %.40q of %q", name, path)
		}
		seen[name] = true
		if err := c.value(strings.TrimPrefix(path+"."+name, "."), depth-1); err != nil {
			return err
		}
	}
	return nil
}

// memberNames adds the names of the members of a type, and of all types in it, with their types. A
// name that occurs with two types is any.
func memberNames(t reflect.Type, names map[string]reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		memberNames(t.Elem(), names)
	case reflect.Struct:
		for f := range fields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if other := names[name]; name != "" && other == nil {
				names[name] = f.Type
			} else if other != f.Type {
				names[name] = reflect.TypeFor[any]()
			}
			memberNames(f.Type, names)
		}
	}
}

// fields ranges over the exported and embedded fields of a struct.
func fields(t reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for f := range t.Fields() {
			if (f.IsExported() || f.Anonymous) && !yield(f) {
				return
			}
		}
	}
}

// given returns the reader, or an empty one if it is nil: that is not a document either.
func given(r io.Reader) io.Reader {
	if r == nil {
		return strings.NewReader("")
	}
	return r
}
