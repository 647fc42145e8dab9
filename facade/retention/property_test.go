package retention_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

var cases = flag.Int("retention.cases", acrsuite.UnderRace(12, 120), "random cases of TestProperty")

// TestProperty plans, applies and undoes random rules on random registries, beside somebody who changes the registry, and
// compares with the oracle.
func TestProperty(t *testing.T) {
	t.Parallel()
	seed := acrsuite.SeedOr(t, 0)
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
	if *cases >= 100 && (total.Deleted == 0 || total.Refused == 0 || total.Untagged == 0 || total.Actions == 0 || total.Interrupted == 0 || total.Undone == 0) {
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
	if refused := plan.Repositories[0].Refused != nil; refused != judge.isRefused() {
		c.t.Fatalf("refused: %v, by the oracle: %v", refused, judge.isRefused())
	} else if refused {
		c.leftAlone(judge, plan)
		return
	}
	c.keepingMoreDeletesLess(judge, manifests, tags)
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

// leftAlone demands that nothing is written to a repository that is refused.
func (c *propertyCase) leftAlone(judge *oracle, plan *retention.Plan) {
	c.Refused++
	c.boundary = func(r *http.Request) {
		if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/oauth2/") {
			c.t.Errorf("%s %s, in a repository that is refused", r.Method, r.URL.Path)
		}
	}
	defer func() { c.boundary = nil }()
	if _, err := c.apply(c.t.Context(), plan, &bytes.Buffer{}, 1); err != nil {
		c.t.Fatal(err)
	}
	c.demandSame(judge.shot, c.shoot(repository))
}

// keepingMoreDeletesLess adds one more protection, and demands that nothing else is deleted. A tag that was deleted with its
// manifest may be deleted alone.
func (c *propertyCase) keepingMoreDeletesLess(judge *oracle, manifests []digest.Digest, tags []string) {
	more := c.oracleRules
	switch c.IntN(4) {
	case 0:
		more.keep = append(slices.Clone(more.keep), oracleKeep{letters: "abcd", newest: 1 + c.IntN(3), grouped: c.IntN(2) == 0})
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
	fewer, untag := gone(c.make(&more))
	for _, d := range fewer {
		if !slices.Contains(manifests, d) {
			c.t.Fatalf("%s is deleted because more is kept", d)
		}
	}
	for _, name := range untag {
		if !slices.Contains(tags, name) && !slices.Contains(manifests, judge.tags[name].digest) {
			c.t.Fatalf("the tag %s is deleted because more is kept", name)
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
	twoSteps := slices.ContainsFunc(c.oracleRules.delete, func(d oracleDelete) bool { return d.what == "untag" })
	if m, tags := gone(c.make(&c.oracleRules)); len(m)+len(tags) > 0 && !twoSteps {
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
func (w *world) demandSame(want, got shot) {
	w.t.Helper()
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
			v.created, v.updated = time.Time{}, time.Time{}
			m[name] = v
		}
		return m
	}
	if diff := cmp.Diff(manifests(want), manifests(got)); diff != "" {
		w.t.Fatalf("manifests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tags(want), tags(got), cmp.AllowUnexported(shotTag{})); diff != "" {
		w.t.Fatalf("tags (-want +got):\n%s", diff)
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
	isGone := func(d digest.Digest) bool { _, there := now.manifests[d]; return !there }
	for d := range now.manifests {
		if slices.ContainsFunc(judge.owners(d), isGone) { // it is for nothing any more, and nothing else leads to it
			continue
		}
		for _, need := range judge.made[d].needs() {
			if _, there := now.manifests[need]; judge.exists(need) && !there {
				c.t.Fatalf("%s is left without its part %s", d, need)
			}
		}
		if !stays[string(d)] {
			c.demandReferrers(judge, now, d)
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

// demandReferrers demands that a manifest which is still to be deleted has all of its referrers and cosign tags: if the apply is
// never finished, it is an image like any other.
func (c *propertyCase) demandReferrers(judge *oracle, now shot, d digest.Digest) {
	c.t.Helper()
	for r := range judge.manifests {
		if _, there := now.manifests[r]; !there && judge.made[r].subject == d && !judge.mayLose(r) {
			c.t.Fatalf("%s is left without its referrer %s", d, r)
		}
	}
	for name, t := range judge.tags {
		if _, there := now.tags[name]; !there && judge.belongs(name) == d && t.digest != d {
			c.t.Fatalf("%s is left without its tag %s", d, name)
		}
	}
}
