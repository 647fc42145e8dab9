package model_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// clientCount is how many clients make the calls of a sequence in turn.
const clientCount = 2

// world is the registry of a sequence, with its model.
type world struct {
	t       *testing.T
	srv     *acrtest.Server
	dir     string
	prefix  string // of its repositories
	clients [clientCount]*acr.Client
	model   *registry
	broken  violations
	open    [2]int // upload sessions that faults have left behind
	aged    bool   // tokens that the clients have may not be accepted any more
}

// violations keeps what breaks the document.
type violations struct {
	mu   sync.Mutex
	text []string
}

// Helper implements contract.TB.
func (v *violations) Helper() {}

// Cleanup implements contract.TB: the sequence is over when its world is.
func (v *violations) Cleanup(func()) {}

// Errorf implements contract.TB.
func (v *violations) Errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text = append(v.text, fmt.Sprintf(format, args...))
}

// newWorld makes the repositories of a sequence, which have some blobs, and clients that have no tokens yet. One client signs in for
// each repository, the other for the whole registry.
func newWorld(t *testing.T, srv *acrtest.Server, base http.RoundTripper, dir, prefix string) *world {
	t.Helper()
	w := &world{t: t, srv: srv, dir: dir, prefix: prefix, model: newRegistry()}
	held := contract.New(&w.broken, base, contract.Allow(func(resp *http.Response) bool { return resp.Header.Get(acrtest.FaultHeader) != "" }))
	for i := range w.clients {
		o := acrsuite.ClientOptions(srv, &http.Client{Transport: held})
		o.RegistryWideToken = i == 1
		c, err := acr.NewClient(srv.Endpoint(), srv.Credential(), o)
		if err != nil {
			t.Fatal(err)
		}
		w.clients[i] = c
	}
	for _, b := range []int{0, 1} {
		srv.SeedBlob(t, w.name(0), blobs[b].content)
		w.model.repositories[0].blobs[b] = true
	}
	return w
}

// close ends what the clients have left.
func (w *world) close() {
	for _, c := range w.clients {
		c.CloseIdleConnections()
	}
}

func (w *world) name(repo int) string { return w.prefix + [...]string{"a", "b"}[repo] }

func (w *world) client(s step) *acr.Client { return w.clients[s.Client] }

func (w *world) repository(s step) *acr.Repository { return w.client(s).Repository(w.name(s.Repo)) }

func (w *world) artifact(s step) *acr.Artifact { return w.repository(s).Artifact(s.reference()) }

// do makes the call of a step and returns what is wrong with what came of it.
func (w *world) do(s step) error {
	o, f := operations[s.Op], faults[s.Fault]
	ctx, cancel := context.WithTimeout(w.t.Context(), 6*time.Hour) // a call that hangs fails
	defer cancel()
	w.srv.Ledger().Reset()
	var hits func() int
	if s.Fault != "" {
		line := w.srv.On(s.At).Nth(s.Nth)
		hits = f.set(line).Hits
		defer w.srv.ClearFaults()
		if f.leave {
			defer time.AfterFunc(time.Second, cancel).Stop()
		}
	}
	w.model.now = w.srv.Now()
	before := w.model.clone()
	text, err := o.run(ctx, w, s)
	synctest.Wait()
	wantText, wantErr := o.expect(w.model, w.model.repositories[s.Repo], s)
	hit := hits != nil && hits() > 0
	var problem error
	switch {
	case hit && err == nil && wantErr != nil && o.finds && (!f.clear || o.takes&takesBlob != 0) && before.repositories[s.Repo].has(text, s.Tag):
		// A try may have been carried out, and the next one was refused: it found what was there before.
	case hit && (f.verdict == ends || o.fragile || w.aged && s.Fault == revoked): // a call gets over one 401
		problem = w.ended(s, before, text, err, wantText, wantErr)
	default:
		problem = w.passed(o, hit, hit && f.cuts, text, err, wantText, wantErr)
	}
	if hit {
		pass(2 * time.Minute) // retries are budgeted, and uploads end in the background
	}
	return errors.Join(problem, w.check(hit))
}

// both makes the calls of two steps at the same time. The registry is then as if one had been made after the other.
func (w *world) both(steps [2]step) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 6*time.Hour)
	defer cancel()
	w.srv.Ledger().Reset()
	w.model.now = w.srv.Now()
	before := w.model
	var text [2]string
	var errs [2]error
	var group sync.WaitGroup
	for i, s := range steps {
		group.Go(func() { text[i], errs[i] = operations[s.Op].run(ctx, w, s) })
	}
	group.Wait()
	synctest.Wait()
	var problems []error
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		w.model = before.clone()
		var problem error
		for _, i := range order {
			s := steps[i]
			wantText, wantErr := operations[s.Op].expect(w.model, w.model.repositories[s.Repo], s)
			problem = errors.Join(problem, w.passed(operations[s.Op], false, false, text[i], errs[i], wantText, wantErr))
		}
		if problem == nil {
			problem = w.check(false)
		}
		if problem == nil {
			problem = w.compare()
		}
		if problem == nil {
			return nil
		}
		problems = append(problems, fmt.Errorf("in the order %d, %d: %w", order[0]+1, order[1]+1, problem))
	}
	return fmt.Errorf("no order of the two explains it: %w", errors.Join(problems...))
}

