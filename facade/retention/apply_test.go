package retention_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

// between acts once, right before the first request that matches.
func (w *world) between(match func(r *http.Request) bool, act func()) *acr.Client {
	done := false
	return w.before(func(r *http.Request) {
		if !done && match(r) {
			done = true
			act()
		}
	})
}

// before calls hook right before each request, one call at a time.
func (w *world) before(hook func(*http.Request)) *acr.Client {
	return newClientVia(w.t, w.srv, &hookedClient{Client: w.http, hook: hook})
}

type hookedClient struct {
	*http.Client
	mu   sync.Mutex
	hook func(*http.Request)
}

func (h *hookedClient) Do(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.hook(r)
	h.mu.Unlock()
	return h.Client.Do(r)
}

func isRequest(method, path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.Path, path) }
}

// plan makes a plan with a client that nothing disturbs.
func (w *world) plan(r *retention.Rules) *retention.Plan {
	w.t.Helper()
	p, err := retention.Make(w.t.Context(), w.client(), r, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// oldAndLast pushes an image that rules delete, and one that stays.
func (w *world) oldAndLast() (old, last digest.Digest) {
	old = w.put(w.image(), "a")
	last = w.put(w.image(), "z")
	w.days(90)
	return old, last
}

func skips(result *retention.Result) (codes []retention.SkipCode) {
	for _, r := range result.Repositories {
		for _, s := range r.Skipped {
			codes = append(codes, s.Code)
		}
	}
	return codes
}

// What changes between the plan and the deletion is noticed, and left.
func TestApplyChecksAgain(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F71 lock seen late", testApplyChecksAgain)
}

func testApplyChecksAgain(t *testing.T) {
	for _, row := range []struct {
		name string
		when func(*http.Request) bool // before which request it changes
		act  func(w *world, old digest.Digest)
		want retention.SkipCode
	}{
		{"a tag was added", isRequest("GET", "/_manifests/"), func(w *world, old digest.Digest) { w.tag(repository, "b", old) }, retention.SkippedUpdated},
		{"its tag was taken away", isRequest("GET", "/_manifests/"), func(w *world, _ digest.Digest) { w.send("DELETE", "/acr/v1/apps/web/_tags/a", "", nil) }, retention.SkippedMoved},
		{"the manifest was locked", isRequest("GET", "/_manifests/"), func(w *world, old digest.Digest) { w.patch(repository, string(old), locked) }, retention.SkippedLocked},
		{"the tag was locked", isRequest("GET", "/_manifests/"), func(w *world, _ digest.Digest) { w.patch(repository, "a", locked) }, retention.SkippedLocked},
		{"it was quarantined", isRequest("GET", "/_manifests/"), func(w *world, old digest.Digest) {
			w.patch(repository, string(old), `{"quarantineState":"Quarantined"}`)
		}, retention.SkippedLocked},
		{"an index was pushed that contains it", isRequest("GET", "/v2/apps/web/manifests/"), func(w *world, old digest.Digest) { w.put(w.index(old)) }, retention.SkippedNeeded},
		{"the manifest was locked in the last moment", isRequest("DELETE", ""), func(w *world, old digest.Digest) { w.patch(repository, string(old), locked) }, retention.SkippedLocked},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			old, last := w.oldAndLast()
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			if len(p.Repositories[0].Delete) != 1 {
				t.Fatalf("%s", mustJSON(t, p))
			}
			c := w.between(row.when, func() { row.act(w, old) })
			if row.want == retention.SkippedNeeded { // after the repository was judged, before the first look
				c = w.between(func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "timedesc") }, func() { row.act(w, old) })
			}
			result := w.apply(c, p, nil)
			if got := skips(result); !slices.Equal(got, []retention.SkipCode{row.want}) {
				t.Errorf("%s", mustJSON(t, result))
			}
			if s := w.shoot(repository); len(s.manifests) < 2 || s.manifests[old].updated.IsZero() || s.manifests[last].updated.IsZero() {
				t.Errorf("%v", s)
			}
		})
	}
}

// A tag that was pushed again on the same manifest is as good as new, though nothing else has changed.
func TestApplyChecksTheTimesOfTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, _ := w.oldAndLast()
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	p.Repositories[0].Delete[0].Tags[0].Updated = time.Unix(0, 0) // as if it had been older
	if result := w.apply(w.client(), p, nil); !slices.Equal(skips(result), []retention.SkipCode{retention.SkippedTagged}) {
		t.Errorf("%s", mustJSON(t, result))
	}
	w.demand(outcome{stays: []digest.Digest{old}, tags: []string{"a", "z"}})
}

