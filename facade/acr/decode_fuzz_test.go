package acr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

// FuzzDecode holds the scanner against encoding/json: it accepts what encoding/json accepts and reads the same, and refuses the rest. Of a
// member that is there twice the last one counts, as in a Go map; there, and where a document nests too deep, the scanner may refuse more.
func FuzzDecode(f *testing.F) {
	f.Add(pageOfManifests(2))
	f.Add([]byte(`{"manifests":[{"digest":"\u0041\ud83d\ude00\n","imageSize":-0,"tags":null,"x":[1.5e-3,{},[],""]}],"registry":"\u00e9\ud800"}`))
	f.Add([]byte(`{"manifests":[{"digest":"a","changeableAttributes":{"readEnabled":false},"changeableAttributes":null}],"manifests":[{"digest":"a"}]}`))
	f.Add([]byte(`{"manifests":[{"digest":"a","createdTime":"2023-01-02T03:04:05.123456789+01:00","lastUpdateTime":null,"references":[{"os":"linux"}]}]} `))
	f.Add([]byte("{\"manifests\":[{\"digest\":\"a\",\"createdTime\":\"\x95\"}]}"))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"count":2,"$skipToken":"x","data":[{"a":[1,{"b":null}]},{} ]}`))
	for _, number := range numbers {
		f.Add(fmt.Appendf(nil, `{"manifests":[{"digest":"a","imageSize":%s,"x":%[1]s}]}`, number))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = checkManifest(data, "")
		_, _ = decodeIndex(data)
		_, _ = decodeOperation(data)
		if page, err := decodeMetadata(data); err == nil {
			for _, row := range page.rows {
				if !json.Valid(row) || row[0] != '{' {
					t.Errorf("%s is no row", row)
				}
			}
		}
		if bytes.Contains(data, []byte(`"imageName"`)) && bytes.Contains(data, []byte(`"name"`)) {
			return // two names of one thing, of which the later one counts
		}
		got, err := decodeManifests(reply{body: data}, nil)
		want, wantErr := readAsMap(data)
		switch {
		case err == nil && wantErr == nil && reflect.DeepEqual(want, got): // which takes less time than to look for the difference
		case err == nil && wantErr == nil:
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-encoding/json +ours):\n%s", diff)
			}
		case err == nil:
			t.Errorf("accepted, though %v", wantErr)
		case wantErr == nil:
			if _, unclear := outline(data); unclear == nil && !strings.Contains(err.Error(), "deeper") {
				t.Errorf("refused: %v", err)
			}
		}
	})
}

var numbers = []string{"0", "-0", "-", "01", "1.", ".5", "1e5", "1e", "+1", "9223372036854775807", "9223372036854775808", "--1", "0x1", "1.0", "1e+", "Infinity"}

// TestDecodeNumbers: what is no number is refused, in what is read and in what is passed over.
func TestDecodeNumbers(t *testing.T) {
	t.Parallel()
	for _, number := range numbers {
		for _, key := range []string{"imageSize", "unheard"} {
			page := fmt.Appendf(nil, `{"manifests":[{"digest":"a","%s":%s}]}`, key, number)
			_, err := decodeManifests(reply{body: page}, nil)
			if _, want := readAsMap(page); (err == nil) != (want == nil) {
				t.Errorf("%s: %v, want %v", page, err, want)
			}
		}
	}
}

// TestDecodeTimes: fractions of none to nine digits and more, offsets, no zone, and what is not a time.
func TestDecodeTimes(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"2023-01-02T03:04:05Z": true, "2023-01-02T03:04:05.7Z": true, "2023-01-02T03:04:05.599916Z": true, "2023-01-02T03:04:05.7370995Z": true,
		"2023-01-02T03:04:05.123456789Z": true, "2023-01-02T03:04:05.1234567891Z": true, "2023-01-02T03:04:05.5+01:30": true, "2023-01-02T03:04:05-11:00": true,
		"2023-01-02T03:04:05": true, "2023-01-02t03:04:05z": true, "0001-01-01T00:00:00Z": false, "": false, "2023-01-02": false, "2023-02-30T00:00:00Z": false, "1672628645": false,
	} {
		tags, err := decodeTags(reply{body: fmt.Appendf(nil, `{"tags":[{"name":"a","createdTime":%q}]}`, text)}, nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		want, parseErr := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
		if parseErr != nil {
			want, _ = time.Parse(time.RFC3339Nano, strings.ToUpper(text)+"Z")
		}
		if got := tags[0].CreatedTime; !got.Equal(want) || got.IsZero() == ok {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// object is an object as encoding/json reads it; no has the reason why it is no list of manifests.
type object struct {
	members map[string]any
	no      *error
}

// readAsMap reads a list of manifests by way of maps.
func readAsMap(data []byte) (all []ManifestProperties, err error) {
	var document map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if !json.Valid(data) || d.Decode(&document) != nil || document == nil {
		return nil, errors.New("no object")
	}
	told := func(key string) bool { _, there := document[key]; return there }
	if !told("manifests") && !told("registry") && !told("imageName") && !told("name") {
		return nil, errors.New("nothing that the response of a registry has")
	}
	top := object{document, &err}
	repository := "imageName"
	if told("name") {
		repository = "name"
	}
	for _, v := range top.list("manifests") {
		m := top.of(v)
		a := m.of(m.members["changeableAttributes"])
		p := ManifestProperties{
			Registry: top.text("registry"), Repository: top.text(repository), Digest: digest.Digest(m.text("digest")), Size: m.int("imageSize"),
			CreatedTime: m.time("createdTime"), LastUpdateTime: m.time("lastUpdateTime"), MediaType: m.text("mediaType"),
			ConfigMediaType: m.text("configMediaType"), Architecture: m.text("architecture"), OS: m.text("os"),
			Attributes:      Attributes{DeleteEnabled: a.bool("deleteEnabled"), WriteEnabled: a.bool("writeEnabled"), ListEnabled: a.bool("listEnabled"), ReadEnabled: a.bool("readEnabled")},
			QuarantineState: a.text("quarantineState"), QuarantineDetails: as[string](a, a.members["quarantineDetails"]),
		}
		for _, v := range m.list("tags") {
			p.Tags = append(p.Tags, object{map[string]any{"": v}, &err}.text(""))
		}
		for _, v := range m.list("references") {
			r := m.of(v)
			if d := r.text("digest"); d == "" || !nameable(d) {
				err = errors.New("a reference without a digest")
			}
			p.References = append(p.References, ManifestReference{Digest: digest.Digest(r.text("digest")), Architecture: r.text("architecture"), OS: r.text("os")})
		}
		if p.Digest == "" || !nameable(string(p.Digest)) {
			err = errors.New("a manifest without a digest")
		}
		all = append(all, p)
	}
	_, _, _ = top.text("registry"), top.text("imageName"), top.text("name")
	return all, err
}

func as[T any](o object, v any) (value T) {
	value, ok := v.(T)
	if !ok && v != nil {
		*o.no = fmt.Errorf("%T", v)
	}
	return value
}

func (o object) of(v any) object          { return object{as[map[string]any](o, v), o.no} }
func (o object) list(key string) []any    { return as[[]any](o, o.members[key]) }
func (o object) bool(key string) bool     { return o.members[key] == nil || as[bool](o, o.members[key]) }
func (o object) number(key string) string { return as[json.Number](o, o.members[key]).String() }

func (o object) text(key string) string {
	text := as[string](o, o.members[key])
	if !wire.IsVisible(text) {
		*o.no = errors.New("characters that are not printed")
	}
	return text
}

func (o object) int(key string) (n int64) {
	if text := o.number(key); text != "" {
		var err error
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			*o.no = err
		}
	}
	return n
}

func (o object) time(key string) (t time.Time) {
	if text := as[string](o, o.members[key]); text != "" {
		for _, zone := range []string{"", "Z"} { // what is not a time stamp is none, whatever else it is
			if t.UnmarshalText([]byte(strings.ToUpper(text)+zone)) == nil {
				return t
			}
			t = time.Time{}
		}
	}
	return t
}