// passed judges a call that no fault may have ended.
func (w *world) passed(o operation, hit, cut bool, text string, err error, wantText string, wantErr error) error {
	switch {
	case err == nil && wantErr == nil && (text == wantText || hit && o.forgets && text == ""):
		return nil
	case err == nil && hit && o.forgets && isMissing(wantErr):
		return nil
	case wantErr != nil && expected(err, wantErr, cut) && wellFormed(err, false):
		return nil
	}
	return fmt.Errorf("it returned %q, %w, and the model %q, %w", text, cause(err), wantText, cause(wantErr))
}

// ended judges a call that a fault may have ended. Then the registry is as it was before, or as it is after the call.
func (w *world) ended(s step, before *registry, text string, err error, wantText string, wantErr error) error {
	o, f := operations[s.Op], faults[s.Fault]
	switch {
	case err == nil && o.finds && before.repositories[s.Repo].has(text, s.Tag):
		err = errors.New("it found what was there") // put now, or before
	case err == nil || wantErr != nil && expected(err, wantErr, f.cuts):
		return w.passed(o, true, f.cuts, text, err, wantText, wantErr)
	case !wellFormed(err, f.wild || o.fragile):
		return fmt.Errorf("a caller cannot tell this error from others: %w", err)
	}
	differs := func() error {
		if err := w.check(true); err != nil {
			return err
		}
		return w.compare()
	}
	if after := w.model; differs() != nil {
		w.model = before
		if problem := differs(); problem != nil {
			w.model = after
			return fmt.Errorf("it failed (%w), and the registry is neither as before nor as after it: %w", err, problem)
		}
	}
	return nil
}

// cause is an error that can be printed.
func cause(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// check compares what the registry shows without a request, and what was left behind.
func (w *world) check(hit bool) error {
	w.broken.mu.Lock()
	defer w.broken.mu.Unlock()
	for i, r := range w.model.repositories {
		var items, names []string
		for _, d := range w.srv.Manifests(w.name(i)) {
			items = append(items, named(d))
		}
		for _, t := range r.listedTags(acr.OrderByDefault) {
			names = append(names, tags[t])
		}
		if got, want := strings.Join(items, " "), itemNames(r.listedManifests(acr.OrderByDefault)); got != want {
			return fmt.Errorf("the registry has the manifests %q, and the model %q", got, want)
		}
		if got := w.srv.Tags(w.name(i)); !slices.Equal(got, names) {
			return fmt.Errorf("the registry has the tags %q, and the model %q", got, names)
		}
		for n, b := range blobs {
			if got, want := w.srv.HasBlob(w.name(i), b.digest), r.blobs[n] && r.attributes.ReadEnabled; got != want {
				return fmt.Errorf("the registry has the blob %s: %v, and the model: %v", b.name, got, want)
			}
		}
		open := w.srv.Uploads(w.name(i))
		if !hit && open > w.open[i] {
			return fmt.Errorf("%d upload sessions are left", open-w.open[i])
		}
		w.open[i] = open
	}
	if len(w.broken.text) > 0 {
		return fmt.Errorf("contract: %s", w.broken.text[0])
	}
	return nil
}

// compare compares all that the registry has, as a client without faults sees it.
func (w *world) compare() error {
	w.srv.ClearFaults()
	for i, r := range w.model.repositories {
		look := []step{{Op: "Properties", Tag: none}, {Op: "Tags", Tag: none, Option: 1}, {Op: "Manifests", Option: 1}, {Op: "DeletedManifests"}, {Op: "DeletedTags"}}
		for t, properties := range r.tags {
			if !properties.attributes.ListEnabled {
				look = append(look, step{Op: "TagProperties", Tag: t})
			}
		}
		for m, properties := range r.manifests {
			if !properties.attributes.ListEnabled {
				look = append(look, step{Op: "ManifestProperties", Tag: none, Item: m})
			}
		}
		for _, s := range look {
			s.Repo = i
			o := operations[s.Op]
			text, err := o.run(w.t.Context(), w, s)
			wantText, wantErr := o.expect(w.model, r, s)
			if problem := w.passed(o, false, false, text, err, wantText, wantErr); problem != nil {
				return fmt.Errorf("%v: %w", s, problem)
			}
		}
	}
	return nil
}
