package retention_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// exampleRegistry stands for a registry in Azure in the examples: an emulator with an image that has had six builds, and
// an index that is in production. done ends both.
func exampleRegistry() (srv *acrtest.Server, client *acr.Client, done func()) {
	srv, err := acrtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	production := srv.SeedIndex(nil, "apps/web:production", "amd64", "arm64")
	srv.SeedReferrer(nil, "apps/web", production, "application/vnd.example.signature")
	for n := range 6 {
		srv.Advance(30 * 24 * time.Hour)
		srv.SeedImage(nil, fmt.Sprintf("apps/web:build-%d", n+1))
	}
	srv.Advance(24*time.Hour + time.Minute)
	client, err = acr.NewClient(srv.Endpoint(), srv.Credential(), &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}})
	if err != nil {
		log.Fatal(err)
	}
	return srv, client, func() {
		client.CloseIdleConnections()
		srv.Close()
	}
}

// exampleRules keep what is in production, and the newest builds.
const exampleRules = `{"version": 1, "policies": [{
  "name": "services", "repositories": {"glob": ["apps/**"]},
  "keep":   [{"name": "in production", "tags": {"glob": ["production"]}},
             {"name": "newest", "tags": {"glob": ["build-*"]}, "newest": 3}],
  "delete": [{"name": "old", "tags": {"glob": ["*"]}, "olderThan": "14d"},
             {"name": "untagged", "untagged": true, "olderThan": "7d"}]}]}`

// Approve a plan as a table, and see what it is going to do.
func ExamplePlan_WriteTable() {
	_, client, done := exampleRegistry()
	defer done()

	rules, err := retention.ParseRules([]byte(exampleRules))
	if err != nil {
		log.Fatal(err)
	}
	plan, err := retention.Make(context.Background(), client, rules, nil)
	if err != nil {
		log.Fatal(err)
	}
	var table bytes.Buffer
	if err := plan.WriteTable(&table); err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(table.String()) {
		if fields := strings.Fields(line); fields[0] == "GOES" || fields[0] == "STAYS" {
			fmt.Println(fields[0], fields[1], strings.Join(fields[len(fields)-4:], " "))
		}
	}
	// Output:
	// GOES build-3 older than 14d: 91d
	// GOES build-2 older than 14d: 121d
	// GOES build-1 older than 14d: 151d
	// STAYS build-4 it stays: 3rd newest
	// STAYS build-5 it stays: 2nd newest
	// STAYS production all that it selects
}

// Find out why an image stays.
func ExamplePlan_Explain() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()

	rules, err := retention.ParseRules([]byte(exampleRules))
	if err != nil {
		log.Fatal(err)
	}
	plan, err := retention.Make(ctx, client, rules, nil)
	if err != nil {
		log.Fatal(err)
	}
	index, err := client.Repository("apps/web").Artifact("production").ManifestProperties(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range srv.Manifests("apps/web") {
		decision, _ := plan.Explain("apps/web", string(d))
		if len(decision.Chain) == 2 && decision.Chain[0].Via == index.Digest {
			fmt.Println(decision.Chain[0].Code, "/", decision.Chain[1].Code, "by", decision.Chain[1].Rule)
		}
	}
	// Unordered output:
	// child / tagged by services/in production
	// child / tagged by services/in production
	// referrer / tagged by services/in production
}

// Write a plan to a file, have it approved by its ID, and apply it from the file.
func ExampleReadPlan() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()

	plan, err := retention.Make(ctx, client, retention.KeepNewest(1, retention.Week, "apps/web"), nil)
	if err != nil {
		log.Fatal(err)
	}
	document, err := plan.MarshalJSON()
	if err != nil {
		log.Fatal(err)
	}
	approved := plan.ID()

	plan, err = retention.ReadPlan(bytes.NewReader(document))
	if err != nil {
		log.Fatal(err)
	}
	var journal bytes.Buffer
	result, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: &journal, Approved: approved})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Repositories[0].Deleted, "deleted, left:", srv.Tags("apps/web"))
	// Output:
	// 9 deleted, left: [build-6]
}

// Delete, and put everything back.
func ExampleUndo() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "retention")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	plan, err := retention.Make(ctx, client, retention.KeepNewest(1, retention.Week, "apps/web"), nil)
	if err != nil {
		log.Fatal(err)
	}
	journal, err := os.OpenFile(filepath.Join(dir, "deleted.jsonl"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	if _, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: journal}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Tags("apps/web"))

	if _, err := journal.Seek(0, io.SeekStart); err != nil {
		log.Fatal(err)
	}
	if _, err := retention.Undo(ctx, client, journal, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Tags("apps/web"))
	// Output:
	// [build-6]
	// [build-1 build-2 build-3 build-4 build-5 build-6 production]
}

// Plan a large registry without holding the plan in memory.
func ExampleEach() {
	_, client, done := exampleRegistry()
	defer done()

	for r, err := range retention.Each(context.Background(), client, retention.KeepNewest(2, retention.Week, "**"), nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Name, r.Manifests.Delete, "of", r.Manifests.Total)
	}
	// Output:
	// apps/web 8 of 10
}

