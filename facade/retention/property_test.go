package retention_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

var cases = flag.Int("retention.cases", 120, "random cases of TestProperty")

// TestProperty plans, applies and undoes random rules on random registries, beside somebody who changes the registry, and
// compares with the oracle.
func TestProperty(t *testing.T) {
	t.Parallel()
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = 1
	}
	const workers = 4
	var mu sync.Mutex
	total := tally{}
	t.Run("cases", func(t *testing.T) {
		for worker := range workers {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for n := worker; n < *cases && !t.Failed(); n += workers {
					t.Run(fmt.Sprintf("seed=%d", seed+uint64(n)), func(t *testing.T) {
						c := newCase(t, seed+uint64(n))
						c.run()
						mu.Lock()
						defer mu.Unlock()
						total.add(c.tally)
					})
				}
			})
		}
	})
	t.Logf("%d cases, %+v", *cases, total)
	if total.Deleted == 0 || total.Untagged == 0 || total.Actions == 0 || total.Interrupted == 0 || total.Undone == 0 {
		t.Errorf("the cases do not reach everything: %+v", total)
	}
}

// tally counts what the cases reached.
type tally struct{ Deleted, Untagged, Refused, Actions, Skipped, Repaired, Interrupted, Undone int }

func (t *tally) add(o tally) {
	t.Deleted += o.Deleted
	t.Untagged += o.Untagged
	t.Refused += o.Refused
	t.Actions += o.Actions
	t.Skipped += o.Skipped
	t.Repaired += o.Repaired
	t.Interrupted += o.Interrupted
	t.Undone += o.Undone
}

