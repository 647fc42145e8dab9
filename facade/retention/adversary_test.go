package retention_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// A plan file that somebody has edited is refused: it says its own ID.
func TestReadPlanRefusesEditedPlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.oldAndLast()
	document := string(mustJSON(t, w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))))
	for name, edit := range map[string][2]string{
		"the age in its rules": {`"olderThan":"30d"`, `"olderThan":"1d"`},
		"when it was made":     {`"made":"20`, `"made":"21`},
		"its size":             {`"manifests":{"total":2`, `"manifests":{"total":3`},
		"its ID":               {`"id":"sha256:`, `"id":"sha256:0`},
		"no ID":                {`"id":"`, `"registry":"`},
		"a control character":  {`"name":"apps/web"`, `"name":"apps/web\u001b[2J"`},
	} {
		edited := strings.Replace(document, edit[0], edit[1], 1)
		if edited == document {
			t.Errorf("%s: %s is not in %s", name, edit[0], document)
		}
		if _, err := retention.ReadPlan(strings.NewReader(edited)); !errors.Is(err, retention.ErrPlan) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A plan that was made with sources of what is in use is not applied without them.
func TestApplyNeedsTheSourcesOfThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, last := w.oldAndLast()
	used := retention.InUseList("apps/web:z")
	c := w.client()
	p, err := retention.Make(t.Context(), c, rulesOf(t, `"delete":[`+oldTags+`]`), &retention.PlanOptions{InUse: []retention.InUse{used, used}})
	if err != nil {
		t.Fatal(err)
	}
	for _, sources := range [][]retention.InUse{nil, {used}} {
		_, err := retention.Apply(t.Context(), c, p, &retention.ApplyOptions{Journal: &bytes.Buffer{}, InUse: sources})
		if !errors.Is(err, retention.ErrInUse) {
			t.Errorf("%d sources: %v", len(sources), err)
		}
	}
	w.srv.Ledger().AtMost(t, 0, "DeleteManifest")
	w.apply(c, p, &retention.ApplyOptions{InUse: []retention.InUse{used, used}})
	w.demand(outcome{stays: []digest.Digest{last}, goes: []digest.Digest{old}, tags: []string{"z"}})
}

