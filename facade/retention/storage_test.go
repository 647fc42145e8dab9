package retention_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/retention"
)

// Each blob counts once, and belongs to the repositories that have it.
func TestStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shared := w.unique()                             // every blob has 100 bytes
	old := w.push("a", "old", w.image(shared))       // config, layer, shared
	w.push("a", "", w.image())                       // config, layer
	child := w.push("a", "", w.image())              // config, layer
	w.push("a", "new", w.index(child))               // no blobs
	w.push("a", "", w.referrer("sig", child))        // the empty config, which has 2 bytes, and a layer
	w.push("b", "v1", w.image(shared))               // config, layer, shared
	w.push("locked", "v1", w.docker(w.image()))      // config, layer
	w.push("hidden", "v1", w.image())                // cannot be read completely
	w.patch("hidden", "v1", `{"listEnabled":false}`) //
	w.send("PATCH", "/acr/v1/locked", "application/json", []byte(`{"writeEnabled":false}`))
	w.days(90)
	p := w.plan(rules(t, `{"version":1,"policies":[{"name":"p","repositories":{"glob":["a"]},"delete":[
		{"name":"old","tags":{"glob":["old"]},"olderThan":"1d"},{"name":"untagged","untagged":true,"olderThan":"1d"}]}]}`))
	got, err := retention.Storage(t.Context(), w.client(), &retention.ReadOptions{Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Repositories[0].Delete) != 2 || p.Repositories[0].Delete[0].Digest != old && p.Repositories[0].Delete[1].Digest != old {
		t.Fatalf("%s", mustJSON(t, p))
	}
	refused := got.Repositories[2].Refused
	got.Repositories[2].Refused = nil
	want := &retention.StorageUsage{Registry: w.srv.Endpoint(), Bytes: 1202, Freed: 400, Repositories: []*retention.RepositoryUsage{
		{Name: "a", Manifests: 5, Tags: 2, Bytes: 802, Exclusive: 702, Shared: 100, Untagged: 200, Freed: 400},
		{Name: "b", Manifests: 1, Tags: 1, Bytes: 300, Exclusive: 200, Shared: 100},
		{Name: "hidden"},
		{Name: "locked", Manifests: 1, Tags: 1, Bytes: 200, Exclusive: 200},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if refused == nil || refused.Code != retention.RefusedCounts {
		t.Errorf("%+v", refused)
	}
	other := *p
	other.Registry = "https://other.azurecr.io"
	if _, err := retention.Storage(t.Context(), w.client(), &retention.ReadOptions{Plan: &other}); !errors.Is(err, retention.ErrPlan) {
		t.Error(err)
	}
}

// snapshot takes a snapshot and returns its bytes.
func (w *world) snapshot() []byte {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "snapshot")
	if err := retention.Snapshot(w.t.Context(), w.client(), path, nil); err != nil {
		w.t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return content
}

func changes(t *testing.T, before, after []byte) (changes []string) {
	t.Helper()
	for c, err := range retention.Diff(bytes.NewReader(before), bytes.NewReader(after)) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Kind == retention.ChangeUpdated || c.Kind == retention.ChangeReplaced {
			c.From, c.To = "", ""
		}
		changes = append(changes, strings.TrimRight(fmt.Sprintf("%s %s %s %s > %s", c.Repository, c.What, c.Kind, c.From, c.To), " >"))
	}
	return changes
}

// A snapshot is the same for the same state, and two of them differ in what changed.
func TestDiff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.push("apps/a", "moves", w.image()), w.push("apps/a", "stays", w.image())
	w.push("apps/a", "again", w.image())
	gone := w.push("apps/gone", "v1", w.image())
	w.push("apps/replaced", "v1", w.image())
	w.push("apps/unreadable", "v1", w.image())
	first := w.snapshot()
	if again := w.snapshot(); !bytes.Equal(first, again) || changes(t, first, again) != nil {
		t.Fatalf("two snapshots of the same state differ:\n%s\n%s", first, again)
	}
	w.days(1)
	again := w.shoot("apps/a").tags["again"].digest
	w.tag("apps/a", "again", again)
	w.tag("apps/a", "moves", b)
	added := w.push("apps/a", "added", w.image())
	w.patch("apps/a", string(a), `{"deleteEnabled":false,"writeEnabled":false}`)
	w.patch("apps/a", "stays", `{"deleteEnabled":false}`)
	w.send("DELETE", "/acr/v1/apps/gone", "", nil)
	w.send("DELETE", "/acr/v1/apps/replaced", "", nil)
	w.days(1)
	replaced := w.push("apps/replaced", "v1", w.image())
	w.patch("apps/unreadable", "v1", `{"listEnabled":false}`)
	second := w.snapshot()
	got := changes(t, first, second)
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"apps/a moves moved " + string(a) + " > " + string(b),
		"apps/a added " + string(retention.ChangeAdded) + "  > " + string(added),
		"apps/a " + string(added) + " added",
		"apps/a " + string(a) + " attributes  > delete, write",
		"apps/a stays attributes  > delete",
		"apps/a again updated",
		"apps/gone  removed", "apps/gone " + string(gone) + " removed", "apps/gone v1 removed " + string(gone),
		"apps/replaced  replaced", "apps/replaced v1 moved", "apps/replaced " + string(replaced) + " added",
		"apps/unreadable  unreadable",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Count(text, "unreadable") != 2 {
		t.Error("of a repository that cannot be read nothing else is known")
	}
	if t.Failed() {
		t.Log(text)
	}
	for range retention.Diff(bytes.NewReader(first), bytes.NewReader(second)) {
		break // whoever stops is not called again
	}
}