// C8: the plan is right only while the newer images exist that it counted.
func TestApplyJudgesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
	w.days(1)
	w.put(w.image(), "c")
	w.days(90)
	p := w.plan(rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["*"]},"newest":1}],"delete":[`+oldTags+`]`))
	w.send("DELETE", "/acr/v1/apps/web/_tags/c", "", nil)
	w.send("DELETE", "/v2/apps/web/manifests/"+string(w.shoot(repository).tags["b"].digest), "", nil)
	result := w.apply(w.client(), p, nil)
	w.demand(outcome{stays: []digest.Digest{a}, tags: []string{"a"}, goes: []digest.Digest{b}})
	if !slices.Equal(skips(result), []retention.SkipCode{retention.SkippedKept}) {
		t.Errorf("%s", mustJSON(t, result))
	}
}

// An edited plan can delete less, but not more.
func TestApplyOfAnEditedPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.image(), "a")
	w.days(1)
	a := w.put(w.image())
	i := w.put(w.index(a), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[{"name":"d","tags":{"glob":["a"]},"olderThan":"1d"},`+untagged+`]`))
	r := p.Repositories[0]
	r.Delete = append([]retention.Manifest{{Digest: i}, {Digest: a}}, r.Delete...)
	r.Manifests.Delete += 2
	w.apply(w.client(), p, nil)
	w.demand(outcome{stays: []digest.Digest{a, i}, tags: []string{"z"}})
}

// acr-cli-HEAD-f: locked things that a rule names are unlocked if the policy says so, and locked again if they cannot be deleted.
func TestApplyUnlocks(t *testing.T) {
	t.Parallel()
	for _, fails := range []int{0, http.StatusMethodNotAllowed, http.StatusInternalServerError} {
		w := newWorld(t)
		old, last := w.oldAndLast()
		w.patch(repository, "a", locked)
		w.patch(repository, string(old), `{"writeEnabled":false}`)
		p := w.plan(rulesOf(t, `"unlock":true,"delete":[`+oldTags+`]`))
		if fails > 0 {
			w.srv.On("DeleteManifest").Always().Status(fails)
		}
		before := w.shoot(repository)
		w.apply(w.client(), p, nil)
		after := w.shoot(repository)
		_, there := after.manifests[old]
		switch {
		case there != (fails > 0):
			t.Errorf("there: %v, deletion fails: %v", there, fails)
		case there && (after.manifests[old] != before.manifests[old] || after.tags["a"] != before.tags["a"]):
			t.Errorf("left unlocked: %+v %+v", after.manifests[old], after.tags["a"])
		case after.manifests[last] != before.manifests[last]:
			t.Error("the other one was changed")
		}
	}
}

// Without the policy's word a lock is a lock.
func TestUnlockIsOnlyForWhatARuleNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	child := w.put(w.image())
	w.put(w.index(child), "a")
	w.put(w.image(), "z")
	w.patch(repository, string(child), locked)
	w.days(90)
	w.clean(rulesOf(t, `"unlock":true,"delete":[`+oldTags+`]`), nil)
	w.demand(outcome{stays: []digest.Digest{child}, tags: []string{"z"}})
}

// The only comparison that the deletion of a tag has: the registry says where it was.
func TestUntagPutsAMovedTagBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image, other := w.put(w.image(), "a", "keep"), w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[{"name":"d","tags":{"glob":["a"]},"olderThan":"1d"}]`))
	c := w.between(isRequest("DELETE", "/_tags/a"), func() { w.tag(repository, "a", other) })
	result := w.apply(c, p, nil)
	if s := w.shoot(repository); s.tags["a"].digest != other || s.tags["keep"].digest != image {
		t.Errorf("%+v", s.tags)
	}
	if len(result.Repositories[0].Repaired) != 1 {
		t.Errorf("%s", mustJSON(t, result))
	}
}

// A tag cannot be put back on a manifest that nobody may read: that is no success.
func TestUntagOfATagMovedIntoQuarantine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.image(), "a", "keep")
	other := w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[{"name":"d","tags":{"glob":["a"]},"olderThan":"1d"}]`))
	c := w.between(isRequest("DELETE", "/_tags/a"), func() {
		w.tag(repository, "a", other)
		w.patch(repository, string(other), `{"quarantineState":"Quarantined"}`)
	})
	result := w.apply(c, p, nil)
	r := result.Repositories[0]
	if result.Complete() || len(r.Repaired) != 0 || len(r.Skipped) != 1 || r.Skipped[0].Code != retention.SkippedFailed || r.Skipped[0].What != "a" {
		t.Errorf("%s", mustJSON(t, r))
	}
}

