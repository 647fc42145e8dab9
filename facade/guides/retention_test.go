package guides_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/retention"
)

func plan(ctx context.Context, client *acr.Client, rules []byte, to io.Writer) (*retention.Plan, error) {
	parsed, err := retention.ParseRules(rules)
	if err != nil {
		return nil, err // says what is wrong, and where
	}
	plan, err := retention.Make(ctx, client, parsed, nil) // deletes nothing
	if err != nil {
		return nil, err
	}
	problems := []error{plan.WriteTable(to)}
	for _, repository := range plan.Repositories {
		if refused := repository.Refused; refused != nil {
			problems = append(problems, fmt.Errorf("%s: nothing is deleted: %s", repository.Name, refused.Text))
		}
	}
	return plan, errors.Join(problems...)
}

func savePlan(plan *retention.Plan, path string) error {
	saved, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	return os.WriteFile(path, saved, 0o600)
}

func loadPlan(path string) (*retention.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return retention.ReadPlan(f) // refuses a plan that was edited
}

func apply(ctx context.Context, client *acr.Client, plan *retention.Plan, approved digest.Digest, journal string) error {
	f, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	result, err := retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: f, Approved: approved})
	if err != nil {
		return err
	}
	for _, repository := range result.Repositories {
		fmt.Println(repository.Name, repository.State, repository.Deleted, "deleted,", len(repository.Skipped), "left")
	}
	if !result.Complete() {
		return errors.New("not everything in the plan was done")
	}
	return nil
}

func undo(ctx context.Context, client *acr.Client, journal string) error {
	f, err := os.Open(journal)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = retention.Undo(ctx, client, f, nil)
	return err
}

func why(plan *retention.Plan, repository, reference string) {
	decision, ok := plan.Explain(repository, reference)
	if !ok {
		fmt.Println(reference, "is not in the plan")
	}
	for _, reason := range decision.Chain {
		fmt.Printf("%s (%s)\n", reason.Text, cmp.Or(reason.Rule, "no rule"))
	}
}

func pods(ctx context.Context) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		text, err := exec.CommandContext(ctx, "kubectl", "get", "pods", "-A", "-o", "json").Output()
		return io.NopCloser(bytes.NewReader(text)), err
	}
}

func planBesideCluster(ctx context.Context, client *acr.Client, rules *retention.Rules) (*retention.Plan, error) {
	return retention.Make(ctx, client, rules, &retention.PlanOptions{InUse: []retention.InUse{retention.InUseText(client, pods(ctx))}})
}

func applyBesideCluster(ctx context.Context, client *acr.Client, plan *retention.Plan, journal io.Writer) (*retention.Result, error) {
	return retention.Apply(ctx, client, plan, &retention.ApplyOptions{
		InUse:   []retention.InUse{retention.InUseText(client, pods(ctx))}, // read again: what runs may have changed
		Journal: journal,
	})
}

// The rules of the guide: the first block of JSON in it.
func guideRules() []byte {
	page, err := os.ReadFile("retention.md")
	check(err)
	for language, block := range fenced(string(page)) {
		if language == "json" {
			return []byte(block)
		}
	}
	return nil
}

// Plan, approve, apply and undo, by the rules of the guide.
func Example_retention() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	dir, remove := tempDir()
	defer remove()
	journal := filepath.Join(dir, "deleted.jsonl")
	srv.SeedIndex(nil, "shop/api:release-1", "amd64", "arm64")
	for n := range 5 {
		srv.Advance(30 * 24 * time.Hour)
		srv.SeedImage(nil, fmt.Sprintf("shop/api:build-%d", n+1))
	}
	srv.Advance(50 * time.Hour)

	var table bytes.Buffer
	p, err := plan(ctx, client, guideRules(), &table)
	check(err)
	why(p, "shop/api", "build-1")
	why(p, "shop/api", "build-3")
	approved := p.ID()
	check(savePlan(p, filepath.Join(dir, "plan.json")))
	p, err = loadPlan(filepath.Join(dir, "plan.json"))
	check(err)
	check(apply(ctx, client, p, approved, journal))
	fmt.Println(srv.Tags("shop/api"))
	check(undo(ctx, client, journal))
	fmt.Println(srv.Tags("shop/api"))
	// Output:
	// older than 14d: 122d (services/old builds)
	// 3rd newest (services/newest builds)
	// shop/api done 2 deleted, 0 left
	// shop/web done 0 deleted, 0 left
	// [build-3 build-4 build-5 release-1]
	// [build-1 build-2 build-3 build-4 build-5 release-1]
}

// What runs stays, whatever the rules say.
func Example_inUse() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	for n := range 6 {
		srv.SeedImage(nil, fmt.Sprintf("shop/api:build-%d", n+1))
		srv.Advance(30 * 24 * time.Hour)
	}
	dir, remove := tempDir()
	defer remove()
	kubectl := "#!/bin/sh\necho '{\"image\": \"" + srv.Host() + "/shop/api:build-1\"}'\n"
	check(os.WriteFile(filepath.Join(dir, "kubectl"), []byte(kubectl), 0o700))
	path := os.Getenv("PATH")
	check(os.Setenv("PATH", dir+string(os.PathListSeparator)+path))
	defer func() { check(os.Setenv("PATH", path)) }()
	rules, err := retention.ParseRules(guideRules())
	check(err)
	p, err := planBesideCluster(ctx, client, rules)
	check(err)
	why(p, "shop/api", "build-1")
	_, err = applyBesideCluster(ctx, client, p, io.Discard)
	fmt.Println(srv.Tags("shop/api"), err)
	// Output:
	// it is in use (no rule)
	// [build-1 build-4 build-5 build-6] <nil>
}

// A repository that is not read because of throttling is an error of the guide's plan, and what is left one of its apply.
func TestRefusedRepository(t *testing.T) {
	t.Parallel()
	registry, client := newRegistry(t)
	registry.SeedImage(t, "shop/api:build-1")
	registry.SeedImage(t, "shop/web:build-1")
	registry.On("ListManifests").Nth(1).Status(429, 2*time.Minute) // too long to wait for
	var table bytes.Buffer
	p, err := plan(t.Context(), client, guideRules(), &table)
	if p == nil || err == nil || !strings.Contains(err.Error(), "nothing is deleted") {
		t.Fatalf("%v, %v", p, err)
	}
	if err := apply(t.Context(), client, p, p.ID(), filepath.Join(t.TempDir(), "deleted.jsonl")); err == nil {
		t.Error("nothing is said of a repository that was left")
	}
}