// A snapshot that was cut short, edited or reordered is refused.
func TestDiffRefusesDamagedSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("apps/a", "v1", w.image())
	w.push("apps/b", "v1", w.image())
	good := w.snapshot()
	refused := func(name string, bad []byte) {
		var last error
		for _, err := range retention.Diff(bytes.NewReader(good), bytes.NewReader(bad)) {
			last = err
		}
		if !errors.Is(last, retention.ErrSnapshot) {
			t.Errorf("%s: %v", name, last)
		}
	}
	for n := range len(good) - 1 {
		refused(fmt.Sprintf("cut at %d", n), good[:n])
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	for n := range len(lines) - 2 {
		bad := bytes.Join(append(append(append([][]byte{}, lines[:n]...), lines[n+1], lines[n]), lines[n+2:]...), nil)
		refused(fmt.Sprintf("line %d swapped", n+1), bad)
		refused(fmt.Sprintf("line %d twice", n+1), bytes.Join(append(append(append([][]byte{}, lines[:n+1]...), lines[n]), lines[n+1:]...), nil))
	}
	for name, edit := range map[string][2]string{
		"unknown member": {`"tag"`, `"Tag"`}, "member twice": {`"tag":"v1"`, `"tag":"v1","tag":"v1"`}, "version": {`"version":1`, `"version":2`},
		"more behind": {`"end":true}` + "\n", `"end":true}` + "\n\n"}, "two things": {`"tag":"v1"`, `"tag":"v1","manifest":"sha256:0"`},
	} {
		refused(name, bytes.Replace(good, []byte(edit[0]), []byte(edit[1]), 1))
	}
}

// A snapshot that fails leaves the file that was there.
func TestSnapshotLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.oldAndLast()
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := w.between(isRequest(http.MethodGet, "/_tags"), cancel)
	if err := retention.Snapshot(ctx, c, path, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	files, err := os.ReadDir(dir)
	content, readErr := os.ReadFile(path)
	if err := errors.Join(err, readErr); err != nil || len(files) != 1 || string(content) != "old" {
		t.Errorf("%v %v %q", err, files, content)
	}
	if err := retention.Snapshot(t.Context(), w.client(), filepath.Join(dir, "no", "such"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
