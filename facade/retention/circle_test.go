package retention_test

import (
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/retention"
)

// A tag that names the very image that it points to, as imgpkg sets them, is one like any other.
func TestTagsThatNameTheirOwnImage(t *testing.T) {
	t.Parallel()
	for rule, goes := range map[string]bool{untagged: false, orphans: false, oldTags: true} {
		w := newWorld(t)
		image := w.put(w.image())
		w.tag(repository, cosign(image, ".imgpkg"), image)
		w.put(w.image(), "z")
		w.days(90)
		w.clean(rulesOf(t, `"delete":[`+rule+`]`), nil)
		if _, there := w.shoot(repository).manifests[image]; there == goes {
			t.Errorf("%s: there: %v", rule, there)
		}
	}
}

// What belongs to nothing but itself is deleted only if a rule leads to it.
func TestNothingGoesWithoutARule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.put(w.image())
	index := w.put(w.indexOn(image, image))
	sig := w.put(w.referrer("sig", index))
	list := w.put(w.image())
	w.tag(repository, cosign(list, ""), w.put(w.indexOn(list, list)))
	w.put(w.image(), "a")
	w.put(w.image(), "z")
	w.days(90)
	before := len(w.shoot(repository).manifests)
	p, _ := w.clean(rulesOf(t, `"delete":[`+oldTags+`,`+untagged+`,`+orphans+`]`), nil)
	w.demand(outcome{stays: []digest.Digest{image, index, sig, list}, tags: []string{cosign(list, ""), "z"}})
	if left := len(w.shoot(repository).manifests); left != before-1 {
		t.Errorf("%d of %d are left", left, before)
	}
	if d, ok := p.Explain(repository, string(index)); !ok || d.Deleted {
		t.Errorf("%+v", d)
	}
}

// What stands alone stays if no rule deletes it, and if its subject does not exist, a finding says so.
func TestAloneStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image, orphan := w.put(w.image()), w.put(w.referrer("sig", w.unique()))
	w.put(w.image(), "a")
	w.put(w.image(), "z")
	w.days(90)
	p, _ := w.clean(rulesOf(t, `"delete":[`+oldTags+`]`), nil)
	w.demand(outcome{stays: []digest.Digest{image, orphan}, tags: []string{"z"}})
	for _, d := range []digest.Digest{image, orphan} {
		if v, ok := p.Explain(repository, string(d)); !ok || v.Deleted || v.Chain[0].Code != retention.KeptUnmatched {
			t.Errorf("%+v", v)
		}
	}
	if f := p.Repositories[0].Findings; len(f) != 1 || f[0].Code != retention.FoundOrphan || f[0].What != string(orphan) {
		t.Errorf("%+v", f)
	}
}

// Manifests that belong to each other in a circle stay, because whichever goes first, what is left lacks something. The list of an
// image's referrers under the image's referrers tag is no such circle, though it contains what refers to the image.
func TestCircles(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		push   func(w *world) []digest.Digest
		circle bool
	}{
		"each other's signature": {func(w *world) []digest.Digest {
			a, b := w.put(w.image(), "a"), w.put(w.image())
			w.tag(repository, cosign(b, ".sig"), a)
			w.tag(repository, cosign(a, ".sig"), b)
			return []digest.Digest{a, b}
		}, true},
		"an index that signs its image, and is an image itself": {func(w *world) []digest.Digest {
			a := w.put(w.image())
			i := w.put(w.index(a), "a")
			w.tag(repository, cosign(a, ".sig"), i)
			return []digest.Digest{a, i}
		}, true},
		"an index that only signs its image": {func(w *world) []digest.Digest {
			a := w.put(w.image(), "a")
			return []digest.Digest{a, w.put(w.index(a), cosign(a, ".sig"))}
		}, false},
		"a list of referrers": {func(w *world) []digest.Digest {
			a := w.put(w.image(), "a")
			sig := w.put(w.referrer("sig", a))
			return []digest.Digest{a, sig, w.put(w.index(sig), cosign(a, ""))}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			pushed := row.push(w)
			w.put(w.image(), "z")
			w.days(90)
			p, _ := w.clean(rulesOf(t, `"delete":[`+oldTags+`,`+untagged+`]`), nil)
			if !row.circle {
				w.demand(outcome{goes: pushed, tags: []string{"z"}})
				return
			}
			found := 0
			for _, f := range p.Repositories[0].Findings {
				if f.Code == retention.FoundCircle {
					found++
				}
			}
			d, _ := p.Explain(repository, string(pushed[0]))
			if left := len(w.shoot(repository).manifests); left != len(pushed)+1 || found != len(pushed) || d.Deleted || d.Chain[0].Code != retention.KeptCircle {
				t.Errorf("%d manifests are left, %d findings, %+v", left, found, d)
			}
		})
	}
}

// What the registry deletes along with its subject is gone from then on, though the list that names it goes next and is still
// there. The list gets it back if somebody tags it in this moment.
func TestGoneWithItsSubject(t *testing.T) {
	t.Parallel()
	for _, tagged := range []bool{false, true} {
		w := newWorld(t)
		image := w.put(w.image(), "a")
		sig := w.put(w.referrer("sig", image))
		second := w.put(w.referrer("sig", sig))
		list := w.put(w.index(sig, second), cosign(image, ""))
		w.days(90)
		p := w.plan(rules(t, `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"limits":{"percent":100,"leaveTags":-1},
			"delete":[`+oldTags+`]}]}`))
		deleted := false
		c := w.between(func(r *http.Request) bool {
			now := deleted
			deleted = deleted || r.Method == http.MethodDelete
			return now && tagged
		}, func() { w.tag(repository, "new", list) })
		result := w.apply(c, p, &retention.ApplyOptions{Batch: 1})
		r := result.Repositories[0]
		if tagged {
			w.demand(outcome{stays: []digest.Digest{image, sig, second, list}, tags: []string{cosign(image, ""), "new"}})
		} else if r.Deleted != 4 {
			t.Errorf("%s", mustJSON(t, r))
		}
		if r.State != retention.Done {
			t.Errorf("tagged %v: %s", tagged, mustJSON(t, r))
		}
	}
}
