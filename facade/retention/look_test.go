package retention_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// A manifest whose time is in the future hides no push.
func TestLookBesideAClockThatIsAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	deletions := 0
	c := w.before(func(r *http.Request) {
		if r.Method != http.MethodDelete {
			return
		}
		if deletions++; deletions == 1 {
			w.srv.Advance(2 * time.Hour)
			w.put(w.image(), "future")
			w.srv.Advance(-2 * time.Hour)
		} else {
			w.put(w.index(a, b), "new")
		}
	})
	result := w.apply(c, p, &retention.ApplyOptions{Batch: 1, Concurrency: 1})
	if s := w.shoot(repository); s.manifests[a].updated.IsZero() || s.manifests[b].updated.IsZero() {
		t.Errorf("lost: %s", mustJSON(t, result))
	}
}

// What has no time may have been pushed in this moment.
func TestLookAtWhatHasNoTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
	last := w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	var pushed digest.Digest
	anyTime := regexp.MustCompile(`Time":"20[^"]*"`)
	c := newClientVia(t, w.srv, rewriting{w.http, func(path, body string) string {
		if pushed == "" && strings.Contains(path, "/_manifests/") { // the first is checked
			pushed = w.put(w.index(a, b), "new")
		}
		at := strings.Index(body, string(pushed))
		if pushed == "" || at < 0 || !strings.HasSuffix(path, "/_manifests") {
			return body
		}
		end := at + strings.IndexByte(body[at:], '}')
		return body[:at] + anyTime.ReplaceAllString(body[at:end], `Time":"0001-01-01T00:00:00Z"`) + body[end:]
	}})
	w.apply(c, p, &retention.ApplyOptions{Concurrency: 1})
	w.demand(outcome{stays: []digest.Digest{a, b, pushed, last}, tags: []string{"new", "z"}})
}

// What is pushed while the lists are read may be in none of them.
func TestPushedWhileTheListsAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, acrtest.WithMemoryNetwork())
		a, last := w.put(w.image(), "a"), w.put(w.image(), "z")
		loose := w.put(w.docker(w.image()))
		w.days(90)
		p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
		var pushed digest.Digest
		c := w.between(isRequest("GET", "/_tags"), func() {
			pushed = w.put(w.index(a))
			w.send("DELETE", "/v2/"+repository+"/manifests/"+string(loose), "", nil)
			time.Sleep(20 * time.Minute)
			w.tag(repository, "z", last)
		})
		w.apply(c, p, nil)
		w.demand(outcome{stays: []digest.Digest{a, pushed, last}, tags: []string{"a", "z"}})
	})
}

// What was gone when it was looked at is looked at again, though its time is not newer.
func TestLookAtWhatWasGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
	w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	m := w.index(a, b)
	looks, step := 0, 0
	c := w.before(func(r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "timedesc") {
			looks++
		}
		switch {
		case step == 0 && looks == 1:
			step++
			w.put(m)
		case step == 1 && strings.HasSuffix(r.URL.Path, "/v2/"+repository+"/manifests/"+string(m.digest)):
			step++
			w.send("DELETE", "/v2/"+repository+"/manifests/"+string(m.digest), "", nil)
		case step == 2 && r.Method == http.MethodDelete:
			step++
			w.srv.Advance(-5 * time.Minute) // a replica whose clock is behind
			w.put(m, "new")
		}
	})
	w.apply(c, p, &retention.ApplyOptions{Concurrency: 1})
	w.demand(outcome{stays: []digest.Digest{a, b}, tags: []string{"new", "z"}})
}

// What was found of what was pushed is put right though the rest cannot be read, and what cannot be read may need anything.
func TestLookThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
	last := w.put(w.image(), "z")
	w.days(90)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
	deletions := 0
	var known, unknown digest.Digest
	c := w.before(func(r *http.Request) {
		if r.Method != http.MethodDelete {
			return
		}
		if deletions++; deletions == 2 {
			known = w.put(w.index(a), "known")
			unknown = w.put(w.index(b), "unknown")
			w.srv.On("GetManifest").Path(string(unknown)).Always().Status(http.StatusBadRequest)
			w.srv.On("GetManifestProperties").Path(string(unknown)).Always().Status(http.StatusBadRequest)
		}
	})
	result := w.apply(c, p, &retention.ApplyOptions{Concurrency: 1})
	w.srv.ClearFaults()
	w.demand(outcome{stays: []digest.Digest{a, b, known, unknown, last}, tags: []string{"known", "unknown", "z"}})
	if r := result.Repositories[0]; r.State != retention.Stopped {
		t.Errorf("%s", mustJSON(t, r))
	}
}
