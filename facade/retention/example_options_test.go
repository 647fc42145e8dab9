package retention_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/acrkit/acrkit/facade/retention"
)

// Plan one repository of those that the rules name, with the bytes that it would free.
func ExamplePlanOptions() {
	_, client, done := exampleRegistry()
	defer done()

	phases := map[string]bool{}
	plan, err := retention.Make(context.Background(), client, retention.KeepNewest(3, retention.Week, "**"), &retention.PlanOptions{
		Repositories: []string{"apps/web"},
		Sizes:        true,
		Progress:     func(p retention.Progress) { phases[p.Phase] = true }, // never called twice at the same time
	})
	if err != nil {
		log.Fatal(err)
	}
	size := plan.Repositories[0].Bytes
	fmt.Println(len(plan.Repositories), size.Freed > 0, size.Freed+size.Shared < size.Total, phases["read"])
	// Output: 1 true true true
}

// Apply a plan with the same sources of references as the plan was made with, if it is not older than an hour.
func ExampleApplyOptions() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	inUse := []retention.InUse{retention.InUseList("apps/web:build-2")}
	plan, err := retention.Make(ctx, client, retention.KeepNewest(1, retention.Week, "apps/*"), &retention.PlanOptions{InUse: inUse})
	if err != nil {
		log.Fatal(err)
	}
	var journal bytes.Buffer
	options := retention.ApplyOptions{Journal: &journal, InUse: inUse, MaxAge: time.Hour, Batch: 10, MaxChanged: 3}

	if _, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: &journal}); err != nil {
		fmt.Println(errors.Is(err, retention.ErrInUse))
	}
	if _, err := retention.Apply(ctx, client, plan, &options); err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Tags("apps/web"))
	srv.Advance(2 * time.Hour)
	_, err = retention.Apply(ctx, client, plan, &options)
	fmt.Println(errors.Is(err, retention.ErrPlan))
	// Output:
	// true
	// [build-2 build-6]
	// true
}

// Put back one tag of what was deleted, after a look at what that would do.
func ExampleUndoOptions() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	deleted, err := client.Repository("apps/web").Artifact("build-2").Digest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	plan, err := retention.Make(ctx, client, retention.KeepNewest(1, retention.Week, "apps/*"), nil)
	if err != nil {
		log.Fatal(err)
	}
	var journal bytes.Buffer
	if _, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: &journal}); err != nil {
		log.Fatal(err)
	}

	only := func(_, what string) bool { return what == "build-2" || what == deleted.String() }
	for _, dryRun := range []bool{true, false} {
		result, err := retention.Undo(ctx, client, bytes.NewReader(journal.Bytes()), &retention.UndoOptions{Only: only, DryRun: dryRun})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.Repositories[0].Restored, "restored:", srv.Tags("apps/web"))
	}
	// Output:
	// 2 restored: [build-6]
	// 2 restored: [build-2 build-6]
}

// Read the storage of some repositories.
func ExampleReadOptions() {
	_, client, done := exampleRegistry()
	defer done()

	usage, err := retention.Storage(context.Background(), client, &retention.ReadOptions{Repositories: []string{"apps/web"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(usage.Repositories), usage.Repositories[0].Manifests, "manifests")
	// Output: 1 10 manifests
}