// A repository that refuses is left, and the next one is done.
func TestApplyGoesOnBehindARefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"one", "three", "two"} {
		w.push(name, "a", w.image())
		w.push(name, "z", w.image())
	}
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	w.srv.On("DeleteManifest").Path("/one/").Always().Status(http.StatusForbidden)
	result := w.apply(w.client(), p, nil)
	if len(w.srv.Tags("one")) != 2 || len(w.srv.Tags("two")) != 1 || len(w.srv.Tags("three")) != 1 {
		t.Errorf("%v %v %v", w.srv.Tags("one"), w.srv.Tags("two"), w.srv.Tags("three"))
	}
	if result.Repositories[0].State != retention.Refused || result.Repositories[1].State != retention.Done {
		t.Errorf("%s", mustJSON(t, result))
	}
}

// journalError fails after a number of bytes, or when it is flushed.
type journalError struct {
	bytes.Buffer
	left     int
	syncFail bool
}

func (j *journalError) Write(p []byte) (int, error) {
	if j.left -= len(p); j.left < 0 {
		return 0, errors.New("disk full")
	}
	return j.Buffer.Write(p)
}

func (j *journalError) Sync() error {
	if j.syncFail {
		return errors.New("input/output error")
	}
	return nil
}

// What cannot be written down is not deleted.
func TestApplyNeedsItsJournal(t *testing.T) {
	t.Parallel()
	for _, journal := range []io.Writer{&journalError{left: 10}, &journalError{left: 250}, &journalError{left: 1 << 20, syncFail: true}, nil} {
		w := newWorld(t)
		w.oldAndLast()
		p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
		_, err := retention.Apply(t.Context(), w.client(), p, &retention.ApplyOptions{Journal: journal})
		if !errors.Is(err, retention.ErrJournal) {
			t.Error(err)
		}
		w.srv.Ledger().AtMost(t, 0, "DeleteManifest")
	}
}

// A plan that must not be applied is refused before anything is changed.
func TestApplyRefusesPlans(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		edit func(w *world, p *retention.Plan, o *retention.ApplyOptions)
		want error
	}{
		{"another registry", func(_ *world, p *retention.Plan, _ *retention.ApplyOptions) { p.Registry = "https://other.azurecr.io" }, retention.ErrPlan},
		{"not as approved", func(_ *world, p *retention.Plan, o *retention.ApplyOptions) {
			o.Approved = p.ID()
			p.Repositories[0].Delete[0].Size++
		}, retention.ErrPlan},
		{"too old", func(w *world, _ *retention.Plan, _ *retention.ApplyOptions) { w.days(2) }, retention.ErrPlan},
		{"of the future", func(w *world, _ *retention.Plan, _ *retention.ApplyOptions) { w.days(-1) }, retention.ErrClock},
		{"faulty rules", func(_ *world, p *retention.Plan, _ *retention.ApplyOptions) { p.Rules.Policies = nil }, retention.ErrRules},
		{"totals", func(_ *world, p *retention.Plan, _ *retention.ApplyOptions) { p.Repositories[0].Manifests.Delete++ }, retention.ErrPlan},
		{"a source that fails", func(_ *world, _ *retention.Plan, o *retention.ApplyOptions) { o.InUse = []retention.InUse{failing} }, retention.ErrInUse},
		{"a source that names nothing", func(_ *world, _ *retention.Plan, o *retention.ApplyOptions) {
			o.InUse = []retention.InUse{retention.InUseList()}
		}, retention.ErrInUse},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.oldAndLast()
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			o := &retention.ApplyOptions{Journal: &bytes.Buffer{}}
			row.edit(w, p, o)
			if _, err := retention.Apply(t.Context(), w.client(), p, o); !errors.Is(err, row.want) {
				t.Error(err)
			}
			w.srv.Ledger().AtMost(t, 0, "DeleteManifest")
		})
	}
}

func failing(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", errors.New("the cluster does not answer")) }
}

// A plan that deletes nothing changes nothing.
func TestApplyOfAnEmptyPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.image(), "z")
	w.clean(rulesOf(t, `"delete":[`+oldTags+`]`), nil)
	for _, r := range w.srv.Ledger().Requests() {
		if r.Method != http.MethodGet && !strings.Contains(r.Path, "/oauth2/") && !strings.Contains(r.Path, "/manifests/") {
			t.Error(r)
		}
	}
}

