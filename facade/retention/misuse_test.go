package retention_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/retention"
)

// A nil reader, plan or cache is an empty one, and a cache or snapshot without a name is refused before
// anything is read.
func TestNilAndZeroValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	if _, err := retention.ReadPlan(nil); !errors.Is(err, retention.ErrPlan) {
		t.Errorf("ReadPlan: %v", err)
	}
	for _, err := range retention.Diff(nil, nil) {
		if !errors.Is(err, retention.ErrSnapshot) {
			t.Errorf("Diff: %v", err)
		}
	}
	if _, err := retention.Undo(ctx, w.client(), nil, nil); err != nil && !errors.Is(err, retention.ErrJournal) {
		t.Errorf("Undo: %v", err)
	}
	if _, err := retention.Apply(ctx, w.client(), nil, nil); !errors.Is(err, retention.ErrPlan) {
		t.Errorf("Apply: %v", err)
	}
	for _, p := range []*retention.Plan{nil, {}, {Repositories: []*retention.RepositoryPlan{nil}}} {
		if _, ok := p.Explain("a", "b"); ok || p.WriteTable(io.Discard) != nil {
			t.Error("an empty plan explains something, or has no table")
		}
	}
	for _, c := range []*retention.FileCache{nil, {}} {
		c.Store("key", []byte("entry"))
		if _, ok := c.Load("key"); ok != (c != nil) {
			t.Errorf("stored: %t", ok)
		}
		if err := c.Close(); (err == nil) != (c == nil) {
			t.Errorf("Close: %v", err)
		}
	}
	var pathError *os.PathError
	if _, err := retention.OpenFileCache(""); !errors.As(err, &pathError) {
		t.Errorf("OpenFileCache: %v", err)
	}
	if err := retention.Snapshot(ctx, w.client(), "", nil); !errors.As(err, &pathError) {
		t.Errorf("Snapshot: %v", err)
	}
	for _, opts := range []*retention.PlanOptions{nil, {}, {Cache: (*retention.FileCache)(nil)}, {InUse: []retention.InUse{nil}}} {
		_, err := retention.Make(ctx, w.client(), &retention.Rules{}, opts)
		if err == nil {
			t.Error("rules without a policy make a plan")
		}
	}
}

// A plan whose ID is right, and whose repositories are none, is refused.
func TestPlanOfNulls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	document, err := json.Marshal(&retention.Plan{Version: 1, Registry: w.client().Endpoint(), Rules: retention.KeepNewest(1, retention.Age(24*time.Hour)), Repositories: []*retention.RepositoryPlan{nil}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := retention.ReadPlan(bytes.NewReader(document))
	if err == nil {
		_, err = retention.Apply(t.Context(), w.client(), p, nil)
	}
	if !errors.Is(err, retention.ErrPlan) && !errors.Is(err, retention.ErrRules) {
		t.Error(err)
	}
}

// A file that is not a journal is refused, instead of undoing nothing.
func TestUndoOfAnotherFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rules := retention.KeepNewest(1, retention.Week, "**")
	plan, err := retention.Make(t.Context(), w.client(), rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	for what, file := range map[string]string{"a plan": string(saved), "a plan with a newline": string(saved) + "\n", "a text": "not a journal", "a list": "[]"} {
		if _, err := retention.Undo(t.Context(), w.client(), strings.NewReader(file), nil); !errors.Is(err, retention.ErrJournal) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, file := range map[string]string{"no line": "", "the beginning of the first one": "\n{\"version\":1,\"pl"} {
		if _, err := retention.Undo(t.Context(), w.client(), strings.NewReader(file), nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What the transport of the caller's client panics with is raised in the caller, though several repositories are read at a time.
func TestTransportPanics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"apps/a", "apps/b", "apps/c"} {
		w.push(name, "a", w.image())
	}
	c := newClientVia(t, w.srv, rewriting{w.http, func(path, body string) string {
		if strings.Contains(path, "apps/b") {
			panic("a transport's panic")
		}
		return body
	}})
	for name, read := range map[string]func() error{
		"Make": func() error {
			_, err := retention.Make(t.Context(), c, retention.KeepNewest(1, retention.Week, "**"), nil)
			return err
		},
		"Storage": func() error {
			_, err := retention.Storage(t.Context(), c, nil)
			return err
		},
	} {
		func() {
			defer func() {
				if v := recover(); v != "a transport's panic" {
					t.Errorf("%s: recovered %v", name, v)
				}
			}()
			t.Errorf("%s: %v", name, read())
		}()
	}
}

// A repository that the rules do not select is refused before anything is sent: the name is misspelled, or a policy is missing. One that
// does not exist has an empty part.
func TestRepositoriesThatAreNotSelected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.oldAndLast()
	r := retention.KeepNewest(1, retention.Week, "apps/**")
	r.Policies[0].Except = &retention.Patterns{Glob: []string{"apps/base"}}
	for _, name := range []string{"app/web", "apps/base", "", "apps/Web", w.srv.Host() + "/apps/web", "apps/web:v1"} {
		opts := &retention.PlanOptions{Repositories: []string{repository, name}}
		_, err := retention.Make(t.Context(), w.client(), r, opts)
		argument, ok := errors.AsType[*acr.ArgumentError](err)
		if !ok || argument.Argument != "Repositories" || argument.Value != name {
			t.Errorf("%q: %v", name, err)
		}
		for _, err := range retention.Each(t.Context(), w.client(), r, opts) {
			if !errors.Is(err, acr.ErrInvalidArgument) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	read := &retention.ReadOptions{Repositories: []string{repository, "apps/Web"}}
	if _, err := retention.Storage(t.Context(), w.client(), read); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Errorf("Storage: %v", err)
	}
	if err := retention.Snapshot(t.Context(), w.client(), filepath.Join(t.TempDir(), "s"), read); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Errorf("Snapshot: %v", err)
	}
	w.srv.Ledger().AtMost(t, 0, "ListRepositoryNames", "GetRepositoryProperties")
	p, err := retention.Make(t.Context(), w.client(), r, &retention.PlanOptions{Repositories: []string{repository, "apps/gone"}})
	if err != nil || len(p.Repositories) != 2 {
		t.Errorf("%v %s", err, mustJSON(t, p))
	}
}