// A journal that was cut anywhere, by a kill in the middle of a write, and continued by the next run, can be undone.
func TestUndoOfACutJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.put(w.image())
	w.put(w.index(a), "a")
	w.put(w.image(), "z")
	w.days(90)
	c := w.client()
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	var first, second bytes.Buffer
	w.apply(c, p, &retention.ApplyOptions{Journal: &first})
	w.put(w.image(), "b")
	w.days(90)
	w.put(w.image(), "y")
	w.apply(c, w.plan(rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["z"]}}],"delete":[`+oldTags+`]`)), &retention.ApplyOptions{Journal: &second})
	cuts := []int{0, 1, 2}
	for at := 0; at < first.Len(); {
		end := at + bytes.IndexByte(first.Bytes()[at:], '\n') + 1
		cuts = append(cuts, at+1, (at+end)/2, end-1, end) // of each line the beginning, the middle and the end
		at = end
	}
	intents := 0
	for _, n := range cuts {
		journal := append(bytes.Clone(first.Bytes()[:n]), second.Bytes()...)
		result, err := retention.Undo(t.Context(), c, bytes.NewReader(journal), &retention.UndoOptions{DryRun: true})
		if err != nil {
			t.Fatalf("cut at %d: %v\n%s", n, err, journal)
		}
		for _, r := range result.Repositories {
			intents = max(intents, r.Restored)
		}
	}
	if intents != 5 { // three manifests and two tags
		t.Errorf("%d are put back", intents)
	}
}

// A journal that does not begin with its registry is refused, and so is one with a line that is damaged.
func TestUndoRefusesDamagedJournals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.oldAndLast()
	c := w.client()
	var journal bytes.Buffer
	w.apply(c, w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)), &retention.ApplyOptions{Journal: &journal})
	lines := bytes.SplitAfter(bytes.TrimLeft(journal.Bytes(), "\n"), []byte("\n"))
	before := w.shoot(repository)
	for name, bad := range map[string][][]byte{
		"no head":        lines[1:],
		"head later":     {lines[1], lines[0], lines[2]},
		"damaged":        {lines[0], lines[1][1:], lines[2]},
		"other manifest": {lines[0], bytes.Replace(lines[1], []byte(`"manifest":"e`), []byte(`"manifest":"f`), 1)},
		"other registry": {bytes.Replace(lines[0], []byte("https://"), []byte("https://x"), 1), lines[1]},
	} {
		if _, err := retention.Undo(t.Context(), c, bytes.NewReader(bytes.Join(bad, nil)), nil); !errors.Is(err, retention.ErrJournal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.demandSame(before, w.shoot(repository))
	swapped := [][]byte{lines[0], lines[2], lines[1]}
	if _, err := retention.Undo(t.Context(), c, bytes.NewReader(bytes.Join(swapped, nil)), nil); err != nil {
		t.Errorf("outcome before intent: %v", err)
	}
	w.demand(outcome{tags: []string{"a", "z"}})
}

// Two applies of the same plan at once do what one does, and no more.
func TestTwoApplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var o outcome
	for n := range 12 {
		a, b := w.put(w.image()), w.put(w.image())
		i := w.put(w.index(a, b), fmt.Sprintf("v%d", n))
		sig := w.put(w.referrer("sig", a))
		o.goes = append(o.goes, a, b, i, sig)
	}
	o.stays, o.tags = append(o.stays, w.put(w.image(), "z")), []string{"z"}
	w.days(90)
	before := w.shoot(repository)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	var journals [2]bytes.Buffer
	var wait sync.WaitGroup
	for i := range journals {
		c := w.client()
		wait.Go(func() {
			if _, err := retention.Apply(t.Context(), c, p, &retention.ApplyOptions{Journal: &journals[i], Batch: 3 + i}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	w.demand(o)
	for i := range journals {
		if _, err := retention.Undo(t.Context(), w.client(), &journals[i], nil); err != nil {
			t.Error(err)
		}
	}
	w.demandSame(before, w.shoot(repository))
}

// What becomes visible only after the look behind a batch, as with replicas that lag, is still healed.
func TestHealOfWhatIsSeenLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.put(w.image(), "a")
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	looks := 0
	var pushed digest.Digest
	c := w.between(func(r *http.Request) bool {
		if strings.Contains(r.URL.RawQuery, "timedesc") {
			looks++
		}
		return looks == 3 // before the batch, behind it, and before the next one
	}, func() { pushed = w.put(w.index(a), "new") })
	result := w.apply(c, p, nil)
	w.demand(outcome{stays: []digest.Digest{a, pushed}, tags: []string{"new", "z"}})
	if r := result.Repositories[0]; len(r.Repaired) != 1 || r.Deleted != 0 {
		t.Errorf("%s", mustJSON(t, r))
	}
}

// The deletion of many tags takes long: they are judged again meanwhile.
func TestUntagJudgesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, acrtest.WithMemoryNetwork())
		image := w.put(w.image(), "keep", "old-1", "old-2", "old-3", "old-4")
		w.days(1)
		newer := w.put(w.image(), "old-5")
		w.days(90)
		p := w.plan(rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["old-*"]},"newest":1}],"delete":[{"name":"d","tags":{"glob":["old-*"]},"olderThan":"1d"}]`))
		if len(p.Repositories[0].Untag) != 4 {
			t.Fatalf("%s", mustJSON(t, p))
		}
		deleted := 0
		c := w.before(func(r *http.Request) {
			if r.Method != http.MethodDelete {
				return
			}
			if deleted++; deleted == 2 {
				w.send("DELETE", "/v2/apps/web/manifests/"+string(newer), "", nil) // the others are the newest now
				time.Sleep(11 * time.Minute)
			}
		})
		w.apply(c, p, nil)
		if s := w.shoot(repository); len(s.tags) != 3 || s.tags["keep"].digest != image {
			t.Errorf("%+v", s.tags)
		}
	})
}

// Something whose age the registry does not tell may be young: it stays.
func TestUnknownTimesStay(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{
		`"delete":[{"name":"d","tags":{"glob":["*"]},"any":true},{"name":"u","untagged":true,"any":true}]`,
		`"noGrace":true,"keep":[{"name":"k","tags":{"glob":["*"]},"within":"10d"},{"name":"l","untagged":true,"within":"10d"}],"delete":[{"name":"d","tags":{"glob":["*"]},"any":true},{"name":"u","untagged":true,"any":true}]`,
		`"noGrace":true,"keep":[{"name":"k","tags":{"glob":["*"]},"newest":1},{"name":"l","untagged":true,"newest":1}],"delete":[{"name":"d","tags":{"glob":["*"]},"any":true},{"name":"u","untagged":true,"any":true}]`,
	} {
		for _, zero := range []string{`0001-01-01T00:00:00Z`, ``} {
			w := newWorld(t)
			w.put(w.image(), "a")
			w.put(w.image())
			w.put(w.image())
			w.days(90)
			w.put(w.image(), "z")
			w.put(w.image())
			w.days(90)
			c := newClientVia(t, w.srv, rewriting{w.http, func(_, body string) string {
				var out strings.Builder
				for rest := body; ; {
					at := strings.Index(rest, `Time":"20`)
					if at < 0 {
						out.WriteString(rest)
						return out.String()
					}
					end := at + len(`Time":"`)
					out.WriteString(rest[:end] + zero)
					rest = rest[end+strings.IndexByte(rest[end:], '"'):]
				}
			}})
			p, err := retention.Make(t.Context(), c, rulesOf(t, rules), nil)
			if err != nil {
				continue // refused as a whole
			}
			if m, tags := gone(p); len(m)+len(tags) > 0 {
				t.Errorf("time %q, %s: %v %v", zero, rules, m, tags)
			}
		}
	}
}

