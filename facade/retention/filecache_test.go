package retention_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/retention"
)

// A cache forgets what was not used for long, and nothing that is used.
func TestFileCacheForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "cache")
		run := func(load ...string) (found int) {
			c, err := retention.OpenFileCache(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range load {
				if entry, ok := c.Load(key); ok && bytes.Equal(entry, []byte(key)) {
					found++
				}
			}
			c.Store("new", []byte("new"))
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			return found
		}
		// Lines of an earlier version tell no day.
		if err := os.WriteFile(path, []byte(`{"k":"1","e":1}`+"\n"+`{"k":"2","e":2}`+"\n"+`{"k":"text","t":"text"}`+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(60 * 24 * time.Hour)
			if n := run("1", "text"); n != 2 {
				t.Errorf("%d of 2 are left", n)
			}
		}
		if n := run("2"); n != 0 {
			t.Error("an entry that nobody used for 300 days is left")
		}
	})
}

// The same content is another manifest under another media type.
func TestCacheOfOtherMediaTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	needed := w.put(w.image(), "a")
	m := w.image()
	m.content = bytes.Replace(m.content, []byte(`"mediaType":"`+m.mediaType+`",`), []byte(`"needs":["`+string(needed)+`"],`), 1)
	w.push("known", "v1", m)
	strange := *m
	strange.mediaType = "application/vnd.example.new.v1+json"
	w.strange = true
	d := w.put(&strange, "keep")
	w.put(w.image(), "z")
	w.days(90)
	cache, err := retention.OpenFileCache(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	c := newClientVia(t, w.srv, w.http)
	if _, err := retention.Storage(t.Context(), c, &retention.ReadOptions{Cache: cache, Repositories: []string{"known"}}); err != nil {
		t.Fatal(err)
	}
	w.clean(rulesOf(t, `"delete":[{"name":"d","tags":{"glob":["a"]},"olderThan":"1d"}]`), &retention.PlanOptions{Cache: cache, Repositories: []string{repository}})
	w.demand(outcome{stays: []digest.Digest{d, needed}, tags: []string{"keep", "z"}})
}
