package retention_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// A referrer or cosign tag of nothing belongs to something once that is pushed.
func TestOrphansWhoseSubjectComes(t *testing.T) {
	t.Parallel()
	for _, row := range []string{"look", "DELETE"} {
		for _, cosigned := range []bool{false, true} {
			w := newWorld(t)
			m := w.image()
			d := digest.FromBytes(m.content)
			var sig digest.Digest
			tags := []string{"new", "z"}
			if cosigned {
				sig = w.put(w.image(), cosign(d, ".sig"))
				tags = append(tags, cosign(d, ".sig"))
			} else {
				sig = w.put(w.referrer("sig", d))
			}
			w.put(w.image(), "z")
			w.days(90)
			p := w.plan(rulesOf(t, `"delete":[`+orphans+`]`))
			c := w.between(func(r *http.Request) bool {
				return strings.Contains(r.URL.RawQuery, "timedesc") && row == "look" || r.Method == row
			}, func() { w.put(m, "new") })
			w.apply(c, p, nil)
			w.demand(outcome{stays: []digest.Digest{d, sig}, tags: tags})
		}
	}
}

// An image that is pushed again after its deletion keeps its signature.
func TestPushedAgainWithItsSignature(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{1, 10} {
		w := newWorld(t)
		image := w.put(w.image(), "a")
		sig := w.put(w.image(), cosign(image, ".sig"))
		w.put(w.image(), "z")
		w.days(90)
		p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
		deleted := false
		c := w.between(func(r *http.Request) bool {
			now := deleted
			deleted = deleted || r.Method == http.MethodDelete
			return now
		}, func() { w.tag(repository, "new", image) })
		w.apply(c, p, &retention.ApplyOptions{Batch: batch, Concurrency: 1})
		w.demand(outcome{stays: []digest.Digest{image, sig}, tags: []string{"new", "z", cosign(image, ".sig")}})
	}
}

// An index that is put back gets its cosign tags back.
func TestHealOfCosignTags(t *testing.T) {
	t.Parallel()
	for _, soft := range []bool{false, true} {
		w := newWorld(t)
		if soft {
			w = newWorld(t, acrtest.WithSoftDelete(7))
		}
		old := w.put(w.index(), "a")
		sig := w.put(w.image(), cosign(old, ".sig"))
		w.put(w.image(), "z")
		w.days(90)
		p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
		c := w.between(isRequest("DELETE", string(sig)), func() { w.put(w.index(old), "new") })
		w.apply(c, p, &retention.ApplyOptions{Concurrency: 1})
		w.demand(outcome{stays: []digest.Digest{old, sig}, tags: []string{"new", "z", cosign(old, ".sig")}})
	}
}

// A cosign tag whose manifest stays is not deleted if the image stays after all.
func TestUntagOfCosignTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.put(w.image(), "a")
	sig := w.put(w.image(), cosign(image, ".sig"), "keep")
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[{"name":"d","tags":{"glob":["a"]},"olderThan":"1d"}]`))
	c := w.between(isRequest("GET", "/_manifests/"+string(image)), func() { w.tag(repository, "b", image) })
	w.apply(c, p, nil)
	w.demand(outcome{stays: []digest.Digest{image, sig}, tags: []string{"a", "b", "z", "keep", cosign(image, ".sig")}})
}
