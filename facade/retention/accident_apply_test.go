package retention_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

// acr-cli-641 acr-cli-375: tokens that end in the middle of an apply are renewed, and it does all of its work.
func TestAccidentTokenEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var o outcome
	for n := range 12 {
		o.goes = append(o.goes, w.put(w.image(), fmt.Sprintf("v%d", n)))
	}
	o.stays, o.tags = []digest.Digest{w.put(w.image(), "z")}, []string{"z"}
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	requests := 0
	c := w.before(func(r *http.Request) {
		if requests++; strings.Contains(r.URL.Path, "/oauth2/") || requests%25 != 0 {
			return
		}
		w.srv.RevokeAccessTokens()
		if requests%50 == 0 {
			w.srv.RevokeRefreshTokens()
		}
	})
	result := w.apply(c, p, &retention.ApplyOptions{Concurrency: 1})
	w.demand(o)
	if r := result.Repositories[0]; r.State != retention.Done || r.Deleted != 12 || len(r.Skipped) > 0 {
		t.Errorf("%s", mustJSON(t, r))
	}
}

// acr-cli-284: of more tags than a page holds, all that the rules select are deleted in one run.
func TestAccidentManyTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acrtest.WithMemoryNetwork())
	c := newClientVia(t, w.srv, w.http)
	if _, err := c.Repository(repository).Tag(t.Context(), string(w.srv.SeedTags(t, repository, acrsuite.UnderRace(1_100, 2_500))), "keep", nil); err != nil {
		t.Fatal(err)
	}
	w.days(90)
	p, err := retention.Make(t.Context(), c, rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["keep"]}}],"delete":[`+oldTags+`]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.apply(c, p, nil)
	if tags := w.srv.Tags(repository); !slices.Equal(tags, []string{"keep"}) {
		t.Errorf("%d tags are left", len(tags))
	}
}

// acr-cli-459: what vanishes between the list and its deletion does not end the apply.
func TestAccidentManifestVanishes(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"/v2/apps/web/manifests/", "/acr/v1/apps/web/_manifests/", "DELETE"} {
		w := newWorld(t)
		a, b, last := w.put(w.image(), "a"), w.put(w.image(), "b"), w.put(w.image(), "z")
		w.days(90)
		p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
		gone := false
		c := w.between(func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, string(a)) && (r.Method == at || r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, at))
		}, func() {
			w.send("DELETE", "/v2/apps/web/manifests/"+string(a), "", nil)
			gone = true
		})
		result := w.apply(c, p, nil)
		w.demand(outcome{stays: []digest.Digest{last}, goes: []digest.Digest{a, b}, tags: []string{"z"}})
		if r := result.Repositories[0]; !gone || r.State != retention.Done || len(r.Skipped) > 0 {
			t.Errorf("%s: %v %s", at, gone, mustJSON(t, r))
		}
	}
}

// acr-520: an image that lost its tag and has one again is not an untagged one, whenever it was given the tag.
func TestAccidentTaggedAgain(t *testing.T) {
	t.Parallel()
	for _, planned := range []bool{false, true} {
		w := newWorld(t)
		image := w.put(w.image(), "a")
		w.put(w.image(), "a")
		last := w.put(w.image(), "z")
		w.days(90)
		r := rulesOf(t, `"delete":[`+untagged+`]`)
		if !planned {
			w.tag(repository, "again", image)
			w.clean(r, nil)
		} else {
			p := w.plan(r)
			w.tag(repository, "again", image)
			w.apply(w.client(), p, nil)
		}
		w.demand(outcome{stays: []digest.Digest{image, last}, tags: []string{"a", "again", "z"}})
	}
}

// gitlab-377417: what is newest by its creation need not be newest by its last push.
func TestAccidentOrder(t *testing.T) {
	t.Parallel()
	for order, kept := range map[string]string{"updated": "a", "created": "b"} {
		w := newWorld(t)
		images := map[string]digest.Digest{"a": w.put(w.image(), "a")}
		w.days(1)
		images["b"] = w.put(w.image(), "b")
		w.days(1)
		w.tag(repository, "a", images["a"])
		w.days(90)
		w.clean(rules(t, `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"limits":{"percent":100,"leaveTags":-1},
			"keep":[{"name":"k","tags":{"glob":["*"]},"newest":1,"order":"`+order+`"}],"delete":[`+oldTags+`]}]}`), nil)
		w.demand(outcome{stays: []digest.Digest{images[kept]}, tags: []string{kept}})
	}
}

// harbor-10555: of 500 tags of the same time none is cut off.
func TestAccidentEqualTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.srv.SeedTags(t, repository, 500)
	w.days(90)
	p := w.plan(rulesOf(t, `"count":"tags","keep":[{"name":"k","tags":{"glob":["*"]},"newest":2}],"delete":[`+oldTags+`]`))
	if r := p.Repositories[0]; r.Tags.Delete != 0 || r.Tags.Total != 500 {
		t.Errorf("%s", mustJSON(t, r.Tags))
	}
}

