package retention_test

import (
	"bytes"
	"flag"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

var (
	planned = flag.Int("retention.manifests", 3_000, "manifests that TestPace plans")
	removed = flag.Int("retention.deletions", 600, "manifests that TestPace deletes")
)

// A large repository is planned and cleaned within the registry's budgets: it refuses nothing, and at least nine tenths of what
// it permits are used.
func TestPace(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	for _, row := range []struct {
		sku            acrtest.SKU
		reads, deletes float64 // permitted in a minute
	}{{acrtest.Basic, 5000, 500}, {acrtest.Premium, 10_000, 2000}} {
		t.Run(string(row.sku), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := acrtest.New(t, acrtest.WithMemoryNetwork(), acrtest.WithSKU(row.sku), acrtest.WithLimits(), acrtest.WithLedgerSize(1000))
				srv.SeedManifests(t, repository, *planned)
				srv.SeedImage(t, repository+":z")
				srv.Advance(90 * 24 * time.Hour)
				var refused atomic.Int64
				c := governedClient(t, srv, &refused)
				rate, live := planAtPace(t, c)
				if rate < 0.9*row.reads || rate > row.reads {
					t.Errorf("%.0f manifests a minute were read, and %.0f are permitted", rate, row.reads)
				}
				if live > 64<<20 {
					t.Errorf("the plan holds %d bytes", live)
				}
				deleted := deleteAtPace(t, srv, c)
				if deleted < 0.9*row.deletes || deleted > row.deletes {
					t.Errorf("%.0f manifests a minute were deleted, and %.0f are permitted", deleted, row.deletes)
				}
				if refused.Load() > 0 {
					t.Errorf("%d requests were refused", refused.Load())
				}
				t.Logf("%d manifests: %.0f read a minute, %.1f MB; %d deleted, %.0f a minute; %d refused", *planned, rate, float64(live)/(1<<20), *removed, deleted, refused.Load())
			})
		})
	}
}

// governedClient is a client with a Governor, which counts the requests that the registry refuses.
func governedClient(t *testing.T, srv *acrtest.Server, refused *atomic.Int64) *acr.Client {
	t.Helper()
	g, err := acr.NewGovernor(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}, Governor: g}
	o.Transport = counting{srv.HTTPClient(), refused}
	c, err := acr.NewClient(srv.Endpoint(), srv.Credential(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
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

// planAtPace returns how many manifests were read a minute, and what the plan holds in memory at its largest.
func planAtPace(t *testing.T, c *acr.Client) (rate float64, live int64) {
	t.Helper()
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	start := time.Now()
	p, err := retention.Make(t.Context(), c, rulesOf(t, `"delete":[`+untagged+`]`), &retention.PlanOptions{Progress: func(p retention.Progress) {
		if p.Done == p.Of {
			live = heap() - before
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	rate = float64(*planned) / time.Since(start).Minutes()
	live = max(live, heap()-before)
	if r := p.Repositories[0]; len(r.Delete) != *planned {
		t.Errorf("%s", mustJSON(t, r.Refused))
	}
	return rate, live
}

// deleteAtPace returns how many manifests were deleted a minute.
func deleteAtPace(t *testing.T, srv *acrtest.Server, c *acr.Client) (rate float64) {
	t.Helper()
	srv.SeedManifests(t, "apps/other", *removed)
	srv.SeedImage(t, "apps/other:z")
	srv.Advance(90 * 24 * time.Hour)
	p, err := retention.Make(t.Context(), c, rulesOf(t, `"delete":[`+untagged+`]`), &retention.PlanOptions{Repositories: []string{"apps/other"}})
	if err != nil {
		t.Fatal(err)
	}
	var journal bytes.Buffer
	began := time.Time{}
	result, err := retention.Apply(t.Context(), c, p, &retention.ApplyOptions{Journal: &journal, Progress: func(p retention.Progress) {
		if p.Phase == "delete" && began.IsZero() {
			began = time.Now()
		}
	}})
	if err != nil || result.Repositories[0].Deleted != *removed {
		t.Fatalf("%v %s", err, mustJSON(t, result))
	}
	return float64(*removed) / time.Since(began).Minutes()
}
