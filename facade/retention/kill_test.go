package retention_test

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

var killStep = flag.Int("retention.kill", acrsuite.UnderRace(24, 6), "which requests TestKilled kills at: 1 is each")

// TestKilled kills a process that applies a plan (SIGKILL) at one of its requests after another. Another process then goes on: the
// registry ends in the state of an apply that nobody disturbed, and Undo brings everything back.
func TestKilled(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("RETENTION_KILL"); dir != "" {
		applyFromFiles(t, dir)
		return
	}
	for n, done := acrsuite.FirstOf(t, *killStep), false; !done; n += *killStep {
		done = killedAt(t, n)
		if t.Failed() {
			t.Fatalf("killed at request %d", n)
		}
	}
}

// killedAt kills the process at its nth request to the registry. done reports that it had fewer.
func killedAt(t *testing.T, n int) (done bool) {
	t.Helper()
	w := newWorld(t)
	defer w.srv.Close()
	a, b := w.put(w.image()), w.put(w.image())
	i := w.put(w.index(a, b), "v1")
	w.put(w.referrer("sig", a))
	w.put(w.referrer("sig", i))
	w.put(w.image(), cosign(i, ".sig"))
	w.put(w.image(), "pr-1", "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[{"name":"d","tags":{"glob":["v*","pr-*"]},"olderThan":"1d"}]`))
	before := w.shoot(repository)

	dir := t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	user, password := w.srv.Admin()
	write("plan", mustJSON(t, p))
	write("ca", w.srv.CA())
	write("login", []byte(w.srv.Endpoint()+" "+user+" "+password))

	var left atomic.Int64
	left.Store(int64(n))
	ctx, kill := context.WithCancel(t.Context()) // which kills the process
	defer kill()
	w.srv.On().Always().Do(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if left.Add(-1) == 0 {
			kill()
			<-r.Context().Done()
			return
		}
		next.ServeHTTP(rw, r)
	})
	run := func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "RETENTION_KILL="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil && ctx.Err() == nil {
			t.Errorf("%v\n%s", err, out)
		}
		return err
	}
	done = run(ctx) == nil
	w.srv.ClearFaults()
	(&propertyCase{world: w}).demandWhole(&oracle{before, w.made, oracleRules{}, p.Made}, w.shoot(repository))
	if err := run(t.Context()); err != nil {
		return true
	}
	if s := w.shoot(repository); len(s.manifests) != 1 || len(s.tags) != 1 {
		t.Errorf("left: %+v", s)
	}
	journal, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retention.Undo(t.Context(), w.client(), bytes.NewReader(journal), nil); err != nil {
		t.Fatal(err)
	}
	w.demandSame(before, w.shoot(repository))
	return done
}

// applyFromFiles is the process that is killed.
func applyFromFiles(t *testing.T, dir string) {
	t.Helper()
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	login := strings.Fields(string(read("login")))
	o := &acr.ClientOptions{AllowedHosts: []string{strings.TrimPrefix(login[0], "https://")}}
	transport := trusting(t, read("ca"))
	defer transport.CloseIdleConnections()
	o.Transport = transport
	c, err := acr.NewClientWithPassword(login[0], login[1], login[2], o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	p, err := retention.ReadPlan(bytes.NewReader(read("plan")))
	if err != nil {
		t.Fatal(err)
	}
	journal, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	result, err := retention.Apply(t.Context(), c, p, &retention.ApplyOptions{Journal: journal, Approved: p.ID(), Batch: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range result.Repositories {
		if r.State != retention.Done || len(r.Skipped)+len(r.Repaired) > 0 {
			t.Errorf("%s", mustJSON(t, r))
		}
	}
}
