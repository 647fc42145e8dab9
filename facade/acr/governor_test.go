package acr_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

func governor(t testing.TB, opts *acr.GovernorOptions) *acr.Governor {
	t.Helper()
	g, err := acr.NewGovernor(opts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func governed(g *acr.Governor) acrsuite.Option {
	return func(o *acr.ClientOptions) { o.Governor = g }
}

// deleteAll deletes the manifests by a number of goroutines.
func deleteAll(t *testing.T, repo *acr.Repository, digests []digest.Digest, goroutines int) {
	t.Helper()
	work := make(chan digest.Digest)
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			for d := range work {
				if err := repo.DeleteManifest(t.Context(), d); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, d := range digests {
		work <- d
	}
	close(work)
	wait.Wait()
}

func refusals(srv *acrtest.Server) (n int) {
	for _, r := range srv.Ledger().Requests() {
		if r.Status == http.StatusTooManyRequests {
			n++
		}
	}
	return n
}

// A registry that enforces its budgets refuses nothing, and most of the budget is used.
func TestGovernorKeepsWithinTheBudget(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sku     acrtest.SKU
		deletes int
		limit   float64
	}{{acrtest.Basic, 1200, 500}, {acrtest.Premium, acrsuite.UnderRace(2500, 4000), 2000}} {
		t.Run(string(row.sku), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork(), acrtest.WithSKU(row.sku), acrtest.WithLimits())
				digests := srv.SeedManifests(t, "samples/app", row.deletes)
				g := governor(t, nil)
				client := acrsuite.NewClientVia(t, srv, srv.HTTPClient(), governed(g))
				start := time.Now()
				deleteAll(t, client.Repository("samples/app"), digests, 16)
				if n := refusals(srv); n > 0 {
					t.Errorf("%d requests were refused", n)
				}
				if use := float64(row.deletes) / time.Since(start).Minutes() / row.limit; use < 0.9 || use > 1 {
					t.Errorf("%.2f of the budget was used", use)
				}
				u := g.Usage(srv.Host())
				if u[acr.BudgetDelete].Requests != int64(row.deletes) || u[acr.BudgetSignIn].Requests < 2 || u[acr.BudgetDelete].PerMinute != int(0.95*row.limit) {
					t.Errorf("%+v", u)
				}
			})
		})
	}
}

// Two processes with one identity take half of the budget each.
func TestGovernorsShareABudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork(), acrtest.WithLimits())
		digests := srv.SeedManifests(t, "samples/app", 1200)
		start := time.Now()
		var wait sync.WaitGroup
		for _, half := range [][]digest.Digest{digests[:600], digests[600:]} {
			client := acrsuite.NewClientVia(t, srv, srv.HTTPClient(), governed(governor(t, &acr.GovernorOptions{Share: 0.475})))
			wait.Go(func() { deleteAll(t, client.Repository("samples/app"), half, 8) })
		}
		wait.Wait()
		if n := refusals(srv); n > 0 {
			t.Errorf("%d requests were refused", n)
		}
		if use := 1200 / time.Since(start).Minutes() / 500; use < 0.9 {
			t.Errorf("%.2f of the budget was used", use)
		}
	})
}

// Beside somebody who spends half of the budget without a governor few requests are refused, and all succeed.
func TestGovernorBesideANeighbor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork(), acrtest.WithLimits())
		digests := srv.SeedManifests(t, "samples/app", 3000)
		mine := acrsuite.NewClientVia(t, srv, srv.HTTPClient(), governed(governor(t, nil)))
		theirs := acrsuite.NewClientVia(t, srv, srv.HTTPClient())
		var wait sync.WaitGroup
		wait.Go(func() {
			for _, d := range digests[:1000] {
				_ = theirs.Repository("samples/app").DeleteManifest(t.Context(), d)
				time.Sleep(240 * time.Millisecond)
			}
		})
		wait.Go(func() { deleteAll(t, mine.Repository("samples/app"), digests[1000:], 16) })
		wait.Wait()
		if n := refusals(srv); n == 0 || n > 150 {
			t.Errorf("%d of 3000 requests were refused", n)
		}
	})
}

