package retention_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

// rewriting changes what the registry says of a manifest, as a replica does that lags behind or was put back (acr-592).
type rewriting struct {
	*http.Client
	rewrite func(path, body string) string
}

func (r rewriting) Do(req *http.Request) (*http.Response, error) {
	resp, err := r.Client.Do(req)
	if err != nil || req.Method != http.MethodGet {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	text := r.rewrite(req.URL.Path, string(body))
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	resp.Header.Del("Content-Length")
	return resp, err
}

// Each thing that is checked right before a deletion counts by itself.
func TestEachCheckCounts(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A61 what must stay", testEachCheckCounts)
}

func testEachCheckCounts(t *testing.T) {
	for _, row := range []struct {
		name, path, old, new string
		want                 retention.SkipCode
	}{
		{"the lock of the manifest", "/_manifests/sha256:", `"deleteEnabled":true`, `"deleteEnabled":false`, retention.SkippedLocked},
		{"the other lock of the manifest", "/_manifests/sha256:", `"writeEnabled":true`, `"writeEnabled":false`, retention.SkippedLocked},
		{"a tag more", "/_manifests/sha256:", `"tags":["a"]`, `"tags":["a","b"]`, retention.SkippedTagged},
		{"a tag less", "/_manifests/sha256:", `"tags":["a"]`, `"tags":[]`, retention.SkippedMoved},
		{"the time of the manifest", "/_manifests/sha256:", `"lastUpdateTime":"20`, `"lastUpdateTime":"21`, retention.SkippedUpdated},
		{"the lock of the tag", "/_tags?digest", `"deleteEnabled":true`, `"deleteEnabled":false`, retention.SkippedLocked},
		{"the time of the tag", "/_tags?digest", `"lastUpdateTime":"20`, `"lastUpdateTime":"21`, retention.SkippedUpdated},
		{"the tag is elsewhere", "/_tags?digest", `"digest":"sha256:`, `"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","x":"`, retention.SkippedMoved},
		{"the tag does not tell where it is", "/_tags?digest", `"digest":"sha256:`, `"x":"sha256:`, retention.SkippedTagged},
		{"the tag is not in the list", "/_tags?digest", `"tags":[`, `"tags":[],"x":[`, retention.SkippedMoved},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.oldAndLast()
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			calls := 0
			c := newClientVia(t, w.srv, rewriting{w.http, func(path, body string) string {
				if strings.Contains(row.path, "digest") {
					if !strings.HasSuffix(path, "/_tags") {
						return body
					}
					if calls++; calls == 1 { // the list of all tags
						return body
					}
				} else if !strings.Contains(path, row.path) {
					return body
				}
				if !strings.Contains(body, row.old) {
					t.Errorf("%s is not in %s", row.old, body)
				}
				return strings.Replace(body, row.old, row.new, 1)
			}})
			result := w.apply(c, p, nil)
			if got := skips(result); !slices.Equal(got, []retention.SkipCode{row.want}) {
				t.Errorf("%s", mustJSON(t, result))
			}
			w.srv.Ledger().AtMost(t, 0, "DeleteManifest")
		})
	}
}

// What the registry would delete along with an image is checked before the image is deleted.
func TestApplyChecksTheCascade(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		act  func(w *world, sig digest.Digest)
	}{
		{"tagged", func(w *world, sig digest.Digest) { w.tag(repository, "signature", sig) }},
		{"in an index", func(w *world, sig digest.Digest) { w.put(w.index(sig)) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			old, _ := w.oldAndLast()
			sig := w.put(w.referrer("sig", old))
			w.days(90)
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			c := w.between(isRequest("GET", "/_manifests/sha256:"), func() { row.act(w, sig) }) // the first that is checked
			w.apply(c, p, nil)
			if s := w.shoot(repository); s.manifests[sig].updated.IsZero() || s.manifests[old].updated.IsZero() {
				t.Errorf("%v", s.manifests)
			}
		})
	}
}

// A manifest that is quarantined, or that nobody may read, stays, also if nobody has to read it; and so do its tags.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	for _, attributes := range []string{`{"quarantineState":"Quarantined"}`, `{"readEnabled":false}`} {
		w := newWorld(t)
		tagged := w.put(w.docker(w.image()), "a", "keep")
		d := w.put(w.docker(w.image()))
		w.put(w.image(), "z")
		w.days(90)
		w.patch(repository, string(d), attributes)
		w.patch(repository, string(tagged), attributes)
		stays(t, w, []digest.Digest{d, tagged}, "a", "keep", "z")
	}
}

