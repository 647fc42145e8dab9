package acrtest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// Which requests move the time of a manifest's last update, in each setting.
func TestManifestTimes(t *testing.T) {
	t.Parallel()
	const path = "/acr/v1/app/_manifests/"
	for _, test := range []struct {
		times                         acrtest.ManifestTimes
		pushed, tagged, untagged, led bool // moved by a push by digest, a new tag, the end of a tag, a tag that left
	}{
		{acrtest.ManifestTimesPush, true, true, false, false},
		{acrtest.ManifestTimesFixed, false, false, false, false},
		{acrtest.ManifestTimesTags, true, true, true, true},
	} {
		t.Run(string(test.times), func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, acrtest.WithManifestTimes(test.times))
			first, other := r.s.SeedImage(t, "app:v1").String(), r.s.SeedImage(t, "app:v2").String()
			updated := func() time.Time {
				type reply struct {
					Manifest struct{ LastUpdateTime time.Time }
				}
				return decode[reply](t, r.want(r.send("GET", path+first, ""), http.StatusOK).body).Manifest.LastUpdateTime
			}
			raw := r.send("GET", "/v2/app/manifests/"+first, "").body
			otherRaw := r.send("GET", "/v2/app/manifests/"+other, "").body
			for _, step := range []struct {
				what  string
				moves bool
				do    func() answer
			}{
				{"attributes", false, func() answer { return r.send("PATCH", path+first, `{"listEnabled":true}`) }},
				{"a push by digest", test.pushed, func() answer { return r.push("app", first, ociManifest, raw) }},
				{"a new tag", test.tagged, func() answer { return r.push("app", "v3", ociManifest, raw) }},
				{"a tag that is deleted", test.untagged, func() answer { return r.send("DELETE", "/acr/v1/app/_tags/v3", "") }},
				{"a tag that leaves", test.led, func() answer { return r.push("app", "v1", ociManifest, otherRaw) }},
			} {
				before := updated()
				r.s.Advance(time.Hour)
				if a := step.do(); a.StatusCode >= 400 {
					t.Fatalf("%s: %d %s", step.what, a.StatusCode, a.body)
				}
				if moved := updated().After(before); moved != step.moves {
					t.Errorf("%s moves the time: %v, want %v", step.what, moved, step.moves)
				}
			}
		})
	}
}
