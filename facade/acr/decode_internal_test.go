package acr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/gen"
)

// pageOfTags is a page as a registry sends it.
func pageOfTags(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"registry":"r.azurecr.io","imageName":"library/hello","tags":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"v%06d","digest":"sha256:%064x","createdTime":"2023-01-02T03:04:05.7370995Z","lastUpdateTime":"2023-01-02T03:04:05.599916Z","signed":false,"changeableAttributes":{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}}`, i, i)
	}
	b.WriteString("]}\n")
	return b.Bytes()
}

// pageOfManifests is a page as a registry sends it.
func pageOfManifests(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"registry":"r.azurecr.io","imageName":"library/hello","manifests":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"digest":"sha256:%064x","imageSize":3340,"createdTime":"2023-01-02T03:04:05.7370995Z","lastUpdateTime":"2023-01-02T03:04:05Z","architecture":"amd64","os":"linux","mediaType":"application/vnd.docker.distribution.manifest.v2+json","configMediaType":"application/vnd.docker.container.image.v1+json","tags":["v%d"],"changeableAttributes":{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true,"quarantineState":"Passed"}}`, i, i)
	}
	b.WriteString("]}\n")
	return b.Bytes()
}

// TestDecodeAgreesWithEncodingJSON holds the scanner against the standard library's decoder of the generated models.
func TestDecodeAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	page := pageOfManifests(3)
	page = bytes.Replace(page, []byte(`"tags":["v1"],`), []byte(`"references":[{"digest":"sha256:ab","architecture":"arm64","os":"linux"}],"tags":null,"unheard":{"a":[1,-2.5e3,"\u00e9",null,true]},`), 1)
	var want gen.ManifestList
	if err := json.Unmarshal(page, &want); err != nil {
		t.Fatal(err)
	}
	got, err := decodeManifests(reply{body: page}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want.Manifests) {
		t.Fatalf("got %d manifests, want %d", len(got), len(want.Manifests))
	}
	for i, w := range want.Manifests {
		a := w.ChangeableAttributes
		m := ManifestProperties{
			Registry: want.Registry, Repository: want.ImageName, Digest: w.Digest, Size: w.ImageSize, CreatedTime: w.CreatedTime,
			LastUpdateTime: w.LastUpdateTime, MediaType: w.MediaType, ConfigMediaType: w.ConfigMediaType, Architecture: w.Architecture, OS: w.Os,
			Tags: w.Tags, QuarantineState: a.QuarantineState,
			Attributes: Attributes{DeleteEnabled: a.DeleteEnabled, WriteEnabled: a.WriteEnabled, ListEnabled: a.ListEnabled, ReadEnabled: a.ReadEnabled},
		}
		for _, r := range w.References {
			m.References = append(m.References, ManifestReference{Digest: r.Digest, Architecture: r.Architecture, OS: r.Os})
		}
		if diff := cmp.Diff(m, got[i]); diff != "" {
			t.Errorf("manifest %d (-encoding/json +ours):\n%s", i, diff)
		}
	}
}