// A list that answers 404 though the repository exists ends in nothing being deleted.
func TestListsThatAreNotFound(t *testing.T) {
	t.Parallel()
	for _, fault := range []func(w *world){
		func(w *world) { w.srv.On("ListTags").Always().Status(http.StatusNotFound) },
		func(w *world) { w.srv.On("ListManifests").Always().Status(http.StatusNotFound) },
	} {
		w := newWorld(t)
		old, last := w.oldAndLast()
		p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
		fault(w)
		w.apply(newClientVia(t, w.srv, w.http), p, nil)
		w.srv.ClearFaults()
		w.demand(outcome{stays: []digest.Digest{old, last}, tags: []string{"a", "z"}})
	}
}

// A repository that was deleted and made anew with the same images is another one.
func TestRepositoryMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, untaggedImage := w.image(), w.image()
	old := w.put(m, "a")
	u := w.put(untaggedImage)
	last := w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"noGrace":true,"delete":[{"name":"d","tags":{"glob":["*"]},"any":true},{"name":"u","untagged":true,"any":true}]`))
	w.send("DELETE", "/acr/v1/apps/web", "", nil)
	for _, d := range []digest.Digest{old, u, last} {
		w.push(repository, "", w.made[d])
	}
	w.tag(repository, "a", old)
	w.tag(repository, "z", last)
	w.apply(w.client(), p, nil)
	w.demand(outcome{stays: []digest.Digest{old, u, last}, tags: []string{"a", "z"}})
}

// Rules that say null, or that can match no name at all, were meant to protect something.
func TestRulesThatProtectNothing(t *testing.T) {
	t.Parallel()
	const rest = `"delete":[{"name":"d","untagged":true,"any":true}]`
	for name, document := range map[string]string{
		"null keep":            `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"keep":null,` + rest + `}]}`,
		"null exceptions":      `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"delete":[{"name":"d","tags":{"glob":["*"]},"exceptTags":null,"any":true}]}]}`,
		"a limit of nothing":   `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"limits":{"percent":0},` + rest + `}]}`,
		"newest of nothing":    `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"keep":[{"name":"k","tags":{"glob":["v*"]},"newest":0}],` + rest + `}]}`,
		"null limits":          `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"limits":null,` + rest + `}]}`,
		"no exceptions":        `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"except":{},` + rest + `}]}`,
		"empty exceptions":     `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"except":{"glob":[]},` + rest + `}]}`,
		"an image as a tag":    `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"keep":[{"name":"k","tags":{"glob":["apps/web:latest"]}}],` + rest + `}]}`,
		"a list with a comma":  `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"keep":[{"name":"k","tags":{"glob":["latest,stable"]}}],` + rest + `}]}`,
		"a digest as a tag":    `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"keep":[{"name":"k","tags":{"glob":["sha256:12*"]}}],` + rest + `}]}`,
		"a repository and tag": `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"except":{"glob":["apps/web:*"]},` + rest + `}]}`,
		"regexp of an image":   `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"keep":[{"name":"k","tags":{"regexp":["apps/web:v.*"]}}],` + rest + `}]}`,
		"regexp with a blank":  `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"keep":[{"name":"k","tags":{"regexp":["(latest|stable) "]}}],` + rest + `}]}`,
		"regexp of a digest":   `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"keep":[{"name":"k","tags":{"regexp":["v1","(a@|b:)[0-9]+"]}}],` + rest + `}]}`,
		"regexp of capitals":   `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"except":{"regexp":["[A-Z]+/x{0,2}"]},` + rest + `}]}`,
		"upper case":           `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"except":{"glob":["Apps/*"]},` + rest + `}]}`,
		"deep nesting":         strings.Repeat("[", 1<<20),
		"deep rules":           `{"version":1,"policies":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	} {
		if _, err := retention.ParseRules([]byte(document)); !errors.Is(err, retention.ErrRules) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t)
	for _, list := range []string{"repositories", "except"} {
		r := rules(t, `{"version":1,"policies":[{"name":"p","repositories":{"glob":["apps/*"]},"except":{"glob":["x"]},`+rest+`}]}`)
		if list == "except" {
			r.Policies[0].Except.Glob = []string{"registry.example.com/apps/*"}
		} else {
			r.Policies[0].Repositories.Glob = []string{"apps/*", "registry.example.com/apps/*"}
		}
		if _, err := retention.Make(t.Context(), w.client(), r, nil); err != nil {
			t.Errorf("a repository may have a name like a host: %v", err)
		}
	}
}

