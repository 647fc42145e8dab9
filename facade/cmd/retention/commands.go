package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
	"github.com/acrkit/acrkit/facade/internal/partial"
	"github.com/acrkit/acrkit/facade/retention"
)

var errInput = errors.New("invalid input")

// plan makes a plan, and prints and writes it.
func (p command) plan(ctx context.Context, c *acr.Client, s settings) error {
	document, err := os.ReadFile(s.rules)
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	rules, err := retention.ParseRules(document)
	if err != nil {
		return err
	}
	opts := &retention.PlanOptions{InUse: sources(c, s), Sizes: s.sizes}
	closeCache, err := openCache(s, &opts.Cache)
	if err != nil {
		return err
	}
	plan, err := retention.Make(ctx, c, rules, opts)
	if err := errors.Join(err, closeCache()); err != nil {
		return err
	}
	if s.out != "" {
		if err := partial.Write(s.out, func(w io.Writer) error { return json.NewEncoder(w).Encode(plan) }); err != nil {
			return fmt.Errorf("%w: %w", errInput, err)
		}
	}
	refused := slices.ContainsFunc(plan.Repositories, func(r *retention.RepositoryPlan) bool { return r.Refused != nil })
	return p.show(s, plan, plan.WriteTable, refused)
}

// apply applies a plan.
func (p command) apply(ctx context.Context, c *acr.Client, s settings) error {
	plan, err := readPlan(s.plan)
	if err != nil {
		return err
	}
	journal, err := os.OpenFile(s.journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	opts := &retention.ApplyOptions{Journal: journal, Approved: digest.Digest(s.approved), InUse: sources(c, s)}
	closeCache, err := openCache(s, &opts.Cache)
	if err != nil {
		return errors.Join(err, journal.Close())
	}
	result, err := retention.Apply(ctx, c, plan, opts)
	return errors.Join(p.report(s, result, "put back"), err, journal.Close(), closeCache())
}

// readPlan reads a plan from a file.
func readPlan(name string) (*retention.Plan, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInput, err)
	}
	plan, err := retention.ReadPlan(f)
	return plan, errors.Join(err, f.Close())
}

// undo puts back what a journal says was deleted.
func (p command) undo(ctx context.Context, c *acr.Client, s settings) error {
	f, err := os.Open(s.journal)
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	result, err := retention.Undo(ctx, c, f, &retention.UndoOptions{DryRun: s.dryRun})
	restored := "put back"
	if s.dryRun {
		restored = "would be put back"
	}
	reported := p.report(s, result, restored)
	if restoredSome(result) && !s.dryRun && !s.json {
		fmt.Fprintln(p.Stdout, "What was put back counts as the newest from now on: change the rules before the next plan is applied.")
	}
	return errors.Join(reported, err, f.Close())
}

func restoredSome(result *retention.Result) bool {
	return result != nil && slices.ContainsFunc(result.Repositories, func(r *retention.RepositoryResult) bool { return r.Restored > 0 })
}

// report prints what was done. restored says what happened to the things that the result counts as
// restored.
func (p command) report(s settings, result *retention.Result, restored string) error {
	if result == nil {
		return nil
	}
	return p.show(s, result, func(w io.Writer) error {
		resultTable(w, result, restored)
		return nil
	}, !result.Complete())
}

// resultTable prints a line for each repository, and one for each thing that was left or put back.
func resultTable(w io.Writer, result *retention.Result, restored string) {
	for _, r := range result.Repositories {
		fmt.Fprintf(w, "%s: %s, %d manifests deleted, %d tags deleted, %d %s", r.Name, r.State, r.Deleted, r.Untagged, r.Restored, restored)
		if r.Detail != "" {
			fmt.Fprintf(w, ": %q", r.Detail)
		}
		fmt.Fprintln(w)
		for _, v := range r.Skipped {
			fmt.Fprintf(w, "  left      %s  %s: %q\n", v.What, v.Code, v.Detail)
		}
		for _, v := range r.Repaired {
			fmt.Fprintf(w, "  put back  %s  %s: %q\n", v.What, v.Code, v.Detail)
		}
	}
}

// show prints v as JSON or as a table. It returns program.ErrFailed if something was left.
func (p command) show(s settings, v any, table func(io.Writer) error, left bool) error {
	var err error
	if s.json {
		err = p.print(v)
	} else {
		err = table(p.Stdout)
	}
	if err == nil && left {
		err = program.ErrFailed
	}
	return err
}

func (p command) print(v any) error {
	encoder := json.NewEncoder(p.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// sources returns the files that name what is in use.
func sources(c *acr.Client, s settings) (sources []retention.InUse) {
	for _, name := range s.inUse {
		sources = append(sources, retention.InUseText(c, func() (io.ReadCloser, error) { return os.Open(name) }))
	}
	for _, name := range s.pulls {
		sources = append(sources, retention.InUsePulls(c, func() (io.ReadCloser, error) { return os.Open(name) }))
	}
	return sources
}

// openCache opens the cache, if there is to be one.
func openCache(s settings, to *retention.Cache) (closeCache func() error, err error) {
	if s.cache == "" {
		return func() error { return nil }, nil
	}
	cache, err := retention.OpenFileCache(s.cache)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInput, err)
	}
	*to = cache
	return cache.Close, nil
}
