package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
	"github.com/acrkit/acrkit/facade/retention"
)

// storage reports what the repositories hold.
func (p command) storage(ctx context.Context, c *acr.Client, s settings) error {
	opts := &retention.ReadOptions{Repositories: s.only}
	if s.plan != "" {
		plan, err := readPlan(s.plan)
		if err != nil {
			return err
		}
		opts.Plan = plan
	}
	closeCache, err := openCache(s, &opts.Cache)
	if err != nil {
		return err
	}
	usage, err := retention.Storage(ctx, c, opts)
	if err := errors.Join(err, closeCache()); err != nil {
		return err
	}
	refused := slices.ContainsFunc(usage.Repositories, func(r *retention.RepositoryUsage) bool { return r.Refused != nil })
	return p.show(s, usage, func(w io.Writer) error { return storageTable(w, usage) }, refused)
}

// storageTable prints a line for each repository, in bytes, and one for the registry.
func storageTable(w io.Writer, usage *retention.StorageUsage) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "manifests\ttags\tbytes\texclusive\tshared\tuntagged\tfreed\t  repository")
	for _, r := range usage.Repositories {
		if r.Refused != nil {
			fmt.Fprintf(t, "-\t-\t-\t-\t-\t-\t-\t  %s: not read: %q\n", r.Name, r.Refused.Text)
			continue
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\n", r.Manifests, r.Tags, r.Bytes, r.Exclusive, r.Shared, r.Untagged, r.Freed, r.Name)
	}
	fmt.Fprintf(t, "\t\t%d\t\t\t\t%d\t  all, each blob once\n", usage.Bytes, usage.Freed)
	return t.Flush()
}

// snapshot writes the state of the registry to a file.
func (p command) snapshot(ctx context.Context, c *acr.Client, s settings) error {
	err := retention.Snapshot(ctx, c, s.out, &retention.ReadOptions{Repositories: s.only})
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%w: %w", errInput, path)
	}
	return err
}

// diff prints the differences of two snapshots as they are found, as a table or as JSON lines.
func (p command) diff(s settings) (err error) {
	var files [2]*os.File
	for i, name := range []string{s.before, s.after} {
		if files[i], err = os.Open(name); err != nil {
			return fmt.Errorf("%w: %w", errInput, err)
		}
		defer func() { err = errors.Join(err, files[i].Close()) }()
	}
	encoder := json.NewEncoder(p.Stdout)
	for c, failed := range retention.Diff(files[0], files[1]) {
		if failed != nil {
			return failed
		}
		if s.json {
			failed = encoder.Encode(c)
		} else {
			_, failed = fmt.Fprintf(p.Stdout, "%-10s  %s  %s  %q > %q\n", c.Kind, c.Repository, c.What, c.From, c.To)
		}
		if failed != nil {
			return failed
		}
		err = program.ErrFailed // there is a difference
	}
	return err
}