// A rule with a moment in the future protects nothing, or spares nothing: somebody mistook the year.
func TestMomentsInTheFuture(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, _ := w.oldAndLast()
	for _, years := range []int{-30, 1} {
		at := w.srv.Now().AddDate(years, 0, 0).UTC().Format(time.RFC3339)
		for _, members := range []string{
			`"keep":[{"name":"k","tags":{"glob":["*"]},"since":"` + at + `"}],"delete":[` + oldTags + `]`,
			`"delete":[{"name":"d","tags":{"glob":["*"]},"before":"` + at + `"}]`,
		} {
			_, err := retention.Make(t.Context(), w.client(), rulesOf(t, members), nil)
			if errors.Is(err, retention.ErrRules) != (years > 0) {
				t.Errorf("%s: %v", members, err)
			}
		}
	}
	w.demand(outcome{stays: []digest.Digest{old}, tags: []string{"a", "z"}})
}

// A pattern that names the registry itself matches no repository, so an exception of this kind protects nothing.
func TestPatternsWithTheRegistry(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t, acrtest.WithLoginServer("myregistry.azurecr.io"))
	c := newClient(t, srv)
	for _, members := range []string{`"repositories":{"glob":["myregistry.azurecr.io/apps/*"]}`, `"repositories":{"glob":["**"]},"except":{"glob":["x","myregistry.azurecr.io/apps/*"]}`,
		`"repositories":{"glob":["**"]},"except":{"regexp":["^myregistry\\.azurecr\\.io/apps/.*"]}`} {
		r := rules(t, `{"version":1,"policies":[{"name":"p",`+members+`,"delete":[{"name":"d","untagged":true,"any":true}]}]}`)
		if _, err := retention.Make(t.Context(), c, r, nil); !errors.Is(err, retention.ErrRules) {
			t.Errorf("%s: %v", members, err)
		}
	}
}

// What is in use may be written in upper case, or name the registry by one of its regional endpoints.
func TestInUseByOtherNames(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t, acrtest.WithoutBlobCheck(), acrtest.WithLoginServer("myregistry.azurecr.io"))
	w := &world{t: t, srv: srv, http: srv.HTTPClient(), made: map[digest.Digest]*manifest{}}
	a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
	goes := w.put(w.image(), "c")
	w.put(w.image(), "z")
	w.days(90)
	c := newClient(t, srv)
	text := retention.InUseText(c, opener("image: myregistry.westeurope.geo.azurecr.io/apps/web:b\nimage: other.westeurope.geo.azurecr.io/apps/web:c"))
	opts := &retention.PlanOptions{InUse: []retention.InUse{retention.InUseList("MyRegistry.azurecr.io/Apps/Web:a", "myregistry.azurecr.io.evil.example/apps/web:c"), text}}
	p, err := retention.Make(t.Context(), c, rulesOf(t, `"delete":[`+oldTags+`]`), opts)
	if err != nil {
		t.Fatal(err)
	}
	w.apply(c, p, &retention.ApplyOptions{InUse: opts.InUse})
	w.demand(outcome{stays: []digest.Digest{a, b}, goes: []digest.Digest{goes}, tags: []string{"a", "b", "z"}})
}

// A repository that is judged several times after its last deletion is not compared with the whole plan again.
func TestUntagJudgesAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, acrtest.WithMemoryNetwork())
		var images []digest.Digest
		for n := range 12 {
			images = append(images, w.put(w.image(), fmt.Sprintf("x-%d", n)))
		}
		w.put(w.image(), "x-goes")
		w.put(w.image(), "keep", "old-1", "old-2", "old-3", "old-4")
		w.put(w.image(), "z")
		w.days(90)
		p := w.plan(rulesOf(t, `"delete":[{"name":"x","tags":{"glob":["x-*"]},"olderThan":"1d"},{"name":"d","tags":{"glob":["old-*"]},"olderThan":"1d","untagOnly":true}]`))
		looked := false
		c := w.before(func(r *http.Request) {
			switch {
			case !looked && strings.Contains(r.URL.RawQuery, "timedesc"):
				looked = true
				for _, d := range images {
					w.patch(repository, string(d), locked)
				}
			case r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "old-"):
				time.Sleep(11 * time.Minute)
			}
		})
		r := w.apply(c, p, &retention.ApplyOptions{Concurrency: 1}).Repositories[0]
		if r.State != retention.Done || len(r.Skipped) != 12 || r.Untagged != 4 {
			t.Errorf("%s", mustJSON(t, r))
		}
	})
}
