package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestDeleteOldTags(t *testing.T) {
	registry := acrtest.New(t)
	registry.SeedImage(t, "samples/app:old")
	registry.Advance(90 * 24 * time.Hour)
	registry.SeedImage(t, "samples/app:new")

	client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
		ClientOptions: registry.ClientOptions(),
		AllowedHosts:  []string{registry.Host()},
	})
	if err != nil {
		t.Fatal(err)
	}
	monthAgo := registry.Now().AddDate(0, -1, 0)
	if err := deleteOldTags(t.Context(), client, monthAgo); err != nil { // the code under test
		t.Fatal(err)
	}

	if got := registry.Tags("samples/app"); !slices.Equal(got, []string{"new"}) {
		t.Errorf("left: %v", got)
	}
	registry.Ledger().AtMost(t, 1, "ListTags")
}

func deleteOldTags(ctx context.Context, client *acr.Client, limit time.Time) error {
	repository := client.Repository("samples/app")
	for tag, err := range repository.Tags(ctx, nil) {
		if err != nil {
			return err
		}
		if tag.LastUpdateTime.Before(limit) {
			if err := repository.Artifact(tag.Name).DeleteTag(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestDeleteIfThere(t *testing.T) {
	registry := acrtest.New(t)
	registry.SeedImage(t, "samples/app:v1")
	client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
		ClientOptions: registry.ClientOptions(), AllowedHosts: []string{registry.Host()},
	})
	if err != nil {
		t.Fatal(err)
	}
	repository := client.Repository("samples/app")
	if err := deleteIfThere(t.Context(), repository, "v9"); err != nil {
		t.Error(err)
	}
	if _, err := repository.Artifact("v1").UpdateTagAttributes(t.Context(), acr.ChangeableAttributes{WriteEnabled: new(false)}); err != nil {
		t.Fatal(err)
	}
	if err := deleteIfThere(t.Context(), repository, "v1"); !errors.Is(err, acr.ErrLocked) {
		t.Errorf("got %v", err)
	}
}

func deleteIfThere(ctx context.Context, repository *acr.Repository, tag string) error {
	err := repository.Artifact(tag).DeleteTag(ctx)
	switch {
	case errors.Is(err, acr.ErrNotFound):
		return nil // gone already
	case errors.Is(err, acr.ErrLocked):
		return fmt.Errorf("unlock %s first: %w", tag, err)
	}
	return err
}
