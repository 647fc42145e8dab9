package main

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

func TestRetention(t *testing.T) {
	registry := acrtest.New(t)
	registry.SeedIndex(t, "shop/web:release", "amd64", "arm64")
	registry.SeedImage(t, "shop/web:build-1")
	registry.Advance(90 * 24 * time.Hour)
	registry.SeedImage(t, "shop/web:build-2")

	client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
		ClientOptions: registry.ClientOptions(), AllowedHosts: []string{registry.Host()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := clean(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if got := registry.Tags("shop/web"); !slices.Equal(got, []string{"build-2", "release"}) {
		t.Errorf("left: %v", got)
	}
	registry.Ledger().AtMost(t, 1, "DeleteManifest") // the images of the index are still there
}

// clean deletes tags that are older than thirty days, except "release", and what only they need.
func clean(ctx context.Context, client *acr.Client) error {
	rules, err := retention.ParseRules([]byte(`{"version": 1, "policies": [{
		"name": "builds", "repositories": {"glob": ["shop/*"]},
		"keep":   [{"name": "releases", "tags": {"glob": ["release"]}}],
		"delete": [{"name": "old", "tags": {"glob": ["*"]}, "olderThan": "30d"}]}]}`))
	if err != nil {
		return err
	}
	plan, err := retention.Make(ctx, client, rules, nil)
	if err != nil {
		return err
	}
	var journal bytes.Buffer // a file, in a real job
	_, err = retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: &journal})
	return err
}