const repository = "apps/web"

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
		k := oracleKeep{letters(), c.IntN(5), time.Duration([]int{0, 0, 20, 50}[c.IntN(4)]) * 24 * time.Hour}
		if k.newest > 0 || k.within > 0 {
			c.keep = append(c.keep, k)
		}
	}
	for range 1 + c.IntN(4) {
		c.oracleRules.delete = append(c.oracleRules.delete, oracleDelete{
			[]string{"tags", "tags", "untagged", "orphans", "types"}[c.IntN(5)], letters(), []string{"x/sig", "x/sbom", "x/scan"}[c.IntN(3)],
			time.Duration([]int{0, 10, 30, 60}[c.IntN(4)]) * 24 * time.Hour,
		})
	}
	c.grace = time.Duration([]int{0, 0, 5, 20}[c.IntN(4)]) * 24 * time.Hour
	c.leave = c.IntN(3)
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
	tags := func(letters string) *retention.Patterns {
		return &retention.Patterns{Regexp: []string{"[" + letters + "].*"}}
	}
	for i, k := range o.keep {
		p.Keep = append(p.Keep, retention.Keep{
			Name: fmt.Sprintf("k%d", i), Select: retention.Select{Tags: tags(k.letters)}, Newest: k.newest, Within: retention.Age(k.within),
		})
	}
	for i, d := range o.delete {
		r := retention.Delete{Name: fmt.Sprintf("d%d", i), OlderThan: retention.Age(d.older), Any: d.older == 0}
		switch d.what {
		case "tags":
			r.Tags = tags(d.letters)
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

// gone returns what a plan deletes: manifests, and tags that are deleted alone.
func gone(p *retention.Plan) (manifests []digest.Digest, untag []string) {
	for _, r := range p.Repositories {
		for _, m := range r.Delete {
			manifests = append(manifests, m.Digest)
		}
		for _, t := range r.Untag {
			untag = append(untag, t.Name)
		}
	}
	slices.Sort(manifests)
	slices.Sort(untag)
	return manifests, untag
}

// run tries everything with one case.
func (c *propertyCase) run() {
	before := c.shoot(repository)
	plan := c.make(&c.oracleRules)
	judge := &oracle{before, c.made, c.oracleRules, plan.Made}
	deletes, untags := judge.verdict()
	manifests, tags := gone(plan)
	if diff := cmp.Diff(deletes, manifests); diff != "" {
		c.t.Fatalf("manifests (-oracle +plan):\n%s", diff)
	}
	if diff := cmp.Diff(untags, tags); diff != "" {
		c.t.Fatalf("tags (-oracle +plan):\n%s", diff)
	}
	c.Deleted += len(manifests)
	c.Untagged += len(tags)
	c.samePlanAgain(plan)
	c.keepingMoreDeletesLess(manifests, tags)
	switch c.IntN(3) {
	case 0:
		c.undisturbed(judge, plan)
	case 1:
		c.interrupted(judge, plan)
	default:
		c.disturbed(judge, plan)
	}
}

func (c *propertyCase) samePlanAgain(plan *retention.Plan) {
	again := c.make(&c.oracleRules)
	same := again.Made.Equal(plan.Made) // a second may have passed
	for i, r := range again.Repositories {
		if r.Name != plan.Repositories[i].Name {
			c.t.Fatal("another order of repositories")
		}
	}
	if a, b := mustJSON(c.t, plan), mustJSON(c.t, again); same && !bytes.Equal(a, b) {
		c.t.Fatalf("a second plan differs:\n%s", cmp.Diff(string(a), string(b)))
	}
	read, err := retention.ReadPlan(bytes.NewReader(mustJSON(c.t, plan)))
	if err != nil || read.ID() != plan.ID() {
		c.t.Fatalf("the plan that was written and read has another ID: %v", err)
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keepingMoreDeletesLess adds one more protection, and demands that nothing else is deleted.
func (c *propertyCase) keepingMoreDeletesLess(manifests []digest.Digest, tags []string) {
	more := c.oracleRules
	switch c.IntN(4) {
	case 0:
		more.keep = append(slices.Clone(more.keep), oracleKeep{"abcd", 1 + c.IntN(3), 0})
	case 1:
		more.grace += 20 * 24 * time.Hour
	case 2:
		more.leave++
	default:
		more.used = map[string]bool{string(c.any()): true, c.randomTag(): true}
		for v := range c.used {
			more.used[v] = true
		}
	}
	fewer, _ := gone(c.make(&more))
	for _, d := range fewer {
		if !slices.Contains(manifests, d) {
			c.t.Fatalf("%s is deleted because more is kept", d)
		}
	}
}

func (c *propertyCase) apply(ctx context.Context, plan *retention.Plan, journal *bytes.Buffer, concurrency int) (*retention.Result, error) {
	return retention.Apply(ctx, c.via, plan, &retention.ApplyOptions{
		Journal: journal, InUse: c.inUse(), Batch: 1 + c.IntN(5), Concurrency: concurrency, MaxChanged: 1000,
	})
}

// undisturbed applies the plan, and demands that exactly it is done, that a second plan deletes nothing, and that Undo puts
// everything back.
func (c *propertyCase) undisturbed(judge *oracle, plan *retention.Plan) {
	var journal bytes.Buffer
	result, err := c.apply(c.t.Context(), plan, &journal, 1+c.IntN(8))
	if err != nil {
		c.t.Fatal(err)
	}
	c.demandDone(judge, plan, result)
	if m, tags := gone(c.make(&c.oracleRules)); len(m)+len(tags) > 0 && judge.now.Equal(plan.Made) {
		c.t.Fatalf("a second plan deletes %v %v", m, tags)
	}
	undone, err := retention.Undo(c.t.Context(), c.via, &journal, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range undone.Repositories {
		c.Undone += r.Restored
	}
	c.demandSame(judge.shot, c.shoot(repository))
}

// demandDone demands that what is left is what was there without what the plan deletes.
func (c *propertyCase) demandDone(judge *oracle, plan *retention.Plan, result *retention.Result) {
	c.t.Helper()
	want := shot{map[digest.Digest]shotManifest{}, map[string]shotTag{}}
	manifests, tags := gone(plan)
	for d, m := range judge.manifests {
		if !slices.Contains(manifests, d) {
			want.manifests[d] = m
		}
	}
	for name, t := range judge.tags {
		if _, stays := want.manifests[t.digest]; stays && !slices.Contains(tags, name) {
			want.tags[name] = t
		}
	}
	c.demandSame(want, c.shoot(repository))
	for _, r := range result.Repositories {
		if r.State != retention.Done || len(r.Skipped)+len(r.Repaired) > 0 {
			c.t.Fatalf("%s", mustJSON(c.t, r))
		}
	}
}

// demandSame compares two states, times left out.
func (c *propertyCase) demandSame(want, got shot) {
	c.t.Helper()
	manifests := func(s shot) map[digest.Digest]shotAttributes {
		m := map[digest.Digest]shotAttributes{}
		for d, v := range s.manifests {
			m[d] = v.attributes
		}
		return m
	}
	tags := func(s shot) map[string]shotTag {
		m := map[string]shotTag{}
		for name, v := range s.tags {
			v.updated = time.Time{}
			m[name] = v
		}
		return m
	}
	if diff := cmp.Diff(manifests(want), manifests(got)); diff != "" {
		c.t.Fatalf("manifests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tags(want), tags(got), cmp.AllowUnexported(shotTag{})); diff != "" {
		c.t.Fatalf("tags (-want +got):\n%s", diff)
	}
}

// interrupted ends an apply at some request, looks whether all that is left is whole, and applies the plan again.
func (c *propertyCase) interrupted(judge *oracle, plan *retention.Plan) {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	left := c.IntN(60)
	c.boundary = func(*http.Request) {
		if left--; left < 0 {
			cancel()
		}
	}
	var journal bytes.Buffer
	_, err := c.apply(ctx, plan, &journal, 1+c.IntN(4))
	c.boundary = nil
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			c.t.Fatal(err)
		}
		c.Interrupted++
	}
	c.demandWhole(judge, c.shoot(repository))
	result, err := c.apply(c.t.Context(), plan, &journal, 1)
	if err != nil {
		c.t.Fatal(err)
	}
	c.demandDone(judge, plan, result)
	if _, err := retention.Undo(c.t.Context(), c.via, &journal, nil); err != nil {
		c.t.Fatal(err)
	}
	c.demandSame(judge.shot, c.shoot(repository))
}

// demandWhole demands that every manifest that is left has all parts that it had, and that what stays has its referrers.
func (c *propertyCase) demandWhole(judge *oracle, now shot) {
	c.t.Helper()
	stays := judge.stays()
	for d := range now.manifests {
		for _, need := range judge.made[d].needs() {
			if _, there := now.manifests[need]; judge.exists(need) && !there {
				c.t.Fatalf("%s is left without its part %s", d, need)
			}
		}
		if !stays[string(d)] {
			continue
		}
		for _, need := range judge.needs(d) {
			_, tag := now.tags[need]
			if _, there := now.manifests[digest.Digest(need)]; !there && !tag {
				c.t.Fatalf("%s stays without %s", d, need)
			}
		}
	}
}
