package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestRetention(t *testing.T) {
	registry := acrtest.New(t)
	registry.SeedImage(t, "shop/web:release")
	registry.SeedImage(t, "shop/web:build-1")
	registry.Advance(90 * 24 * time.Hour)
	registry.SeedImage(t, "shop/web:build-2")

	client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
		ClientOptions: registry.ClientOptions(), AllowedHosts: []string{registry.Host()},
	})
	if err != nil {
		t.Fatal(err)
	}
	monthAgo := registry.Now().AddDate(0, 0, -30)
	if err := retain(t.Context(), client.Repository("shop/web"), monthAgo); err != nil {
		t.Fatal(err)
	}

	if got := registry.Tags("shop/web"); !slices.Equal(got, []string{"build-2", "release"}) {
		t.Errorf("left: %v", got)
	}
	registry.Ledger().AtMost(t, 1, "DeleteManifest")
}

// retain deletes manifests that were last updated before limit and are not tagged "release".
func retain(ctx context.Context, r *acr.Repository, limit time.Time) error {
	for m, err := range r.Manifests(ctx, nil) {
		if err != nil {
			return err
		}
		if m.LastUpdateTime.After(limit) || slices.Contains(m.Tags, "release") {
			continue
		}
		if err := r.DeleteManifest(ctx, m.Digest); err != nil {
			return err
		}
	}
	return nil
}
