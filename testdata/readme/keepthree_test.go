package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

func TestKeepThree(t *testing.T) {
	registry := acrtest.New(t)
	for _, seed := range []func(){
		func() { registry.SeedImage(t, "apps/web:v1") },
		func() { registry.SeedIndex(t, "apps/web:v2", "amd64", "arm64") },
		func() { registry.SeedImage(t, "apps/web:v3") },
		func() { registry.SeedImage(t, "apps/web:v4") },
	} {
		seed()
		registry.Advance(30 * 24 * time.Hour)
	}
	client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
		ClientOptions: registry.ClientOptions(), AllowedHosts: []string{registry.Host()},
	})
	if err != nil {
		t.Fatal(err)
	}
	journal, err := os.Create(filepath.Join(t.TempDir(), "deleted.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	if err := keepThree(t.Context(), client, journal); err != nil {
		t.Fatal(err)
	}
	if got := registry.Tags("apps/web"); !slices.Equal(got, []string{"v2", "v3", "v4"}) {
		t.Errorf("left: %v", got)
	}
	registry.Ledger().AtMost(t, 1, "DeleteManifest") // the images of the index are still there
}

// keepThree keeps the three newest images of each repository, everything that was pushed in the last week, and what these need.
func keepThree(ctx context.Context, client *acr.Client, journal *os.File) error {
	plan, err := retention.Make(ctx, client, retention.KeepNewest(3, retention.Week, "apps/**"), nil)
	if err != nil {
		return err
	}
	result, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: journal})
	if err == nil && !result.Complete() {
		err = errors.New("something was left; the result says what and why")
	}
	return err
}
