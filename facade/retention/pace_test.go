package retention_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

var (
	readAtPace    = flag.Int("retention.manifests", acrsuite.UnderRace(1_500, 3_000), "manifests that TestPace plans")
	deletedAtPace = flag.Int("retention.deletions", 600, "manifests that TestPace deletes")
)

// TestPace plans and cleans a large registry within its budgets: it refuses nothing, and at least nine tenths of what it permits
// are used, by one process with all of the budget or by two of one identity with half of it each.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sku            acrtest.SKU
		reads, deletes float64 // permitted in a minute
	}{{acrtest.Basic, 5000, 500}, {acrtest.Premium, 10_000, 2000}}[acrsuite.UnderRace(1, 0):] {
		for processes := acrsuite.UnderRace(2, 1); processes <= 2; processes++ {
			t.Run(fmt.Sprintf("%s/%d", row.sku, processes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPaced(t, row.sku, processes)
					_, took := p.plan("apps/a", *readAtPace)
					p.demandPace("reading", *readAtPace, row.reads, took)
					plans, _ := p.plan("apps/b", *deletedAtPace)
					p.demandPace("deleting", *deletedAtPace, row.deletes, p.apply(plans))
					if n := p.refused.Load(); n > 0 {
						t.Errorf("%d requests were refused", n)
					}
				})
			})
		}
	}
}

// paced is a registry that enforces its budgets, and processes of one identity.
type paced struct {
	t         *testing.T
	srv       *acrtest.Server
	processes []*acr.Client
	refused   atomic.Int64
}

func newPaced(t *testing.T, sku acrtest.SKU, processes int) *paced {
	t.Helper()
	p := &paced{t: t, srv: acrtest.New(t, acrtest.WithMemoryNetwork(), acrtest.WithSKU(sku), acrtest.WithLimits(), acrtest.WithLedgerSize(1000))}
	for range processes {
		g, err := acr.NewGovernor(&acr.GovernorOptions{Share: 0.95 / float64(processes)})
		if err != nil {
			t.Fatal(err)
		}
		o := &acr.ClientOptions{ClientOptions: p.srv.ClientOptions(), AllowedHosts: []string{p.srv.Host()}, Governor: g}
		o.Transport = counting{p.srv.HTTPClient(), &p.refused}
		c, err := acr.NewClient(p.srv.Endpoint(), p.srv.Credential(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		p.processes = append(p.processes, c)
	}
	return p
}

type counting struct {
	*http.Client
	refused *atomic.Int64
}

func (c counting) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.Client.Do(r)
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		c.refused.Add(1)
	}
	return resp, err
}

// together runs the processes, each with its number, and returns how long they took.
func (p *paced) together(do func(n int, c *acr.Client)) time.Duration {
	start := time.Now()
	var wait sync.WaitGroup
	for n, c := range p.processes {
		wait.Go(func() { do(n, c) })
	}
	wait.Wait()
	return time.Since(start)
}

// demandPace demands that nearly all of a budget was used.
func (p *paced) demandPace(what string, n int, permitted float64, took time.Duration) {
	p.t.Helper()
	rate := float64(n) / took.Minutes()
	p.t.Logf("%s %d: %.0f a minute, %.1f %%", what, n, rate, 100*rate/permitted)
	if rate < 0.9*permitted || rate > permitted {
		p.t.Errorf("%s %d: %.0f a minute, and %.0f are permitted", what, n, rate, permitted)
	}
}

// plan shares n manifests among the processes, a repository for each, and plans their deletion.
func (p *paced) plan(prefix string, n int) (plans []*retention.Plan, took time.Duration) {
	p.t.Helper()
	each := n / len(p.processes)
	for i := range p.processes {
		p.srv.SeedManifests(p.t, fmt.Sprint(prefix, i), each)
		p.srv.SeedImage(p.t, fmt.Sprint(prefix, i, ":z"))
	}
	p.srv.Advance(90 * 24 * time.Hour)
	plans = make([]*retention.Plan, len(p.processes))
	return plans, p.together(func(i int, c *acr.Client) { plans[i] = p.make(c, fmt.Sprint(prefix, i), each) })
}

// make plans one repository, of which all but one manifest are deleted.
func (p *paced) make(c *acr.Client, repository string, deletes int) *retention.Plan {
	plan, err := retention.Make(p.t.Context(), c, rulesOf(p.t, `"delete":[`+untagged+`]`), &retention.PlanOptions{Repositories: []string{repository}})
	if err != nil {
		p.t.Error(err)
		return nil
	}
	if r := plan.Repositories[0]; len(r.Delete) != deletes {
		p.t.Errorf("%s", mustJSON(p.t, r.Refused))
	}
	return plan
}

// apply applies the plans, and returns how long the deletions alone take.
func (p *paced) apply(plans []*retention.Plan) (took time.Duration) {
	p.t.Helper()
	var first sync.Once
	var began time.Time
	p.together(func(i int, c *acr.Client) {
		var journal bytes.Buffer
		result, err := retention.Apply(p.t.Context(), c, plans[i], &retention.ApplyOptions{Journal: &journal, Progress: func(p retention.Progress) {
			if p.Phase == "delete" {
				first.Do(func() { began = time.Now() })
			}
		}})
		if err != nil || result.Repositories[0].Deleted != len(plans[i].Repositories[0].Delete) {
			p.t.Errorf("%v %s", err, mustJSON(p.t, result))
		}
	})
	return time.Since(began)
}
