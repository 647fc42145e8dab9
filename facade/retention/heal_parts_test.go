package retention_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// listed is an image with an SBOM and the list of its referrers, all of which a plan deletes.
type listed struct {
	*world
	image, sbom, list digest.Digest
	plan              *retention.Plan
	whole             outcome // nothing is deleted but the image's own tag
}

func newListed(t *testing.T, rules string, opts ...acrtest.Option) *listed {
	t.Helper()
	l := &listed{world: newWorld(t, opts...)}
	l.image = l.put(l.world.image(), "a")
	l.sbom = l.put(l.referrer("sbom", l.image))
	l.list = l.put(l.index(l.sbom), cosign(l.image, ""))
	l.whole = outcome{stays: []digest.Digest{l.image, l.sbom, l.list, l.put(l.world.image(), "z")}, tags: []string{"z", cosign(l.image, "")}}
	l.days(90)
	l.plan = l.world.plan(rulesOf(t, rules))
	return l
}

// lockList locks the list right before it is checked, when the image is deleted.
func (l *listed) lockList(r *http.Request) {
	if isRequest("GET", "/_manifests/"+string(l.list))(r) {
		l.patch(repository, string(l.list), locked)
	}
}

// The list of an image's referrers, under the tag that belongs to the image, is deleted after them. If the list stays
// after all, the referrers and their image come back.
func TestHealOfListedReferrers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		what     string
		repaired int
	}{{"pushed with the image", 3}, {"pushed with the list", 3}, {"tagged", 2}, {"locked", 2}} {
		for _, batch := range []int{1, 50} {
			t.Run(fmt.Sprintf("%s, batches of %d", row.what, batch), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				image := w.put(w.image(), "a")
				sbom := w.put(w.referrer("sbom", image))
				list := w.put(w.index(sbom), cosign(image, ""))
				for n := range 5 {
					w.put(w.image(), "a"+strconv.Itoa(n))
				}
				stays := []digest.Digest{image, sbom, list, w.put(w.image(), "z")}
				tags := []string{"z", cosign(image, "")}
				w.days(90)
				p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
				moment := isRequest("GET", "/_manifests/"+string(list)) // behind the deletion of the image
				switch row.what {
				case "pushed with the image":
					moment = isRequest("DELETE", string(image))
				case "pushed with the list":
					moment = isRequest("DELETE", string(list))
				}
				c := w.between(moment, func() {
					switch row.what {
					case "tagged":
						w.tag(repository, "new", list)
						tags = append(tags, "new")
					case "locked":
						w.patch(repository, string(list), locked)
					default:
						stays = append(stays, w.put(w.index(list)))
					}
				})
				result := w.apply(c, p, &retention.ApplyOptions{Batch: batch, Concurrency: 1})
				w.demand(outcome{stays: stays, tags: tags})
				if r := result.Repositories[0]; len(r.Repaired) != row.repaired || r.State != retention.Done {
					t.Errorf("%s", mustJSON(t, r))
				}
			})
		}
	}
}

// beginning makes a manifest whose digest begins with one of the digits: that decides in which order manifests are deleted.
func beginning(digits string, fresh func() *manifest) *manifest {
	for {
		if m := fresh(); strings.ContainsRune(digits, rune(digest.FromBytes(m.content).Encoded()[0])) {
			return m
		}
	}
}

// So does what an index contains that is under the cosign tag of that, though other manifests are between them in the order.
func TestHealOfWhatItsIndexContains(t *testing.T) {
	t.Parallel()
	for _, ofReferrer := range []bool{false, true} {
		for _, pushed := range []bool{false, true} {
			t.Run(fmt.Sprintf("referrer %v, pushed %v", ofReferrer, pushed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				part := w.put(beginning("0", func() *manifest { return w.image() }), "a")
				want := outcome{stays: []digest.Digest{part}}
				if ofReferrer {
					part = w.put(w.referrer("sig", part))
				}
				list := w.put(beginning("f", func() *manifest { return w.index(part) }), cosign(part, ".sig"))
				for n := range 3 {
					w.put(beginning("12345", func() *manifest { return w.image() }), "b"+strconv.Itoa(n))
				}
				want.stays, want.tags = append(want.stays, part, list, w.put(w.image(), "z")), []string{"z", cosign(part, ".sig")}
				w.days(90)
				p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
				c := w.between(isRequest("GET", "/_manifests/"+string(list)), func() { w.patch(repository, string(list), locked) })
				if pushed {
					c = w.between(isRequest("DELETE", string(list)), func() { want.stays = append(want.stays, w.put(w.index(list))) })
				}
				w.apply(c, p, &retention.ApplyOptions{Batch: 1, Concurrency: 1})
				w.demand(want)
			})
		}
	}
}

// So does what a list contains that has to wait for another index of the same image.
func TestHealBehindAnotherIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.put(beginning("0", func() *manifest { return w.image() }), "a")
	sbom := w.put(w.referrer("sbom", image))
	list := w.put(w.index(sbom), cosign(image, ""))
	sig := w.put(w.image(), cosign(list, ".sig"))
	other := w.put(beginning("f", func() *manifest { return w.index(sig) }), cosign(image, ".x"))
	for n := range 3 {
		w.put(beginning("12345", func() *manifest { return w.image() }), "b"+strconv.Itoa(n))
	}
	last := w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	c := w.between(isRequest("GET", "/_manifests/"+string(list)), func() { w.patch(repository, string(list), locked) })
	w.apply(c, p, &retention.ApplyOptions{Batch: 1, Concurrency: 1})
	w.demand(outcome{
		stays: []digest.Digest{image, sbom, list, sig, other, last},
		tags:  []string{"z", cosign(image, ""), cosign(image, ".x"), cosign(list, ".sig")},
	})
}

// What was unlocked and deleted is locked again when it is put back, and so are the cosign tags that come back with it.
func TestHealLocksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.put(w.image(), "a")
	sig := w.put(w.image(), cosign(image, ".sig"))
	w.patch(repository, string(image), `{"writeEnabled":false}`)
	w.patch(repository, cosign(image, ".sig"), `{"readEnabled":false}`) // one with another lock is not deleted
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"unlock":true,"delete":[`+oldTags+`]`))
	before := w.shoot(repository)
	c := w.between(isRequest("DELETE", string(sig)), func() { w.put(w.index(image), "new") })
	w.apply(c, p, &retention.ApplyOptions{Concurrency: 1})
	after := w.shoot(repository)
	if was, is := before.manifests[image].attributes, after.manifests[image].attributes; is != was {
		t.Errorf("it was put back as %+v, and was %+v", is, was)
	}
	if was, is := before.tags[cosign(image, ".sig")].attributes, after.tags[cosign(image, ".sig")].attributes; is != was {
		t.Errorf("its tag was put back as %+v, and was %+v", is, was)
	}
}
