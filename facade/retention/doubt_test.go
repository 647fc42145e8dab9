package retention_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// A registry that says "not found" of something else than a manifest has not deleted the manifest: what it consists of stays.
func TestNotFoundIsNotDeleted(t *testing.T) {
	t.Parallel()
	query := func(text string) func(*http.Request) bool {
		return func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, text) }
	}
	for name, fault := range map[string]func(w *world, index, sig digest.Digest){
		"the list of its tags": func(w *world, _, _ digest.Digest) {
			w.srv.On("ListTags").When(query("digest=")).Always().Status(http.StatusNotFound)
		},
		"its content": func(w *world, index, _ digest.Digest) {
			w.srv.On("GetManifest").Path(string(index)).Always().Status(http.StatusNotFound)
		},
		"the tag that is unlocked": func(w *world, _, _ digest.Digest) {
			w.srv.On("UpdateTagAttributes").Always().Status(http.StatusNotFound)
		},
		"its deletion": func(w *world, index, _ digest.Digest) {
			w.srv.On("DeleteManifest").Path(string(index)).Always().Status(http.StatusNotFound)
		},
		"the list of what was pushed": func(w *world, _, _ digest.Digest) {
			w.srv.On("ListManifests").When(query("timedesc")).Always().Status(http.StatusNotFound)
		},
		"the tags of its signature": func(w *world, _, sig digest.Digest) {
			w.srv.On("ListTags").When(query(sig.Encoded())).Always().Status(http.StatusNotFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := w.put(w.image()), w.put(w.image())
			index := w.put(w.index(a, b), "a")
			sig := w.put(w.referrer("sig", index), "b")
			w.put(w.image(), "z")
			w.days(90)
			w.patch(repository, "a", locked)
			cache, err := retention.OpenFileCache(filepath.Join(t.TempDir(), "cache"))
			if err != nil {
				t.Fatal(err)
			}
			c := newClientVia(t, w.srv, w.http)
			p, err := retention.Make(t.Context(), c, rulesOf(t, `"unlock":true,"delete":[`+oldTags+`]`), &retention.PlanOptions{Cache: cache})
			if err != nil || len(p.Repositories[0].Delete) != 4 {
				t.Fatalf("%v %s", err, mustJSON(t, p))
			}
			before := w.shoot(repository)
			fault(w, index, sig)
			result := w.apply(c, p, &retention.ApplyOptions{Cache: cache})
			w.srv.ClearFaults()
			if r := result.Repositories[0]; r.Deleted > 0 {
				t.Errorf("%s", mustJSON(t, r))
			}
			w.demandSame(before, w.shoot(repository))
		})
	}
}

// A deletion that was answered with an error may have been carried out all the same. Then Undo puts it back too, with what the
// registry deleted along with it.
func TestDeletedThoughAnErrorWasAnswered(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		status  int
		unknown bool // nor does the registry say what became of it
		deleted int
	}{
		{"server error", http.StatusInternalServerError, false, 4},
		{"server error, and silence", http.StatusInternalServerError, true, 0},
		{"locked by then", http.StatusMethodNotAllowed, false, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.put(w.image())
			index := w.put(w.index(a), "a")
			w.put(w.referrer("sig", index))
			w.put(w.referrer("sig", a))
			w.put(w.image(), "z")
			w.days(90)
			before := w.shoot(repository)
			p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))
			w.srv.On("DeleteManifest").Always().Do(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(httptest.NewRecorder(), r)
				if row.unknown {
					w.srv.On("GetManifestProperties").Always().Status(http.StatusInternalServerError)
				}
				rw.WriteHeader(row.status)
			})
			var journal bytes.Buffer
			c := newClientVia(t, w.srv, w.http)
			result := w.apply(c, p, &retention.ApplyOptions{Journal: &journal})
			w.srv.ClearFaults()
			if r := result.Repositories[0]; r.Deleted != row.deleted {
				t.Errorf("%s", mustJSON(t, r))
			}
			if len(w.shoot(repository).manifests) == len(before.manifests) {
				t.Error("nothing was deleted")
			}
			if _, err := retention.Undo(t.Context(), c, &journal, nil); err != nil {
				t.Fatal(err)
			}
			w.demandSame(before, w.shoot(repository))
		})
	}
}

// A locked tag that somebody moves in the moment of its deletion is locked where it is put back.
func TestUntagKeepsTheLockOfAMovedTag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.image(), "a", "keep")
	other := w.put(w.image(), "z")
	w.patch(repository, "a", locked)
	w.days(90)
	p := w.plan(rulesOf(t, `"unlock":true,"delete":[{"name":"d","tags":{"glob":["a"]},"olderThan":"1d"}]`))
	w.apply(w.between(isRequest("DELETE", "/_tags/a"), func() { w.tag(repository, "a", other) }), p, nil)
	if got := w.shoot(repository).tags["a"]; got.digest != other || !got.locked {
		t.Errorf("%+v", got)
	}
}

// Everything that is read for one purpose is read from one replica: another one may not know yet what that one has.
func TestReadsOneReplica(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, `"delete":[`+untagged+`]`)
	for name, read := range map[string]func(t *testing.T, c *acr.Client) error{
		"Each": func(t *testing.T, c *acr.Client) error {
			for _, err := range retention.Each(t.Context(), c, r, nil) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Make": func(t *testing.T, c *acr.Client) error {
			_, err := retention.Make(t.Context(), c, r, nil)
			return err
		},
		"Storage": func(t *testing.T, c *acr.Client) error {
			_, err := retention.Storage(t.Context(), c, nil)
			return err
		},
		"Snapshot": func(t *testing.T, c *acr.Client) error {
			return retention.Snapshot(t.Context(), c, filepath.Join(t.TempDir(), "snapshot"), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := acrtest.New(t, acrtest.WithReplicas("eastus", "westeurope"))
			srv.SeedManifests(t, repository, 20)
			srv.SeedManifests(t, "other", 20)
			srv.Advance(24 * time.Hour)
			if err := read(t, newClientVia(t, srv, srv.HTTPClient())); err != nil {
				t.Fatal(err)
			}
			var replicas []string
			for _, r := range srv.Ledger().Requests() {
				if !strings.HasPrefix(r.Path, "/oauth2/") && !slices.Contains(replicas, r.Replica) {
					replicas = append(replicas, r.Replica)
				}
			}
			if len(replicas) != 1 {
				t.Errorf("%v", replicas)
			}
		})
	}
}

// A list with something that is no digest is refused.
func TestListOfNoDigests(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"latest", "sha256:12", "md5:00000000000000000000000000000000", "../x"} {
		w := newWorld(t)
		w.oldAndLast()
		old := w.put(w.image())
		c := newClientVia(t, w.srv, rewriting{w.http, func(path, body string) string {
			if strings.HasSuffix(path, "/_manifests") {
				return strings.ReplaceAll(body, string(old), bad)
			}
			return body
		}})
		p, err := retention.Make(t.Context(), c, rulesOf(t, `"delete":[`+oldTags+`]`), nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.Repositories[0].Refused == nil {
			t.Errorf("%s: %s", bad, mustJSON(t, p))
		}
	}
}