// Protect what runs in a cluster.
func ExampleInUseText() {
	srv, client, done := exampleRegistry()
	defer done()

	objects := func() (io.ReadCloser, error) { // kubectl get pods -A -o json
		return io.NopCloser(strings.NewReader(`{"items":[{"spec":{"containers":[{"image":"` + srv.Host() + `/apps/web:build-2"}]}}]}`)), nil
	}
	plan, err := retention.Make(context.Background(), client, retention.KeepNewest(1, retention.Week, "apps/*"), &retention.PlanOptions{
		InUse: []retention.InUse{retention.InUseText(client, objects)},
	})
	if err != nil {
		log.Fatal(err)
	}
	decision, _ := plan.Explain("apps/web", "build-2")
	fmt.Println(decision.Deleted, decision.Chain[0].Text)
	// Output:
	// false it is in use
}

// Protect what was pulled lately, by the registry's log.
func ExampleInUsePulls() {
	_, client, done := exampleRegistry()
	defer done()

	rows := func() (io.ReadCloser, error) { // az monitor log-analytics query ... -o json
		return io.NopCloser(strings.NewReader(`[{"OperationName":"Pull","Repository":"apps/web","Tag":"build-3"}]`)), nil
	}
	plan, err := retention.Make(context.Background(), client, retention.KeepNewest(1, retention.Week, "apps/*"), &retention.PlanOptions{
		InUse: []retention.InUse{retention.InUsePulls(client, rows), retention.InUseList("apps/web:build-1")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.Repositories[0].Tags.Delete, "of", plan.Repositories[0].Tags.Total)
	// Output:
	// 4 of 7
}

// Check rules that a program has made.
func ExampleRules_Check() {
	rules := retention.KeepNewest(3, 30*retention.Day)
	fmt.Println(rules.Check())
	// Output:
	// retention: faulty rules: policies[0].repositories: at least one pattern is required
}

// Read an age as rules have it.
func ExampleParseAge() {
	age, err := retention.ParseAge("1w12h")
	fmt.Println(age, err)
	// Output:
	// 7d12h <nil>
}

// Keep what was read for the next run, and read only what is new then.
func ExampleOpenFileCache() {
	srv, client, done := exampleRegistry()
	defer done()
	dir, err := os.MkdirTemp("", "retention")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	for range 2 {
		cache, err := retention.OpenFileCache(filepath.Join(dir, "cache"))
		if err != nil {
			log.Fatal(err)
		}
		srv.Ledger().Reset()
		rules := retention.KeepNewest(3, retention.Week, "apps/*")
		if _, err := retention.Make(context.Background(), client, rules, &retention.PlanOptions{Cache: cache}); err != nil {
			log.Fatal(err)
		}
		if err := cache.Close(); err != nil {
			log.Fatal(err)
		}
		fmt.Println(srv.Ledger().Count("GetManifest"), "manifests read")
	}
	// Output:
	// 10 manifests read
	// 0 manifests read
}

// Delete all but the three newest images of each repository. The images of an index and the signatures stay with what they
// belong to, and the journal can undo it.
func Example_keepThree() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "retention")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	journal, err := os.OpenFile(filepath.Join(dir, "deleted.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = journal.Close() }()

	rules := retention.KeepNewest(3, 7*retention.Day, "apps/*")
	plan, err := retention.Make(ctx, client, rules, nil)
	if err != nil {
		log.Fatal(err)
	}
	result, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: journal})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Tags("apps/web"), result.Complete())
	// Output:
	// [build-4 build-5 build-6] true
}

// Find out which repositories hold how many bytes, and what a plan would free.
func ExampleStorage() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()

	plan, err := retention.Make(ctx, client, retention.KeepNewest(3, retention.Week, "apps/*"), nil)
	if err != nil {
		log.Fatal(err)
	}
	usage, err := retention.Storage(ctx, client, &retention.ReadOptions{Plan: plan})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range usage.Repositories {
		fmt.Println(r.Name, r.Manifests, "manifests,", r.Bytes > 0, r.Exclusive == r.Bytes, r.Freed < r.Bytes)
	}
	// Output:
	// apps/web 10 manifests, true true true
}

// See what changed in a registry between two moments.
func ExampleDiff() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "retention")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	var snapshots []io.Reader
	for _, name := range []string{"before.jsonl", "after.jsonl"} {
		path := filepath.Join(dir, name)
		if err := retention.Snapshot(ctx, client, path, nil); err != nil {
			log.Fatal(err)
		}
		document, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		snapshots = append(snapshots, bytes.NewReader(document))
		srv.SeedImage(nil, "apps/web:build-7")
	}
	for change, err := range retention.Diff(snapshots[0], snapshots[1]) {
		if err != nil {
			log.Fatal(err)
		}
		if !strings.HasPrefix(change.What, "sha256:") {
			fmt.Println(change.Repository, change.What, change.Kind)
		}
	}
	// Output:
	// apps/web build-7 added
}
