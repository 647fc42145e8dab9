package acrtest_test

import (
	"testing"
	"time"
)

// TestBulk lists what is many pages long; BenchmarkBulk does it at full size.
func TestBulk(t *testing.T) {
	t.Parallel()
	bulk(t, 5_000, 2_500)
}

// A hundred thousand tags and fifty thousand manifests seed and list without strain.
func BenchmarkBulk(b *testing.B) {
	for b.Loop() {
		bulk(b, 100_000, 50_000)
	}
}

func bulk(t testing.TB, tags, manifests int) {
	t.Helper()
	c := newClient(t)
	began := time.Now()
	step := func(what string, n int) {
		t.Logf("%s: %d in %v", what, n, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	c.s.SeedTags(t, "library/tags", tags)
	step("seed tags", tags)
	c.s.SeedManifests(t, "library/manifests", manifests)
	step("seed manifests", manifests)
	if n := c.count("/acr/v1/library%2Ftags/_tags?n=1000", c.token("repository:library/tags:metadata_read"), "tags"); n != tags {
		t.Errorf("%d tags", n)
	}
	step("list tags", tags)
	if n := c.count("/acr/v1/library%2Fmanifests/_manifests?n=1000&orderby=timedesc", c.token("repository:library/manifests:metadata_read"), "manifests"); n != manifests {
		t.Errorf("%d manifests", n)
	}
	step("list manifests by time", manifests)
}
