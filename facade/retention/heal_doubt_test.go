package retention_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// undo demands that Undo restores everything, the image's own tag too.
func (l *listed) undo(journal *bytes.Buffer) {
	l.t.Helper()
	if _, err := retention.Undo(l.t.Context(), l.client(), journal, nil); err != nil {
		l.t.Fatal(err)
	}
	l.whole.tags = append(l.whole.tags, "a")
	l.demand(l.whole)
}

// failThough deletes the image, and says that it failed.
func (l *listed) failThough() {
	l.srv.On("DeleteManifest").Path(string(l.image)).Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		l.srv.On("GetManifestProperties").Path(string(l.image)).Nth(1).Status(http.StatusBadRequest)
		w.WriteHeader(http.StatusInternalServerError)
	})
}

// failQuestions lets the first questions fail whether the SBOM is there, once the image is deleted.
func (l *listed) failQuestions(questions int) func(*http.Request) {
	deleted := false
	return func(r *http.Request) {
		if r.Method == http.MethodDelete && !deleted {
			deleted = true
			for n := range questions {
				l.srv.On("GetManifestProperties").Path(string(l.sbom)).Nth(n + 1).Status(http.StatusBadRequest)
			}
		} else if deleted {
			l.lockList(r)
		}
	}
}

// What is gone though the registry has not said so when it was asked is put back: a question that failed is no answer. Undo, too,
// knows of it.
func TestHealOfWhatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	for questions := range 2 {
		l := newListed(t, `"delete":[`+oldTags+`]`)
		var journal bytes.Buffer
		l.apply(l.before(l.failQuestions(questions+1)), l.plan, &retention.ApplyOptions{Concurrency: 1, Journal: &journal})
		l.demand(l.whole)
		l.send("DELETE", "/v2/"+repository+"/manifests/"+string(l.image), "", nil)
		l.undo(&journal)
	}
}

// What was deleted though the registry said that it failed is put back, and asked for once if that fails.
func TestHealOfDeletedThough(t *testing.T) {
	t.Parallel()
	for _, pushable := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := newListed(t, `"delete":[`+oldTags+`]`, acrtest.WithMemoryNetwork())
			l.failThough()
			attempts := 0
			l.srv.On("PutManifest").Path(string(l.image)).Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if attempts++; pushable || attempts > 10 {
					next.ServeHTTP(w, r)
				} else {
					w.WriteHeader(http.StatusForbidden)
				}
			})
			result := l.apply(l.client(), l.plan, &retention.ApplyOptions{Concurrency: 1})
			if pushable {
				l.demand(l.whole)
			} else if result.Complete() {
				t.Errorf("%s", mustJSON(t, result))
			}
			if attempts != 1 {
				t.Errorf("%d attempts", attempts)
			}
		})
	}
}

// What is gone and needed by nothing is counted, though nobody could say so in time.
func TestGoneThoughInDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.put(w.image(), "a")
	sbom := w.put(w.referrer("sbom", image))
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	c := w.between(isRequest("DELETE", string(image)), func() {
		for n := range 2 {
			w.srv.On("GetManifestProperties").Path(string(sbom)).Nth(n + 1).Status(http.StatusBadRequest)
		}
	})
	result := w.apply(c, p, &retention.ApplyOptions{Concurrency: 1})
	if result.Repositories[0].Deleted != 2 || !result.Complete() {
		t.Errorf("%s", mustJSON(t, result))
	}
}

// What cannot be put back is no success, and is counted once.
func TestHealThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.oldAndLast()
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	c := w.between(isRequest("DELETE", string(a)), func() {
		w.put(w.index(a), "new")
		w.srv.On("PutManifest").Path(string(a)).Always().Status(http.StatusForbidden)
	})
	result := w.apply(c, p, nil)
	r := result.Repositories[0]
	if result.Complete() || r.Deleted != 1 || len(r.Repaired) != 0 || len(r.Skipped) != 1 || r.Skipped[0].Code != retention.SkippedFailed {
		t.Errorf("%s", mustJSON(t, r))
	}

	l := newListed(t, `"delete":[`+oldTags+`]`)
	l.srv.On("PutManifest").Path(string(l.sbom)).Always().Status(http.StatusForbidden)
	result = l.apply(l.before(l.failQuestions(1)), l.plan, &retention.ApplyOptions{Concurrency: 1})
	r = result.Repositories[0]
	if result.Complete() || r.Deleted != 1 || len(r.Repaired) != 1 || len(r.Skipped) != 2 || r.Skipped[1].What != string(l.sbom) {
		t.Errorf("%s", mustJSON(t, r))
	}
}