// acr-cli-480 snok-66: the dry run is the run. What the plan's table and JSON list is deleted, and nothing else is asked for.
func TestAccidentDryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image()), w.put(w.image())
	i := w.put(w.index(a, b), "pr-1")
	w.put(w.referrer("sig", a))
	w.put(w.referrer("sig", i))
	w.put(w.image(), cosign(i, ".sig"))
	w.put(w.image())
	w.put(w.image(), "pr-2", "release")
	w.put(w.image(), "z")
	w.days(90)
	w.srv.Advance(time.Hour) // so that the two plans, a moment apart, state the same ages in days
	r := rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["release","z"]}}],"delete":[`+oldTags+`,`+untagged+`]`)
	p := w.plan(r)
	again := w.plan(r)
	again.Made = p.Made
	if !bytes.Equal(mustJSON(t, p), mustJSON(t, again)) {
		t.Error("the same registry and rules gave another plan")
	}
	var want, along, got []string
	for _, m := range p.Repositories[0].Delete {
		if m.With == "" {
			want = append(want, string(m.Digest))
		} else {
			along = append(along, string(m.Digest)) // the registry deletes it along with its subject
		}
	}
	for _, tag := range p.Repositories[0].Untag {
		want = append(want, tag.Name)
	}
	var table bytes.Buffer
	if err := p.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"pr-1", "pr-2"} {
		if !strings.Contains(table.String(), " "+tag+" ") {
			t.Errorf("%s is not in the table:\n%s", tag, table.String())
		}
	}
	read, err := retention.ReadPlan(bytes.NewReader(mustJSON(t, p)))
	if err != nil {
		t.Fatal(err)
	}
	w.srv.Ledger().Reset()
	w.apply(w.client(), read, &retention.ApplyOptions{Approved: p.ID()})
	for _, request := range w.srv.Ledger().Requests() {
		if request.Method == http.MethodDelete {
			what := request.Path[strings.LastIndexByte(request.Path, '/')+1:]
			if !slices.Contains(along, what) {
				got = append(got, what)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) || len(want) != 6 || len(along) != 2 {
		t.Errorf("deleted %v\nplanned %v\nalong %v", got, want, along)
	}
}

// das-schiff-PR286 insight-PR3023: whenever a build pushes its images by digest and then the index, it keeps them.
func TestAccidentPushUnderWay(t *testing.T) {
	t.Parallel()
	for start, done := 1, false; !done; start += 2 {
		w := newWorld(t, acrtest.WithMemoryNetwork())
		for n := range 3 {
			w.put(w.image(), fmt.Sprintf("old-%d", n))
		}
		w.put(w.image())
		w.put(w.image(), "z")
		w.days(90)
		r := rulesOf(t, `"delete":[{"name":"d","tags":{"glob":["old-*"]},"any":true},{"name":"u","untagged":true,"any":true}]`)
		requests := 0
		var a, b, i digest.Digest
		c := w.before(func(*http.Request) {
			switch requests++; requests {
			case start:
				a, b = w.put(w.image()), w.put(w.image())
			case start + 4:
				i = w.put(w.index(a, b), "new")
			}
		})
		p, err := retention.Make(t.Context(), c, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.apply(c, p, &retention.ApplyOptions{Batch: 2, Concurrency: 1})
		done = i == ""
		if !done {
			s := w.shoot(repository)
			for _, d := range []digest.Digest{a, b, i} {
				if _, there := s.manifests[d]; !there {
					t.Errorf("pushed at request %d: %s was lost", start, d)
				}
			}
		}
	}
}

// regclient-576: Make, Each and Apply select the same.
func TestAccidentSameSelection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"apps/a", "apps/b", "base/a", "other"} {
		w.push(name, "old", w.image())
		w.push(name, "z", w.image())
	}
	w.days(90)
	w.srv.Advance(12 * time.Hour) // no age is near a day's end
	r := rules(t, `{"version":1,"policies":[{"name":"p","repositories":{"glob":["apps/*","base/*"]},"except":{"regexp":["apps/b"]},"limits":{"percent":100},"delete":[`+oldTags+`]}]}`)
	p := w.plan(r)
	n := 0
	for part, err := range retention.Each(t.Context(), w.client(), r, nil) {
		if err != nil || n == len(p.Repositories) || !bytes.Equal(mustJSON(t, part), mustJSON(t, p.Repositories[n])) {
			t.Fatalf("%v %s", err, mustJSON(t, part))
		}
		n++
	}
	w.apply(w.client(), p, nil)
	for name, tags := range map[string]int{"apps/a": 1, "base/a": 1, "apps/b": 2, "other": 2} {
		if got := w.srv.Tags(name); len(got) != tags {
			t.Errorf("%s: %v", name, got)
		}
	}
	if n != 2 {
		t.Errorf("%d repositories", n)
	}
}

// kubernoodles-PR664 cyrusimap-PR105: races between pushes, tags and deletions. These random cases failed once;
// 777750 because an apply that was interrupted between two tags left the second one, which had become part of a circle.
func TestAccidentSeeds(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{48, 53, 835, 1792, 5823, 27684, 31763, 777750} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			newCase(t, seed).run()
		})
	}
}

// WeatherNode-24 mcp-memory-PR1052: a deletion of untagged manifests of any age leaves the images of indexes, which no Grace protects.
func TestAccidentGraceIsNoGraph(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var o outcome
	for n := range 5 {
		a, b := w.put(w.image()), w.put(w.docker(w.image()))
		tag := fmt.Sprintf("v10.%d", n)
		o.stays = append(o.stays, a, b, w.put(w.docker(w.index(a, b)), tag))
		o.tags = append(o.tags, tag)
		w.days(30)
	}
	o.goes = append(o.goes, w.put(w.image()))
	w.srv.Advance(25 * time.Hour)
	w.clean(rulesOf(t, `"delete":[{"name":"u","untagged":true,"any":true}]`), nil)
	w.demand(o)
}
