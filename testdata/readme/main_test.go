package main

import (
	"context"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestDeleteOldTags(t *testing.T) {
	registry := acrtest.New(t)
	registry.SeedImage(t, "samples/app:v1")
	registry.Advance(90 * 24 * time.Hour)

	client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
		ClientOptions: registry.ClientOptions(),
		AllowedHosts:  []string{registry.Host()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := deleteOldTags(t.Context(), client); err != nil { // the code under test
		t.Fatal(err)
	}
	registry.Ledger().AtMost(t, 1, "ListTags")
}

func deleteOldTags(ctx context.Context, client *acr.Client) error {
	limit := time.Now()
	for tag, err := range client.Repository("samples/app").Tags(ctx, nil) {
		if err != nil {
			return err
		}
		if tag.LastUpdateTime.Before(limit) {
			if err := client.Repository("samples/app").Artifact(tag.Name).DeleteTag(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
