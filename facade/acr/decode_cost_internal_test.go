package acr

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

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
