package retention_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// propertyCase is one random registry with rules.
type propertyCase struct {
	*world
	*rand.Rand
	tally
	oracleRules
	via      *acr.Client
	boundary func(*http.Request) // before each request of the client
	after    func(*http.Request) // after each
	order    []digest.Digest     // as pushed
	mu       sync.Mutex
}

func newCase(t *testing.T, seed uint64) *propertyCase {
	t.Helper()
	c := &propertyCase{world: newWorld(t, acrtest.WithMemoryNetwork()), Rand: rand.New(rand.NewPCG(seed, 17))}
	c.via = newClientVia(t, c.srv, hooked{c})
	c.fill()
	c.pickRules()
	return c
}

// hooked lets the test act between the requests of the client.
type hooked struct{ c *propertyCase }

func (h hooked) Do(r *http.Request) (*http.Response, error) {
	if h.c.boundary != nil {
		h.c.mu.Lock() // one request at a time, so that the case can be repeated
		defer h.c.mu.Unlock()
		h.c.boundary(r)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp, err := h.c.http.Do(r)
	if h.c.after != nil {
		h.c.after(r)
	}
	return resp, err
}

// any returns one of the manifests that were pushed, some of which do not exist any more.
func (c *propertyCase) any() digest.Digest { return c.order[c.IntN(len(c.order))] }

func (c *propertyCase) some(most int) (some []digest.Digest) {
	for range c.IntN(most + 1) {
		if d := c.any(); !slices.Contains(some, d) {
			some = append(some, d)
		}
	}
	return some
}

// randomManifest makes a manifest of any kind.
func (c *propertyCase) randomManifest() *manifest {
	if len(c.order) == 0 {
		return c.image()
	}
	subject := c.any()
	if c.IntN(8) == 0 {
		subject = c.unique()
	}
	switch c.IntN(12) {
	case 0, 1, 2:
		if c.IntN(3) == 0 {
			return c.docker(c.index(c.some(3)...))
		}
		return c.index(c.some(3)...)
	case 3:
		return c.index(append(c.some(2), c.unique())...) // one image does not exist
	case 4, 5, 6:
		return c.referrer([]string{"x/sig", "x/sbom", "x/scan"}[c.IntN(3)], subject)
	case 7:
		return c.image(c.any()) // names a manifest as a layer
	case 8:
		if c.IntN(3) == 0 {
			return c.unknown(c.some(2)...)
		}
		return c.indexOn(subject, c.some(2)...)
	default:
		if c.IntN(3) == 0 {
			return c.docker(c.image())
		}
		return c.image()
	}
}

// fill pushes manifests and tags over some months.
func (c *propertyCase) fill() {
	most, pause := 18, 8
	if c.IntN(4) == 0 {
		most, pause = 40, 4
	}
	for range 1 + c.IntN(most) {
		c.add(c.randomManifest())
		c.days(c.IntN(pause))
	}
	for range c.IntN(14) {
		c.tag(repository, c.randomTag(), c.any())
		c.days(c.IntN(8))
	}
	for range c.IntN(4) {
		of := c.any()
		if c.IntN(4) == 0 {
			of = c.unique()
		}
		c.tag(repository, cosign(of, []string{"", ".sig", ".att", ".sbom"}[c.IntN(4)]), c.any())
	}
	if c.IntN(5) == 0 {
		c.referrersTag(c.any())
	}
	c.days(c.IntN(80))
	c.srv.Advance(12 * time.Hour) // no age is near a limit
	s := c.shoot(repository)
	for name := range s.tags {
		if digest.FromString(name)[8]%19 == 0 {
			c.patch(repository, name, locked)
		}
	}
	for d := range s.manifests {
		if d[8]%16 == '0'%16 && d[9]%2 == 0 {
			c.patch(repository, string(d), `{"writeEnabled":false}`)
		}
	}
	c.hinder(s)
}

// referrersTag puts an index of the referrers of a manifest under the tag that clients read where a registry has no referrers API.
func (c *propertyCase) referrersTag(of digest.Digest) {
	var referrers []digest.Digest
	for _, d := range c.order {
		if c.made[d].subject == of {
			referrers = append(referrers, d)
		}
	}
	d := c.add(c.index(referrers...))
	c.tag(repository, cosign(of, ""), d)
}

// hinder makes it impossible to read all of some repositories: those are refused as a whole.
func (c *propertyCase) hinder(s shot) {
	manifests, tags := slices.Sorted(maps.Keys(s.manifests)), slices.Sorted(maps.Keys(s.tags))
	d := manifests[c.IntN(len(manifests))]
	switch c.IntN(24) {
	case 0:
		c.patch(repository, string(d), `{"listEnabled":false}`)
	case 1:
		if len(tags) > 0 {
			c.patch(repository, tags[c.IntN(len(tags))], `{"listEnabled":false}`)
		}
	case 2:
		if status, answer := c.send("PATCH", "/acr/v1/"+repository, "application/json", []byte(`{"writeEnabled":false}`)); status != http.StatusOK {
			c.t.Fatalf("%d %s", status, answer)
		}
		c.refused = true
	case 3:
		c.patch(repository, string(d), `{"readEnabled":false}`)
	case 4, 5:
		c.patch(repository, string(d), `{"quarantineState":"Quarantined"}`)
	}
}

func (c *propertyCase) add(m *manifest) digest.Digest {
	d := c.push(repository, "", m)
	c.order = append(c.order, d)
	return d
}

func (c *propertyCase) randomTag() string {
	return string("abcd"[c.IntN(4)]) + strconv.Itoa(c.IntN(20))
}

// pickRules picks rules for the oracle.
func (c *propertyCase) pickRules() {
	letters := func() string { return []string{"a", "b", "c", "d", "abcd", "ab", "cd"}[c.IntN(7)] }
	for range c.IntN(4) {
		k := oracleKeep{letters: letters(), newest: c.IntN(5), within: time.Duration([]int{0, 0, 20, 50}[c.IntN(4)]) * 24 * time.Hour}
		k.created, k.grouped = k.newest > 0 && c.IntN(3) == 0, k.newest > 0 && c.IntN(3) == 0
		if k.newest > 0 || k.within > 0 {
			c.keep = append(c.keep, k)
		}
	}
	for range 1 + c.IntN(4) {
		c.oracleRules.delete = append(c.oracleRules.delete, oracleDelete{
			[]string{"tags", "tags", "untagged", "orphans", "types", "untag"}[c.IntN(6)], letters(), []string{"x/sig", "x/sbom", "x/scan"}[c.IntN(3)],
			time.Duration([]int{0, 10, 30, 60}[c.IntN(4)]) * 24 * time.Hour,
		})
	}
	c.grace = time.Duration([]int{0, 0, 5, 20}[c.IntN(4)]) * 24 * time.Hour
	c.leave = c.IntN(3)
	c.countTags = c.IntN(4) == 0
	c.used = map[string]bool{}
	for range c.IntN(3) {
		if c.IntN(2) == 0 {
			c.used[string(c.any())] = true
		} else {
			c.used[c.randomTag()] = true
		}
	}
}

// packageRules are the oracle's rules for the package under test.
func (o *oracleRules) packageRules() *retention.Rules {
	p := retention.Policy{
		Name: "p", Repositories: retention.Patterns{Glob: []string{"**"}}, Grace: retention.Age(o.grace), NoGrace: o.grace == 0,
		Limits: retention.Limits{Percent: 100, LeaveTags: o.leave},
	}
	if o.leave == 0 {
		p.Limits.LeaveTags = -1
	}
	if o.countTags {
		p.Count = retention.Tags
	}
	tags := func(letters string) *retention.Patterns {
		return &retention.Patterns{Regexp: []string{"[" + letters + "].*"}}
	}
	for i, k := range o.keep {
		r := retention.Keep{Name: fmt.Sprintf("k%d", i), Select: retention.Select{Tags: tags(k.letters)}, Newest: k.newest, Within: retention.Age(k.within)}
		if k.created {
			r.Order = retention.ByCreated
		}
		if k.grouped {
			r.Tags = &retention.Patterns{Regexp: []string{"([" + k.letters + "]).*"}}
		}
		p.Keep = append(p.Keep, r)
	}
	for i, d := range o.delete {
		r := retention.Delete{Name: fmt.Sprintf("d%d", i), OlderThan: retention.Age(d.older), Any: d.older == 0}
		switch d.what {
		case "tags", "untag":
			r.Tags = tags(d.letters)
			r.UntagOnly = d.what == "untag"
		case "untagged":
			r.Untagged = true
		case "orphans":
			r.Orphans = true
		case "types":
			r.ArtifactTypes = []string{d.types}
		}
		p.Delete = append(p.Delete, r)
	}
	return &retention.Rules{Version: 1, Policies: []retention.Policy{p}}
}

// inUse is the oracle's references in use for the package under test.
func (o *oracleRules) inUse() []retention.InUse {
	references := []string{"other/image:v1"} // a source that names nothing is refused
	for v := range o.used {
		separator := ":"
		if strings.Contains(v, ":") {
			separator = "@"
		}
		references = append(references, repository+separator+v)
	}
	return []retention.InUse{retention.InUseList(references...)}
}

func (c *propertyCase) make(o *oracleRules) *retention.Plan {
	c.t.Helper()
	p, err := retention.Make(c.t.Context(), c.via, o.packageRules(), &retention.PlanOptions{InUse: o.inUse()})
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}