// A registry with soft delete refuses to take back a manifest that lies in it.
func TestUndoFromTheRecycleBin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acrtest.WithSoftDelete(7))
	old, last := w.oldAndLast()
	c := w.client()
	var journal bytes.Buffer
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	w.apply(c, p, &retention.ApplyOptions{Journal: &journal})
	if _, err := retention.Undo(t.Context(), c, &journal, nil); err != nil {
		t.Fatal(err)
	}
	w.demand(outcome{stays: []digest.Digest{old, last}, tags: []string{"a", "z"}})
}

// Undo sets the locks again that were lifted for the deletion.
func TestUndoLocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, _ := w.oldAndLast()
	w.patch(repository, "a", locked)
	w.patch(repository, string(old), `{"writeEnabled":false}`)
	before := w.shoot(repository)
	c := w.client()
	var journal bytes.Buffer
	p := w.plan(rulesOf(t, `"unlock":true,"delete":[`+oldTags+`]`))
	w.apply(c, p, &retention.ApplyOptions{Journal: &journal})
	for range 2 { // again, it changes nothing
		if _, err := retention.Undo(t.Context(), c, bytes.NewReader(journal.Bytes()), nil); err != nil {
			t.Fatal(err)
		}
		w.demandSame(before, w.shoot(repository))
	}
}

// Undo leaves a tag where somebody has put it since, or puts it in this moment, and reports it.
func TestUndoLeavesMovedTags(t *testing.T) {
	t.Parallel()
	for _, during := range []bool{false, true} {
		w := newWorld(t)
		old, last := w.oldAndLast()
		var journal bytes.Buffer
		w.apply(w.client(), w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)), &retention.ApplyOptions{Journal: &journal})
		c, detail := w.client(), "it points to sha256:"+last.Encoded()[:12]
		if during {
			c, detail = w.between(isRequest("HEAD", "/manifests/a"), func() { w.tag(repository, "a", last) }), "in this moment"
		} else {
			w.tag(repository, "a", last)
		}
		result, err := retention.Undo(t.Context(), c, &journal, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s := w.shoot(repository); s.tags["a"].digest != last || s.manifests[old].updated.IsZero() {
			t.Errorf("%+v", s)
		}
		if !slices.Equal(skips(result), []retention.SkipCode{retention.SkippedMoved}) || !strings.Contains(result.Repositories[0].Skipped[0].Detail, detail) {
			t.Errorf("%s", mustJSON(t, result))
		}
	}
}

// Content that the registry has freed cannot be put back, and that is what Undo says.
func TestUndoWithoutBlobs(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t)
	w := &world{t: t, srv: srv, http: srv.HTTPClient(), made: map[digest.Digest]*manifest{}}
	srv.SeedImage(t, "apps/web:a")
	srv.SeedImage(t, "apps/web:z")
	w.days(90)
	var journal bytes.Buffer
	w.apply(w.client(), w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)), &retention.ApplyOptions{Journal: &journal})
	if _, err := srv.Collect(0); err != nil {
		t.Fatal(err)
	}
	result, err := retention.Undo(t.Context(), w.client(), &journal, nil)
	if err != nil || !slices.Contains(skips(result), retention.SkippedBlobsGone) {
		t.Errorf("%v %s", err, mustJSON(t, result))
	}
	for _, s := range result.Repositories[0].Skipped {
		if s.Code == retention.SkippedBlobsGone && (!strings.Contains(s.Detail, "push the image again") || strings.Contains(s.Detail, "BlobWait")) {
			t.Errorf("%s: %s", s.What, s.Detail)
		}
	}
}

// A plan from which somebody has taken an index: the index stays, and so do its images.
func TestProtect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.put(w.image())
	i := w.put(w.index(a), "a")
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	r := p.Repositories[0]
	r.Delete = slices.DeleteFunc(r.Delete, func(m retention.Manifest) bool { return m.Digest == i })
	r.Manifests.Delete, r.Tags.Delete = 1, 0
	result := w.apply(w.client(), p, nil)
	w.demand(outcome{stays: []digest.Digest{a, i}, tags: []string{"a", "z"}})
	if !slices.Equal(skips(result), []retention.SkipCode{retention.SkippedNeeded}) {
		t.Errorf("%s", mustJSON(t, result))
	}
}
