package acr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
