package retention_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/retention"
)

// A journal of several runs tells of one tag several times. Undo puts it where it was last, and everything else back too.
func TestUndoOfSeveralRuns(t *testing.T) {
	t.Parallel()
	const moving = `"keep":[{"name":"k","tags":{"glob":["z","keep"]}}],"delete":[` + oldTags + `]`
	for _, row := range []struct {
		name string
		runs []func(w *world)
	}{
		{"a tag on one image after the other", []func(w *world){
			func(w *world) { w.put(w.image(), "latest") },
			func(w *world) { w.put(w.image(), "latest") },
			func(w *world) { w.put(w.image(), "latest", "v3") },
		}},
		{"a tag that was deleted alone, and then with its image", []func(w *world){
			func(w *world) { w.put(w.image(), "latest", "keep") },
			func(w *world) { w.put(w.image(), "latest") },
		}},
		{"a tag that was deleted with its image, and then alone", []func(w *world){
			func(w *world) { w.put(w.image(), "latest") },
			func(w *world) { w.put(w.image(), "latest", "keep") },
		}},
		{"one image twice, under different tags", []func(w *world){
			func(w *world) { w.tag(repository, "one", w.first()) },
			func(w *world) { w.tag(repository, "two", w.first()) },
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var journal bytes.Buffer
			want := shot{map[digest.Digest]shotManifest{}, map[string]shotTag{}}
			for _, push := range row.runs {
				push(w)
				w.days(90)
				w.put(w.image(), "z")
				w.days(90)
				s := w.shoot(repository)
				maps.Copy(want.manifests, s.manifests)
				maps.Copy(want.tags, s.tags)
				w.apply(w.client(), w.plan(rulesOf(t, moving)), &retention.ApplyOptions{Journal: &journal})
			}
			for range 2 {
				if _, err := retention.Undo(t.Context(), w.client(), bytes.NewReader(journal.Bytes()), nil); err != nil {
					t.Fatal(err)
				}
				w.demandSame(want, w.shoot(repository))
			}
		})
	}
}

// A deletion that came to nothing puts no tag back: not if the journal says so, and not if it was interrupted and begun again.
func TestUndoOfWhatCameToNothing(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(journal []byte) []byte{
		"left": func(j []byte) []byte { return bytes.Replace(j, []byte(`"done":"deleted"`), []byte(`"done":"left"`), 1) },
		"interrupted": func(j []byte) []byte {
			return j[:bytes.LastIndexByte(bytes.TrimSuffix(j, []byte("\n")), '\n')+1]
		},
	} {
		w := newWorld(t)
		run := func(tag string) []byte {
			w.tag(repository, tag, w.first())
			w.days(90)
			w.put(w.image(), "z")
			w.days(90)
			var journal bytes.Buffer
			w.apply(w.client(), w.plan(rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["z"]}}],"delete":[`+oldTags+`]`)), &retention.ApplyOptions{Journal: &journal})
			return journal.Bytes()
		}
		first := run("one")
		edited := edit(first)
		if bytes.Equal(edited, first) {
			t.Fatalf("%s: %s", name, first)
		}
		if _, err := retention.Undo(t.Context(), w.client(), bytes.NewReader(slices.Concat(edited, run("two"))), nil); err != nil {
			t.Fatal(err)
		}
		if got := w.srv.Tags(repository); !slices.Equal(got, []string{"two", "z"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// first is an image that is the same each time.
func (w *world) first() digest.Digest {
	for d := range w.made {
		if w.made[d].artifact == "first" {
			return d
		}
	}
	m := w.image()
	m.artifact = "first"
	return w.push(repository, "", m)
}

// A journal in which a name could control a terminal is refused.
func TestUndoRefusesNamesThatControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.image(), "a", "keep")
	w.put(w.image(), "b")
	w.put(w.image(), "z")
	w.days(90)
	var journal bytes.Buffer
	r := rulesOf(t, `"keep":[{"name":"k","tags":{"glob":["keep","z"]}}],"delete":[`+oldTags+`]`)
	w.apply(w.client(), w.plan(r), &retention.ApplyOptions{Journal: &journal})
	for _, edit := range [][2]string{
		{`"repository":"apps/web"`, `"repository":"apps/web\u001b[2J"`},
		{`"tag":"a"`, `"tag":"a\u202e"`},
		{`"name":"b"`, `"name":"b\nc"`},
	} {
		edited := strings.Replace(journal.String(), edit[0], edit[1], 1)
		if edited == journal.String() {
			t.Fatalf("%s is not in %s", edit[0], journal.String())
		}
		if _, err := retention.Undo(t.Context(), w.client(), strings.NewReader(edited), nil); !errors.Is(err, retention.ErrJournal) {
			t.Errorf("%s: %v", edit[1], err)
		}
	}
}

// A journal that is at its end, as right after Apply, is not one without deletions.
func TestUndoOfAJournalAtItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.oldAndLast()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "deleted.jsonl"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := retention.Undo(t.Context(), w.client(), f, nil); err != nil {
		t.Errorf("an empty journal: %v", err)
	}
	w.apply(w.client(), w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)), &retention.ApplyOptions{Journal: f})
	if _, err := retention.Undo(t.Context(), w.client(), f, nil); !errors.Is(err, retention.ErrJournal) {
		t.Errorf("at its end: %v", err)
	}
	if _, err := retention.Undo(t.Context(), w.client(), nil, nil); !errors.Is(err, retention.ErrJournal) {
		t.Errorf("none: %v", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if result, err := retention.Undo(t.Context(), w.client(), f, nil); err != nil || result.Repositories[0].Restored != 2 {
		t.Errorf("%v, %s", err, mustJSON(t, result))
	}
}