// A list that another apply deletes in this moment does not bring back what it contains.
func TestTwoAppliesOfAList(t *testing.T) {
	t.Parallel()
	l := newListed(t, `"delete":[`+oldTags+`]`)
	c := l.between(func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/_tags") && strings.Contains(r.URL.RawQuery, l.list.Encoded())
	}, func() { l.apply(l.client(), l.plan, &retention.ApplyOptions{Concurrency: 1}) })
	l.apply(c, l.plan, &retention.ApplyOptions{Concurrency: 1})
	l.demand(outcome{goes: []digest.Digest{l.image, l.sbom, l.list}, tags: []string{"z"}})
}

// A repository that ends early leaves nothing without its parts.
func TestHealWhenTheRepositoryEnds(t *testing.T) {
	t.Parallel()
	for _, state := range []retention.State{retention.Refused, retention.Stopped} {
		w := newWorld(t)
		image := w.put(beginning("0", func() *manifest { return w.image() }), "a")
		sbom := w.put(w.referrer("sbom", image))
		list := w.put(w.index(sbom), cosign(image, ""))
		want := outcome{stays: []digest.Digest{image, sbom, list}, tags: []string{"z", cosign(image, "")}}
		if state == retention.Refused {
			w.srv.On("DeleteManifest").Path(string(list)).Always().Status(http.StatusForbidden)
		}
		for n := range 12 {
			if state == retention.Stopped {
				tag := fmt.Sprintf("b%d", n)
				d := w.put(beginning("1234567", func() *manifest { return w.image() }), tag)
				w.srv.On("DeleteManifest").Path(string(d)).Always().Status(http.StatusBadRequest)
				want.tags = append(want.tags, tag)
			}
		}
		want.stays = append(want.stays, w.put(w.image(), "z"))
		w.days(90)
		r := w.apply(w.client(), w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)), &retention.ApplyOptions{Concurrency: 1}).Repositories[0]
		w.demand(want)
		if r.State != state || r.Deleted != 0 {
			t.Errorf("%s", mustJSON(t, r))
		}
	}
}

// What somebody else deletes in this moment takes its referrers along too.
func TestHealOfWhatSomebodyElseDeletes(t *testing.T) {
	t.Parallel()
	l := newListed(t, `"delete":[`+oldTags+`]`)
	gone := false
	c := l.before(func(r *http.Request) {
		if !gone && isRequest("GET", "/_manifests/"+string(l.image))(r) {
			gone = true
			l.send("DELETE", "/v2/"+repository+"/manifests/"+string(l.image), "", nil)
		}
		l.lockList(r)
	})
	var journal bytes.Buffer
	l.apply(c, l.plan, &retention.ApplyOptions{Concurrency: 1, Journal: &journal})
	l.demand(l.whole)
	l.undo(&journal)
}

// Undo leaves alone what was in doubt, and is there: somebody may have changed it since.
func TestUndoOfWhatWasInDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.put(w.image(), "a")
	sbom := w.put(w.referrer("sbom", image), "s")
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	w.srv.On("DeleteManifest").Path(string(image)).Nth(1).Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		rw.WriteHeader(http.StatusAccepted) // a registry that does not delete referrers along
		w.patch(repository, string(sbom), locked)
	})
	var journal bytes.Buffer
	w.apply(w.client(), p, &retention.ApplyOptions{Concurrency: 1, Journal: &journal})
	w.patch(repository, string(sbom), `{"deleteEnabled":true}`)
	w.send("DELETE", "/acr/v1/"+repository+"/_tags/s", "", nil)
	if _, err := retention.Undo(t.Context(), w.client(), &journal, nil); err != nil {
		t.Fatal(err)
	}
	w.demand(outcome{stays: []digest.Digest{sbom}, tags: []string{"a", "z"}})
}

// Undo restores the tag of an image that was put back without it, and deleted again by a later run.
func TestUndoOfWhatWasPutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newListed(t, `"delete":[`+oldTags+`]`, acrtest.WithMemoryNetwork())
		l.failThough()
		var journal bytes.Buffer
		l.apply(l.client(), l.plan, &retention.ApplyOptions{Concurrency: 1, Journal: &journal})
		l.demand(l.whole)
		l.srv.ClearFaults()
		l.days(90)
		p := l.world.plan(rulesOf(t, `"delete":[`+oldTags+`,`+untagged+`]`))
		l.apply(l.client(), p, &retention.ApplyOptions{Concurrency: 1, Journal: &journal})
		l.undo(&journal)
	})
}