// The first refusal makes every request of the budget wait, and not only the one that was refused.
func TestGovernorPausesForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		digests := srv.SeedManifests(t, "samples/app", 41)
		client := acrsuite.NewClient(t, srv, governed(governor(t, nil)))
		repo := client.Repository("samples/app")
		if err := repo.DeleteManifest(t.Context(), digests[40]); err != nil {
			t.Fatal(err)
		}
		srv.On("DeleteManifest").Status(http.StatusTooManyRequests, 20*time.Second)
		start := time.Now()
		deleteAll(t, repo, digests[:40], 4)
		if n := refusals(srv); n != 1 {
			t.Errorf("%d requests were refused", n)
		}
		early := 0
		for _, r := range srv.Ledger().Requests("DeleteManifest") {
			if d := r.Time.Sub(start); d > time.Second && d < 20*time.Second {
				early++
			}
		}
		if early > 0 || time.Since(start) < 20*time.Second {
			t.Errorf("%d requests during the pause; all was done in %v", early, time.Since(start))
		}
	})
}

// The wait for a turn does not count against the time limit of a try, but it ends with the caller's context.
func TestGovernorWaitsOutsideOfTheTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		digests := srv.SeedManifests(t, "samples/app", 4)
		client := acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) {
			o.Retry.TryTimeout = 5 * time.Second
			o.Governor = governor(t, &acr.GovernorOptions{PerMinute: map[acr.Budget]int{acr.BudgetDelete: 2}})
		})
		repo := client.Repository("samples/app")
		start := time.Now()
		for _, d := range digests[:2] {
			if err := repo.DeleteManifest(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 30*time.Second {
			t.Errorf("two deletions in %v at a pace of two a minute", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start = time.Now()
		err := repo.DeleteManifest(ctx, digests[2])
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 0 || !strings.Contains(err.Error(), `"delete"`) {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := repo.DeleteManifest(ctx, digests[3]); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		srv.Ledger().AtMost(t, 2, "DeleteManifest")
	})
}

// A list of referrers counts against both of its budgets, a sign-in against its own.
func TestGovernorBudgets(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	d := srv.SeedImage(t, "samples/app:v1")
	g := governor(t, &acr.GovernorOptions{Concurrency: 1})
	repo := acrsuite.NewClient(t, srv, governed(g)).Repository("samples/app")
	if _, err := acr.Collect(repo.Referrers(t.Context(), d, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Tag(t.Context(), "v1", "v2", nil); err != nil {
		t.Fatal(err)
	}
	u := g.Usage(srv.Host())
	for b, want := range map[acr.Budget]int64{acr.BudgetReferrers: 1, acr.BudgetRead: 2, acr.BudgetWrite: 1, acr.BudgetDelete: 0} {
		if u[b].Requests != want {
			t.Errorf("%s: %d requests, want %d", b, u[b].Requests, want)
		}
	}
	if n := u[acr.BudgetSignIn].Requests; n < 2 || int(n) != srv.Ledger().Count("ExchangeEntraToken", "GetAccessToken") {
		t.Errorf("%d sign-ins", n)
	}
}

// Other azcore clients have a Governor among their policies.
func TestGovernorAsPolicy(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t, acrtest.WithAdmin("admin", "pass"))
	g := governor(t, nil)
	pipeline := runtime.NewPipeline("test", "v1", runtime.PipelineOptions{PerRetry: []policy.Policy{g}}, &policy.ClientOptions{Transport: srv.HTTPClient()})
	req, err := runtime.NewRequest(t.Context(), http.MethodGet, srv.Endpoint()+"/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := pipeline.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if n := g.Usage(srv.Host())[acr.BudgetRead].Requests; n != 1 {
		t.Errorf("%d requests", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pipeline.Do(req.WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestGovernorOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []acr.GovernorOptions{
		{Tier: "Gold"}, {Share: -0.1}, {Share: 1.01}, {Share: math.NaN()}, {Concurrency: -1}, {BytesPerSecond: -1}, {BytesPerSecond: 1023},
		{PerMinute: map[acr.Budget]int{"reads": 1}}, {PerMinute: map[acr.Budget]int{acr.BudgetRead: 0}},
	} {
		if g, err := acr.NewGovernor(&o); !errors.Is(err, acr.ErrInvalidArgument) || g != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// An upload and a download share the bytes per second, and use nearly all of them.
func TestGovernorLimitsBytes(t *testing.T) {
	t.Parallel()
	const perSecond, size = 1 << 20, 10 << 20
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		content := make([]byte, size)
		stored := srv.SeedBlob(t, "samples/app", content)
		client := acrsuite.NewClient(t, srv, governed(governor(t, &acr.GovernorOptions{BytesPerSecond: perSecond})))
		repository := client.Repository("samples/app")
		ctx, usage := acr.WithUsage(t.Context())
		began := time.Now()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := repository.DownloadBlob(ctx, stored, nowhere{}, nil); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			if _, err := repository.UploadBlob(ctx, bytes.NewReader(content[1:]), nil); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		u := usage()
		moved := u.BytesSent + u.BytesReceived
		if rate := float64(moved) / time.Since(began).Seconds(); moved < 2*size-1 || rate < 0.95*perSecond || rate > 1.05*perSecond {
			t.Errorf("%d bytes, %.0f a second: %+v", moved, rate, u)
		}
		if moved > 2*size+1<<20 || u.Retries > 0 {
			t.Errorf("the limit made the transfers repeat something: %+v", u)
		}
	})
}

// Transfers share the bytes per second evenly. A small read is served between them, and one that is canceled returns at once.
func TestGovernorSharesBytes(t *testing.T) {
	t.Parallel()
	const perSecond, size = 64 << 10, 256 << 10
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		srv.SeedImage(t, "samples/app:v1")
		stored := srv.SeedBlob(t, "samples/app", make([]byte, size))
		repository := acrsuite.NewClient(t, srv, governed(governor(t, &acr.GovernorOptions{BytesPerSecond: perSecond}))).Repository("samples/app")
		began := time.Now()
		var group sync.WaitGroup
		ended := make([]time.Duration, 4)
		for i := range ended {
			group.Go(func() {
				var err error
				if i%2 == 0 {
					_, err = repository.DownloadBlob(t.Context(), stored, nowhere{}, &acr.DownloadOptions{Concurrency: 1})
				} else {
					_, err = repository.UploadBlob(t.Context(), bytes.NewReader(make([]byte, size+i)), nil)
				}
				if ended[i] = time.Since(began); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(2 * time.Second)
		asked := time.Now()
		if _, err := repository.GetManifest(t.Context(), "v1"); err != nil || time.Since(asked) > time.Second {
			t.Errorf("a manifest after %v: %v", time.Since(asked), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		asked = time.Now()
		if _, err := repository.DownloadBlob(ctx, stored, nowhere{}, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(asked) > time.Second {
			t.Errorf("a canceled download after %v: %v", time.Since(asked), err)
		}
		group.Wait()
		for _, d := range ended {
			if d < 14*time.Second || d > 18*time.Second { // 1 MiB in all, and what was canceled
				t.Errorf("ended after %v", ended)
			}
		}
	})
}

// The least limit that there is, far below a buffer, makes nothing fail.
func TestGovernorLeastBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		srv.SeedManifests(t, "samples/app", 300)
		stored := srv.SeedBlob(t, "samples/app", make([]byte, 200_000))
		wide := func(o *acr.ClientOptions) { o.RegistryWideToken = true }
		repository := acrsuite.NewClient(t, srv, wide, governed(governor(t, &acr.GovernorOptions{BytesPerSecond: 1024}))).Repository("samples/app")
		signIn := time.Now()
		if _, err := repository.Properties(t.Context()); err != nil || time.Since(signIn) > 2*time.Second {
			t.Fatalf("a sign-in of some kilobytes, which the limit does not delay, took %v: %v", time.Since(signIn), err)
		}
		for name, call := range map[string]func(ctx context.Context) error{
			"list": func(ctx context.Context) error {
				_, err := acr.Collect(repository.Manifests(ctx, nil))
				return err
			},
			"download": func(ctx context.Context) error {
				_, err := repository.DownloadBlob(ctx, stored, nowhere{}, &acr.DownloadOptions{PartSize: 10_000})
				return err
			},
			"upload": func(ctx context.Context) error {
				_, err := repository.UploadBlob(ctx, bytes.NewReader(make([]byte, 100_000)), nil)
				return err
			},
		} {
			ctx, usage := acr.WithUsage(t.Context())
			began := time.Now()
			err := call(ctx)
			took, u := time.Since(began).Seconds(), usage()
			if moved := float64(u.BytesSent + u.BytesReceived); err != nil || u.Retries > 0 || moved/took > 1.05*1024 || moved/took < 0.9*1024 {
				t.Errorf("%s: %v, %.0f bytes in %.0f seconds, %+v", name, err, moved, took, u)
			}
		}
	})
}

// nowhere takes bytes at any offset.
type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
