package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// value reads any value by its first byte, numbers as whole ones, into what encoding/json would make of it.
func value(s *jsonscan.Scanner) any {
	switch s.Next() {
	case '{':
		members := map[string]any{}
		s.Object(func(key []byte) {
			name := string(key)
			members[name] = value(s)
		})
		return members
	case '[':
		elements := []any{}
		s.Array(func() { elements = append(elements, value(s)) })
		return elements
	case '"':
		return string(s.Text())
	case 't', 'f':
		return s.Bool(false)
	case 'n':
		s.Skip()
		return nil
	default:
		return json.Number(fmt.Sprint(s.Int()))
	}
}

// read reads a document by way of the scanner.
func read(data []byte) (map[string]any, error) {
	members := map[string]any{}
	s := jsonscan.New(data)
	err := s.Document(func(key []byte) {
		name := string(key)
		members[name] = value(s)
	})
	return members, err
}

// skim reads a document without looking at any value.
func skim(data []byte) error {
	s := jsonscan.New(data)
	return s.Document(func([]byte) { s.Skip() })
}

// FuzzScanner holds the scanner against encoding/json: it accepts what encoding/json accepts and reads the same, and refuses the
// rest, when it reads the values and when it skips them. It may refuse more where a document nests too deep, and reads whole numbers
// alone.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":1,"b":[true,false,null,"x",{"c":[]}]}`, `{"\u0061":"\ud83d\ude00\n\ud800"}`, `{"a":1,"a":2}`, `{"a":-0}`, `{"a":01}`, `{"a":1.5e-3}`, `{"a":1e}`,
		`{"a":}`, `{"a"}`, `{a:1}`, `[]`, `null`, `{"a":nul}`, `{} {}`, `{"a":[1,]}`, "{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}", `{"a":{"b":{"c":{}}}`, `{"a":9223372036854775808}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var want map[string]any
		valid := json.Valid(data) && d.Decode(&want) == nil && want != nil
		err := skim(data)
		switch {
		case err == nil && !valid:
			t.Fatalf("%q is skipped, though it is not valid", data)
		case err != nil && valid && !strings.Contains(err.Error(), "deeper"):
			t.Fatalf("%q: %v", data, err)
		case err != nil:
			return
		}
		got, err := read(data)
		if err != nil {
			if !strings.Contains(err.Error(), "whole number") {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		if whole(want); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\ngot  %#v\nwant %#v", data, got, want)
		}
	})
}

// whole writes the numbers of a value as the scanner does: -0 as 0.
func whole(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = whole(x[k])
		}
	case []any:
		for i := range x {
			x[i] = whole(x[i])
		}
	case json.Number:
		if x == "-0" {
			return json.Number("0")
		}
	}
	return v
}

// Every document that breaks off is told from one that is wrong.
func TestCutShort(t *testing.T) {
	t.Parallel()
	const text = `{"a":[true,{"b":"x\n"},-1.5e+3,null],"c":{}}`
	if err := skim([]byte(text)); err != nil {
		t.Fatal(err)
	}
	for i := range len(text) {
		if err := skim([]byte(text[:i])); !errors.Is(err, jsonscan.ErrCutShort) {
			t.Errorf("%s: %v", text[:i], err)
		}
	}
	for _, wrong := range []string{"x", text + "x", `{"a":x`, `{"a":truth`, `{"a" "b"`} {
		if err := skim([]byte(wrong)); err == nil || errors.Is(err, jsonscan.ErrCutShort) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// A document may nest 64 deep, in whatever way it is read.
func TestDepth(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte { return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`) }
	for n, ok := range map[int]bool{63: true, 64: false, 100_000: false} {
		if err := skim(nested(n)); (err == nil) != ok {
			t.Errorf("skipped, %d deep: %v", n+1, err)
		}
		if _, err := read(nested(n)); (err == nil) != ok {
			t.Errorf("read, %d deep: %v", n+1, err)
		}
	}
}

// After its first error a scanner keeps it, and returns zero values.
func TestFirstErrorStays(t *testing.T) {
	t.Parallel()
	s := jsonscan.New([]byte(`{"a":1,"b":"x"}`))
	err := s.Document(func(key []byte) {
		s.Fail("the caller says no to %s", key)
		if s.Next() != 0 || s.Int() != 0 || s.Text() != nil || s.Bool(false) || !s.Time().IsZero() {
			t.Error("something was read after an error")
		}
		s.Fail("another")
	})
	if err == nil || err.Error() != "at byte 5: the caller says no to a" {
		t.Error(err)
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"2023-01-02T03:04:05.7370995Z"`: "2023-01-02 03:04:05.7370995 +0000 UTC", `null`: "0001-01-01 00:00:00 +0000 UTC", `""`: "0001-01-01 00:00:00 +0000 UTC",
	} {
		s := jsonscan.New([]byte(`{"a":` + text + `}`))
		var got string
		if err := s.Document(func([]byte) { got = s.Time().String() }); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	last := strings.Clone("same")
	s := jsonscan.New([]byte(`{"a":"same","b":"other"}`))
	var got []string
	if err := s.Document(func([]byte) { got = append(got, s.Keep(last)) }); err != nil || !reflect.DeepEqual(got, []string{"same", "other"}) {
		t.Fatal(got, err)
	}
	if unsafe.StringData(got[0]) != unsafe.StringData(last) {
		t.Error("an equal string was allocated once more")
	}
}
