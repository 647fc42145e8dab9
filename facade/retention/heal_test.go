package retention_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// C3: what was pushed while a batch was deleted, and needs something of it, gets it back.
func TestApplyHeals(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} { // the index that was deleted is pushed again, by a replica whose clock is behind
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, acrtest.WithMemoryNetwork())
			a, b := w.put(w.image()), w.put(w.image())
			index := w.index(a, b)
			old := w.put(index, "a")
			sig := w.put(w.referrer("sig", a))
			w.put(w.image(), "z")
			w.days(90)
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			left := outcome{[]digest.Digest{a, sig}, []string{"new", "z"}, []digest.Digest{old, b}}
			c := w.between(func(r *http.Request) bool { return r.Method == "DELETE" && strings.HasSuffix(r.URL.Path, string(a)) }, func() {
				if again {
					w.srv.Advance(-90*24*time.Hour - time.Second)
					left.stays, left.goes = append(left.stays, b, w.put(index, "new")), nil
				} else {
					left.stays = append(left.stays, w.put(w.index(a), "new"))
				}
			})
			result := w.apply(c, p, nil)
			w.demand(left)
			if r := result.Repositories[0]; len(r.Repaired) < 2 || r.State != retention.Done {
				t.Errorf("%s", mustJSON(t, r))
			}
		})
	}
}

// What was pushed meanwhile and cannot be read may need everything: what has just been deleted comes back, and the rest stays.
func TestHealOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, attributes string
		gone             bool // it was deleted again
	}{
		{"in quarantine", `{"quarantineState":"Quarantined"}`, false},
		{"not to be read", `{"readEnabled":false}`, false},
		{"gone again", ``, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b, other := w.put(w.image(), "a"), w.put(w.image(), "b"), w.put(w.image(), "c")
			last := w.put(w.image(), "z")
			w.days(90)
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			deletions := 0
			c := w.between(func(r *http.Request) bool {
				if r.Method == http.MethodDelete {
					deletions++
				}
				return deletions == 2
			}, func() {
				index := w.put(w.index(a, b, other))
				if row.gone {
					w.send("DELETE", "/v2/"+repository+"/manifests/"+string(index), "", nil)
				} else {
					w.patch(repository, string(index), row.attributes)
				}
			})
			result := w.apply(c, p, &retention.ApplyOptions{Batch: 2, Concurrency: 1})
			if row.gone {
				w.demand(outcome{stays: []digest.Digest{last}, goes: []digest.Digest{a, b, other}, tags: []string{"z"}})
				return
			}
			s := w.shoot(repository)
			for _, d := range []digest.Digest{a, b, other, last} {
				if _, there := s.manifests[d]; !there {
					t.Errorf("%s is gone: %s", d, mustJSON(t, result))
				}
			}
		})
	}
}

// An index that is put back keeps the images that were still to be deleted.
func TestHealLeavesWhatIsStillToGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image()), w.put(w.image())
	old := w.put(w.index(a, b), "a")
	sig := w.put(w.referrer("sig", b))
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	var outer digest.Digest
	c := w.between(isRequest("DELETE", string(old)), func() { outer = w.put(w.index(old), "new") })
	result := w.apply(c, p, &retention.ApplyOptions{Batch: 1})
	w.demand(outcome{stays: []digest.Digest{a, b, sig, old, outer}, tags: []string{"new", "z"}})
	if r := result.Repositories[0]; r.State != retention.Done || len(r.Repaired) != 1 || len(r.Skipped) != 3 {
		t.Errorf("%s", mustJSON(t, r))
	}
}

// What was pushed just before the repository is judged again gets back what it needs, though the judgement has seen it; and what
// that needs is not deleted.
func TestHealBehindAJudgement(t *testing.T) {
	t.Parallel()
	for _, pushedBefore := range []string{"the lists", "the look"} {
		t.Run(pushedBefore, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, acrtest.WithMemoryNetwork())
				a, b := w.put(w.image()), w.put(w.image())
				old := w.put(w.index(a, b), "a")
				w.put(w.image(), "z")
				w.days(90)
				p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
				var pushed digest.Digest
				deleted, slept, listed := false, false, false
				c := w.before(func(r *http.Request) {
					look := strings.Contains(r.URL.RawQuery, "timedesc")
					list := strings.HasSuffix(r.URL.Path, "/_manifests") && !look
					deleted = deleted || r.Method == http.MethodDelete
					switch {
					case !deleted, pushed != "":
					case look && !slept: // behind the batch
						slept = true
						time.Sleep(11 * time.Minute)
					case list && pushedBefore == "the lists", look && listed:
						pushed = w.put(w.index(old), "new")
					}
					listed = listed || list && slept
				})
				result := w.apply(c, p, &retention.ApplyOptions{Batch: 1})
				w.demand(outcome{stays: []digest.Digest{a, b, old, pushed}, tags: []string{"new", "z"}})
				if n := w.srv.Ledger().Count("DeleteManifest"); n != 1 || len(result.Repositories[0].Repaired) != 1 {
					t.Errorf("%d deletions, %s", n, mustJSON(t, result))
				}
			})
		})
	}
}

