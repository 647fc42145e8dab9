package acr_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// registryOf starts a registry of so many repositories with an image each.
func registryOf(t *testing.T, repositories int, opts ...acrtest.Option) (*acrtest.Server, []string) {
	t.Helper()
	srv := acrsuite.NewServer(t, opts...)
	names := make([]string, repositories)
	for i := range names {
		names[i] = fmt.Sprintf("count/r%02d", i)
		srv.SeedImage(t, names[i]+":v1")
	}
	return srv, names
}

// inParallel calls do for each number below n from so many goroutines.
func inParallel(t *testing.T, workers, n int, do func(i int) error) {
	t.Helper()
	numbers := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	all.Wait()
}

// spent demands what a job may cost: so many requests in all, of which so many for tokens and exchanges; and not one that was refused.
func spent(t *testing.T, srv *acrtest.Server, requests, tokens, exchanges int) {
	t.Helper()
	l := srv.Ledger()
	l.AtMost(t, requests+tokens+exchanges)
	l.AtMost(t, tokens, "GetAccessToken", "GetAccessTokenWithBasic")
	l.AtMost(t, exchanges, "ExchangeEntraToken")
	l.None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
}

// TestCostOfReads counts at the registry what sign-in adds to the requests themselves.
func TestCostOfReads(t *testing.T) {
	t.Parallel()
	t.Run("200 reads over 8 repositories by 8 goroutines", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 8)
		client := acrsuite.NewClient(t, srv)
		inParallel(t, 8, 200, func(i int) error {
			_, err := client.Repository(names[i%len(names)]).GetManifest(t.Context(), "v1")
			return err
		})
		spent(t, srv, 200, 8, 1)
	})
	t.Run("1,000 property reads over 50 repositories", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 50)
		readProperties(t, acrsuite.NewClient(t, srv), names)
		spent(t, srv, 1000, 50, 1)
	})
	t.Run("1,000 property reads with a registry-wide token", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 50)
		readProperties(t, acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) { o.RegistryWideToken = true }), names)
		spent(t, srv, 1000, 1, 1)
	})
	t.Run("1,000 property reads with a registry-wide token that an ABAC registry does not give", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 50, acrtest.WithABAC())
		readProperties(t, acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) { o.RegistryWideToken = true }), names)
		spent(t, srv, 1000, 50, 1)
	})
	t.Run("50 cold calls at once", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 1)
		client := acrsuite.NewClient(t, srv)
		inParallel(t, 50, 50, func(int) error {
			_, err := client.Repository(names[0]).HeadManifest(t.Context(), "v1")
			return err
		})
		spent(t, srv, 50, 1, 1)
	})
	t.Run("a cold HEAD", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 1)
		if _, err := acrsuite.NewClient(t, srv).Repository(names[0]).HeadManifest(t.Context(), "v1"); err != nil {
			t.Error(err)
		}
		srv.Ledger().AtMost(t, 3)
	})
	t.Run("a cold HEAD by password, and anonymous", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 1)
		user, password := srv.Admin()
		byPassword, err := acr.NewClientWithPassword(srv.Endpoint(), user, password, acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(byPassword.CloseIdleConnections)
		for _, client := range []*acr.Client{byPassword, acrsuite.NewAnonymousClient(t, srv)} {
			srv.Ledger().Reset()
			if _, err := client.Repository(names[0]).HeadManifest(t.Context(), "v1"); err != nil {
				t.Error(err)
			}
			spent(t, srv, 1, 1, 0)
		}
	})
	t.Run("every call of the table on one repository", func(t *testing.T) {
		t.Parallel()
		// Each action is a scope of its own, a delete includes none of the others: no call is refused first.
		w := acrsuite.NewWorld(t)
		w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
			f.MustWork(f.Run())
			f.AtMost(1, "ExchangeEntraToken")
			tokens := 2
			if f.Call.Method == "Artifact.Delete" { // resolves the tag, asks about referrers, deletes
				tokens = 3
			}
			f.AtMost(tokens, "GetAccessToken")
			f.Srv.Ledger().None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
		})
	})
}

// readProperties reads the properties of the repositories a thousand times, from a hundred goroutines.
func readProperties(t *testing.T, client *acr.Client, names []string) {
	t.Helper()
	inParallel(t, 100, 1000, func(i int) error {
		p, err := client.Repository(names[i%len(names)]).Properties(context.WithoutCancel(t.Context()))
		if err == nil && p.Name != names[i%len(names)] {
			err = fmt.Errorf("properties of %s", p.Name)
		}
		return err
	})
}