// stays plans and applies, and demands that the plan keeps these, and that nothing is left to the last check.
func stays(t *testing.T, w *world, manifests []digest.Digest, tags ...string) {
	t.Helper()
	p, result := w.clean(rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["keep"]}}],"delete":[`+untagged+`,`+oldTags+`]`), nil)
	w.demand(outcome{stays: manifests, tags: tags})
	if r := p.Repositories[0]; r.Refused != nil || len(r.Delete)+len(r.Untag) > 0 {
		t.Errorf("%s", mustJSON(t, r))
	}
	if got := skips(result); len(got) > 0 {
		t.Errorf("the plan has to keep it, and not the last check: %v", got)
	}
}

// Signatures are no images: they take no place among the newest.
func TestNewestDoesNotCountSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
	sig := w.put(w.image(), cosign(a, ".sig"))
	w.days(40)
	other := w.put(w.image(), cosign(b, ".sig"))
	w.days(40)
	w.clean(rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["*"]},"newest":2}],"delete":[`+oldTags+`]`), nil)
	w.demand(outcome{stays: []digest.Digest{a, b, sig, other}, tags: []string{"a", "b", cosign(a, ".sig"), cosign(b, ".sig")}})
}

// Equally new images are all among the newest: none is cut (harbor-10555).
func TestTiesStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.srv.SeedTags(t, repository, 50)
	w.days(90)
	p, err := retention.Make(t.Context(), w.client(), rulesOf(t, `"count":"tags","keep":[{"name":"k","tags":{"glob":["*"]},"newest":2}],"delete":[`+oldTags+`]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := p.Repositories[0]; r.Tags.Delete != 0 {
		t.Errorf("%s", mustJSON(t, r.Tags))
	}
}

// Newest counts images: three tags on one image are one. It counts tags if the policy says so.
func TestNewestCounts(t *testing.T) {
	t.Parallel()
	for count, left := range map[string][]string{"images": {"b", "c1", "c2", "c3"}, "tags": {"c2", "c3"}} {
		w := newWorld(t)
		w.put(w.image(), "a")
		w.put(w.image(), "b")
		w.put(w.image(), "c1", "c2", "c3")
		w.days(90)
		w.clean(rulesOf(t, `"count":"`+count+`","keep":[{"name":"k","tags":{"glob":["*"]},"newest":2}],"delete":[`+oldTags+`]`), nil)
		if got := w.srv.Tags(repository); !slices.Equal(got, left) {
			t.Errorf("%s: %q", count, got)
		}
	}
}

// The subject of something that stays stays.
func TestSubjectStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.put(w.image(), "a")
	sig := w.put(w.referrer("sig", image), "kept")
	w.put(w.image(), "z")
	w.days(90)
	w.clean(rulesOf(t, `"delete":[{"name":"d","tags":{"glob":["a"]},"olderThan":"1d"}]`), nil)
	w.demand(outcome{stays: []digest.Digest{image, sig}, tags: []string{"kept", "z"}})
}

// The Grace of a policy protects tags and manifests of whatever rule.
func TestGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.put(w.image(), "a")
	loose := w.put(w.image())
	w.put(w.image(), "z")
	w.srv.Advance(47 * time.Hour)
	r := rulesOf(t, `"grace":"2d","delete":[{"name":"d","tags":{"glob":["*"]},"any":true},{"name":"u","untagged":true,"any":true}]`)
	w.clean(r, nil)
	w.demand(outcome{stays: []digest.Digest{a, loose}, tags: []string{"a", "z"}})
	w.srv.Advance(2 * time.Hour)
	w.clean(r, nil)
	w.demand(outcome{goes: []digest.Digest{a, loose}, tags: []string{"z"}})
}

// An index is deleted before its images, and an image before its signatures, whatever their digests.
func TestOrderOfDeletions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := map[digest.Digest][]digest.Digest{} // what has to go before
	for n := range 12 {
		a := w.put(w.image())
		i := w.put(w.index(a), fmt.Sprintf("v%d", n))
		sig, cosigned := w.put(w.referrer("sig", a)), w.put(w.image(), cosign(i, ".sig"))
		bundle := w.put(w.index(sig), fmt.Sprintf("b%d", n)) // the signature is deleted along with its image
		first[a], first[sig], first[cosigned] = []digest.Digest{i, bundle}, []digest.Digest{a}, []digest.Digest{i}
	}
	w.put(w.image(), "z")
	w.days(90)
	place := map[digest.Digest]int{}
	for at, m := range w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)).Repositories[0].Delete {
		place[m.Digest] = at
	}
	if len(place) != 60 {
		t.Errorf("%d deletions", len(place))
	}
	for then, all := range first {
		for _, before := range all {
			if place[before] >= place[then] {
				t.Errorf("%s has to go before %s", before, then)
			}
		}
	}
}

// A tag that is put on an image while its many referrers are checked is noticed.
func TestTaggedWhileItsReferrersAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, last := w.oldAndLast()
	var sig digest.Digest
	for range 3 {
		sig = w.put(w.referrer("sig", old))
	}
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	c := w.between(isRequest("GET", "/_manifests/"+string(sig)), func() { w.tag(repository, "b", old) })
	w.apply(c, p, nil)
	w.demand(outcome{stays: []digest.Digest{old, sig, last}, tags: []string{"a", "b", "z"}})
}