// An apply that is interrupted in the middle of a batch still puts back what something needs that was pushed in that moment.
func TestHealWhenInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	ctx, cancel := context.WithCancel(t.Context())
	deletions := 0
	var pushed digest.Digest
	c := w.between(func(r *http.Request) bool {
		if r.Method == http.MethodDelete {
			deletions++
		}
		return deletions == 2
	}, func() {
		pushed = w.put(w.index(a, b), "new")
		cancel()
	})
	_, err := retention.Apply(ctx, c, p, &retention.ApplyOptions{Journal: &bytes.Buffer{}, Concurrency: 1})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s := w.shoot(repository)
	for _, d := range []digest.Digest{a, b, pushed} {
		if _, there := s.manifests[d]; !there {
			t.Errorf("%s was lost", d)
		}
	}
}

// What the registry deleted along with its subject comes back too if somebody needs it, also if nobody could ask for it in time:
// the apply ended in this moment, or the registry gave no answer.
func TestHealOfWhatWentAlong(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"interrupted", "no answer", "answered with an error"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, acrtest.WithMemoryNetwork())
			image := w.put(w.image(), "a")
			sig := w.put(w.referrer("sig", image))
			last := w.put(w.image(), "z")
			w.days(90)
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var pushed digest.Digest
			w.srv.On("DeleteManifest").Always().Do(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
				pushed = w.put(w.index(sig), "new")
				switch name {
				case "interrupted":
					cancel()
					next.ServeHTTP(rw, r)
				case "no answer":
					next.ServeHTTP(rw, r)
					w.srv.On("GetManifestProperties").Path(string(sig)).Nth(1).Status(http.StatusBadRequest)
				default:
					next.ServeHTTP(httptest.NewRecorder(), r)
					w.srv.On("GetManifestProperties").Path(string(image)).Always().Status(http.StatusBadRequest)
					rw.WriteHeader(http.StatusInternalServerError)
				}
			})
			c := newClientVia(t, w.srv, w.http)
			_, err := retention.Apply(ctx, c, p, &retention.ApplyOptions{Journal: &bytes.Buffer{}, Concurrency: 1})
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			w.srv.ClearFaults()
			w.demand(outcome{stays: []digest.Digest{sig, pushed, last}, tags: []string{"new", "z"}})
		})
	}
}

// A panic of the caller's code is raised after what was pushed meanwhile has got back what it needs.
func TestHealBehindAPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, last := w.oldAndLast()
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	var pushed digest.Digest
	c := w.between(isRequest("DELETE", ""), func() { pushed = w.put(w.index(a), "new") })
	func() {
		defer func() {
			if v := recover(); v != "cry" {
				t.Error(v)
			}
		}()
		_, _ = retention.Apply(t.Context(), c, p, &retention.ApplyOptions{Journal: &bytes.Buffer{}, Progress: func(p retention.Progress) {
			if p.Phase == "delete" {
				panic("cry")
			}
		}})
	}()
	w.demand(outcome{stays: []digest.Digest{a, last, pushed}, tags: []string{"new", "z"}})
}

// What was pushed before the apply ended early, also by a panic, gets back what it needs.
func TestHealWhenInUseFails(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, acrtest.WithMemoryNetwork())
			a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
			last := w.put(w.image(), "z")
			w.days(90)
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			reads := 0
			var pushed digest.Digest
			used := func(context.Context) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					if reads++; reads == 1 {
						yield(repository+":z", nil)
						return
					}
					pushed = w.put(w.index(a, b), "new")
					if panics {
						panic("cry")
					}
					yield("", errors.New("the cluster does not answer"))
				}
			}
			c := w.between(isRequest("DELETE", ""), func() { time.Sleep(11 * time.Minute) })
			func() {
				defer func() { _ = recover() }()
				_, err := retention.Apply(t.Context(), c, p, &retention.ApplyOptions{Journal: &bytes.Buffer{}, InUse: []retention.InUse{used}, Batch: 1})
				if !errors.Is(err, retention.ErrInUse) {
					t.Error(err)
				}
			}()
			if pushed == "" {
				t.Fatal("nothing was pushed")
			}
			s := w.shoot(repository)
			for _, d := range []digest.Digest{a, b, pushed, last} {
				if s.manifests[d].updated.IsZero() {
					t.Errorf("%s was lost", d)
				}
			}
		})
	}
}