// TestDecodeDefaults: what a reply leaves out.
func TestDecodeDefaults(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"no list": `{"registry":"r"}`, "null list": `{"tags":null}`, "empty list": `{"tags":[]}`,
	} {
		if tags, err := decodeTags(reply{body: []byte(page)}, nil); err != nil || len(tags) != 0 {
			t.Errorf("%s: %v, %v", name, tags, err)
		}
	}
	for _, page := range []string{`{}`, `{"status":"ok","login":"https://portal"}`, `{"Tags":[]}`} {
		if _, err := decodeTags(reply{body: []byte(page)}, nil); !errors.Is(err, ErrMalformedReply) {
			t.Errorf("%s passed for an empty list: %v", page, err)
		}
	}
	tags, err := decodeTags(reply{body: []byte(`{"tags":[{"name":"a","createdTime":"","changeableAttributes":{"writeEnabled":false,"listEnabled":null}},{"name":"b"}],"imageName":"late"}`)}, nil)
	want := []TagProperties{
		{Repository: "late", Name: "a", Attributes: Attributes{DeleteEnabled: true, ListEnabled: true, ReadEnabled: true}},
		{Repository: "late", Name: "b", Attributes: allEnabled},
	}
	if diff := cmp.Diff(want, tags); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestDecodeRefuses: what is no page, and what is half of one.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	page := string(pageOfTags(2))
	for i := 1; i < len(page)-2; i++ {
		if _, err := decodeTags(reply{body: []byte(page[:i])}, nil); !errors.Is(err, errCutShort) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	for _, bad := range []string{
		`null`, `[]`, `"x"`, `7`, `{"tags":{}}`, `{"tags":[7]}`, `{"tags":[{"name":7}]}`, `{"tags":[{"createdTime":"yesterday"}]}`, `{"tags":[{"signed":"yes"}]}`,
		`{"tags":[{}]}`, `{"tags":[null]}`, `{"tags":[{"name":"a"},{"name":""}]}`, `{"tags":[{"digest":"sha256:ab"}]}`,
		`{"tags":[]} x`, `{"tags":[],}`, `{"tags" []}`, `<html>`, `{"tags":[{"name":"a\\b"}]}`, `{"registry":"a\u0007","tags":[]}`, `{"tags":[{"name":"a","digest":"\u202e"}]}`, `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "{\"tags\":[{\"name\":\"a\nb\"}]}",
	} {
		if _, err := decodeTags(reply{body: []byte(bad)}, nil); err == nil || errors.Is(err, errCutShort) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for name, err := range map[string]error{
		"manifest":         refused(decodeManifests(reply{body: []byte(`{"manifests":[{"tags":["a"]}]}`)}, nil)),
		"deleted manifest": refused(decodeDeletedManifests(reply{body: []byte(`{"manifests":[{"tags":["a"]}]}`)}, nil)),
		"referrer":         refused(decodeReferrers("")(reply{body: []byte(`{"manifests":[{"digest":""}]}`)}, nil)),
		"deleted tag":      refused(decodeDeletedTags(reply{body: []byte(`{"tags":[{"digest":"sha256:ab"}]}`)}, nil)),
	} {
		if err == nil {
			t.Errorf("a %s without its name passed", name)
		}
	}
	if _, err := decodeManifests(reply{body: []byte(`{"manifests":[{"digest":"a","imageSize":1e999}]}`)}, nil); err == nil {
		t.Error("a size of 1e999 passed")
	}
}

func refused[T any](_ []T, err error) error { return err }

// A29: a page of many entries that say nothing costs no more memory than its bytes.
func TestDecodeOfEmptyEntriesIsCheap(t *testing.T) {
	t.Parallel()
	page := []byte(`{"manifests":[` + strings.Repeat("{},", maxPageSize/4) + `{}]}`)
	into := make([]ManifestProperties, 0, 4)
	if got, err := decodeManifests(reply{body: page}, into); err == nil || cap(got) > cap(into) {
		t.Errorf("%d entries, %v", cap(got), err)
	}
	if index, err := decodeIndex(page); err == nil || cap(index.Manifests) > 0 {
		t.Errorf("%d referrers, %v", cap(index.Manifests), err)
	}
}

func BenchmarkDecodeTags(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		page := pageOfTags(n)
		b.Run(fmt.Sprintf("ours/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(page)))
			var tags []TagProperties
			for b.Loop() {
				var err error
				if tags, err = decodeTags(reply{body: page}, tags[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("encodingjson/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(page)))
			for b.Loop() {
				var list gen.TagList
				if err := json.Unmarshal(page, &list); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeManifests(b *testing.B) {
	page := pageOfManifests(1000)
	b.Run("ours/1000", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(page)))
		var all []ManifestProperties
		for b.Loop() {
			var err error
			if all, err = decodeManifests(reply{body: page}, all[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encodingjson/1000", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			var list gen.ManifestList
			if err := json.Unmarshal(page, &list); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// maxCost is how many times its size a reply may cost in memory, all garbage included.
const maxCost = 12

// A29: whatever the largest reply consists of, reading it costs a few times its size.
func TestDecodeCost(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	d := string(digest.FromString("x"))
	full := func(begin, entry, end string, size int) []byte {
		n := (size - len(begin) - len(end)) / len(entry)
		return []byte(begin + strings.TrimSuffix(strings.Repeat(entry, n), ",") + end)
	}
	page := func(begin, entry, end string) []byte { return full(begin, entry, end, maxPageSize) }
	manifest := func(begin, entry, end string) []byte {
		return full(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`",`+begin, entry, end+`}`, maxManifestSize)
	}
	for name, run := range map[string]struct {
		body []byte
		read func(body []byte) error
	}{
		"names":              {page(`{"tags":[`, `"a",`, `]}`), func(b []byte) error { _, err := decodeNames("tags")(reply{body: b}, nil); return err }},
		"tags":               {page(`{"tags":[`, `{"name":"a"},`, `]}`), func(b []byte) error { _, err := decodeTags(reply{body: b}, nil); return err }},
		"manifests":          {page(`{"manifests":[`, `{"digest":"a"},`, `]}`), func(b []byte) error { _, err := decodeManifests(reply{body: b}, nil); return err }},
		"tags of one":        {page(`{"manifests":[{"digest":"a","tags":[`, `"",`, `]}]}`), func(b []byte) error { _, err := decodeManifests(reply{body: b}, nil); return err }},
		"references of one":  {page(`{"manifests":[{"digest":"a","references":[`, `{"digest":"a"},`, `]}]}`), func(b []byte) error { _, err := decodeManifests(reply{body: b}, nil); return err }},
		"tags of many":       {page(`{"manifests":[`, `{"digest":"a","tags":[""]},`, `]}`), func(b []byte) error { _, err := decodeManifests(reply{body: b}, nil); return err }},
		"deleted manifests":  {page(`{"manifests":[`, `{"digest":"a"},`, `]}`), func(b []byte) error { _, err := decodeDeletedManifests(reply{body: b}, nil); return err }},
		"deleted tags":       {page(`{"tags":[`, `{"tag":"a"},`, `]}`), func(b []byte) error { _, err := decodeDeletedTags(reply{body: b}, nil); return err }},
		"a deletion":         {page(`{"manifestsDeleted":[`, `"",`, `]}`), func(b []byte) error { _, _, err := decodeDeletion(b); return err }},
		"referrers":          {page(`{"manifests":[`, `{"digest":"`+d+`"},`, `]}`), func(b []byte) error { _, err := decodeReferrers("")(reply{body: b}, nil); return err }},
		"tiny referrers":     {page(`{"manifests":[`, `{"digest":"a"},`, `]}`), func(b []byte) error { _, err := decodeReferrers("")(reply{body: b}, nil); return err }},
		"annotations of one": {page(`{"manifests":[{"digest":"`+d+`","annotations":{`, `"":"",`, `}}]}`), func(b []byte) error { _, err := decodeReferrers("")(reply{body: b}, nil); return err }},
		"annotations":        {numbered(`{"manifests":[{"digest":"`+d+`","annotations":{`, `"%d":"",`, `}}]}`, maxPageSize), func(b []byte) error { _, err := decodeReferrers("")(reply{body: b}, nil); return err }},
		"members":            {numbered(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`",`, `"%d":0,`, `}`, maxManifestSize), indexOf},
		"urls of one":        {page(`{"manifests":[{"digest":"`+d+`","urls":[`, `"",`, `]}]}`), func(b []byte) error { _, err := decodeReferrers("")(reply{body: b}, nil); return err }},
		"an index":           {manifest(`"manifests":[`, `{},`, `]`), indexOf},
		"objects":            {manifest(`"x":[`, `{},`, `]`), indexOf},
		"objects of one":     {manifest(`"x":[`, `{"":0},`, `]`), indexOf},
		"lists":              {manifest(`"x":[`, `[],`, `]`), indexOf},
		"urls":               {manifest(`"manifests":[{"urls":[`, `"",`, `]}]`), indexOf},
		"features":           {manifest(`"manifests":[{"platform":{"os.features":[`, `"",`, `]}}]`), indexOf},
		"many platforms":     {manifest(`"manifests":[`, `{"platform":{}},`, `]`), indexOf},
		"many annotations":   {manifest(`"manifests":[`, `{"annotations":{"":""}},`, `]`), indexOf},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		err := run.read(run.body)
		runtime.ReadMemStats(&after)
		cost := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(run.body))
		t.Logf("%-20s %6.1f times %d MiB: %v", name, cost, len(run.body)>>20, err)
		if cost > maxCost {
			t.Errorf("%s: %.1f times its size", name, cost)
		}
	}
}

// numbered returns a document of entries that differ.
func numbered(begin, entry, end string, size int) []byte {
	var b strings.Builder
	b.WriteString(begin)
	for i := 0; b.Len() < size-len(end)-20; i++ {
		fmt.Fprintf(&b, entry, i)
	}
	return []byte(strings.TrimSuffix(b.String(), ",") + end)
}

// indexOf reads an index as a caller does.
func indexOf(body []byte) error {
	mediaType, err := checkManifest(body, ocispec.MediaTypeImageIndex)
	if err != nil {
		return err
	}
	m := &Manifest{Descriptor: ocispec.Descriptor{MediaType: mediaType}, Content: body}
	_, err = m.Index()
	return err
}
