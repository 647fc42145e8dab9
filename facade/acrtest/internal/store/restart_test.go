package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// churn makes random changes of every kind.
func churn(t testing.TB, st *Store, c *clock, random *rand.Rand, steps int) {
	t.Helper()
	var pushed []digest.Digest
	for range steps {
		name := fmt.Sprintf("r%d", random.IntN(3))
		tag := fmt.Sprintf("t%d", random.IntN(10))
		c.advance(1e9)
		var d digest.Digest
		if len(pushed) > 0 {
			d = pushed[random.IntN(len(pushed))]
		}
		var err error
		switch random.IntN(14) {
		case 0, 1, 2, 3, 4:
			var b Blob
			if b, err = st.PutBlob(name, strings.NewReader(fmt.Sprint("blob", random.IntN(20))), ""); err != nil {
				break
			}
			var m Manifest
			m, err = st.PutManifest(name, Push{MediaType: mediaType, Content: image(b.Digest, random.IntN(30)), Tags: []string{tag}})
			pushed = append(pushed, m.Digest)
			if d != "" {
				_, _ = st.PutManifest(name, Push{MediaType: mediaType, Content: referring(b.Digest, d, "a/b")})
			}
		case 5:
			_, err = st.DeleteTag(name, tag)
		case 6:
			err = st.DeleteManifest(name, d)
		case 7:
			if random.IntN(4) == 0 {
				_, _, err = st.DeleteRepository(name)
			}
		case 8:
			_, err = st.UpdateTag(name, tag, Change{List: new(random.IntN(2) == 0)})
		case 9:
			_, err = st.UpdateManifest(name, d, Change{Read: new(random.IntN(2) == 0), QuarantineState: new("Passed")})
		case 10:
			_, err = st.UpdateRepository(name, Change{List: new(random.IntN(2) == 0)})
		case 11:
			err = st.Restore(name, d, tag, random.IntN(2) == 0)
		case 12:
			_, err = st.MountBlob(name, fmt.Sprintf("r%d", random.IntN(3)), digest.FromString(fmt.Sprint("blob", random.IntN(20))))
		default:
			_, err = st.Collect(0)
		}
		known := err == nil
		for _, e := range []error{ErrTagUnknown, ErrManifestUnknown, ErrRepositoryUnknown, ErrBlobUnknown, ErrDisallowed, ErrConflict} {
			known = known || errors.Is(err, e)
		}
		if !known {
			t.Fatal(err)
		}
	}
}

// TestRestart wants the state after a restart to be that before it, with and without a journal
// written anew.
func TestRestart(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			opts := Options{Dir: t.TempDir(), Now: c.now}
			if seed%2 == 1 {
				opts.SoftDelete = 300e9
			}
			st := must[*Store](t)(Open(opts))
			key := bytes.Clone(st.SigningKey())
			random := rand.New(rand.NewPCG(seed, 0))
			for range 5 {
				churn(t, st, c, random, 300)
				want := dump(t, st.primary)
				if err := st.Close(); err != nil {
					t.Fatal(err)
				}
				st = must[*Store](t)(Open(opts))
				if diff := cmp.Diff(want, dump(t, st.primary)); diff != "" {
					t.Fatalf("after a restart (-before +after):\n%s", diff)
				}
				if !bytes.Equal(key, st.SigningKey()) {
					t.Error("the signing key changed")
				}
				compareFiles(t, st)
			}
			if lines := st.journal.lines; lines > 2000 {
				t.Errorf("the journal has %d lines for a state of %d", lines, st.primary.size())
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// compareFiles wants a file for each blob, and no other.
func compareFiles(t *testing.T, st *Store) {
	t.Helper()
	files := map[string]bool{}
	err := filepath.WalkDir(st.tree.blobs(), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for d := range st.pool.all {
		if !files[st.tree.blob(d)] {
			t.Errorf("the file of %s is gone", d)
		}
	}
	if len(files) != len(st.pool.all) {
		t.Errorf("%d files for %d blobs", len(files), len(st.pool.all))
	}
}

// TestTornJournal cuts the journal at every byte of its last line, and wants the state without that
// line.
func TestTornJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st := must[*Store](t)(Open(Options{Dir: dir}))
	push(t, st, "r", 1, "a")
	want := dump(t, st.primary)
	whole := st.journal.size
	must[Manifest](t)(st.PutManifest("r", Push{MediaType: mediaType, Content: image(digest.FromString("layer"), 2), Tags: []string{"b"}}))
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	path := tree{root: dir}.journal()
	journal := must[[]byte](t)(os.ReadFile(path))
	for cut := whole; cut < int64(len(journal)); cut += 7 {
		if err := os.WriteFile(path, journal[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		st := must[*Store](t)(Open(Options{Dir: dir}))
		if got := dump(t, st.primary); got != want {
			t.Fatalf("cut at %d:\n%s", cut, cmp.Diff(want, got))
		}
		push(t, st, "r", 3, "c") // what is appended now must not join the torn line
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		st = must[*Store](t)(Open(Options{Dir: dir}))
		if _, err := st.Tag("r", "c"); err != nil {
			t.Fatalf("cut at %d: the change after it is lost: %v", cut, err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	journal[10] ^= 1
	if err := os.WriteFile(path, journal, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a flipped bit in the first line: %v, want ErrCorrupt", err)
	}
}

// TestOneProcess wants a second store on the same directory to be refused.
func TestOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("the second store: %v, want ErrInUse", err)
	}
}

// TestSessionSurvivesRestart goes on with an upload that an earlier run began.
func TestSessionSurvivesRestart(t *testing.T) {
	t.Parallel()
	opts := Options{Dir: t.TempDir()}
	st := must[*Store](t)(Open(opts))
	u := must[*Upload](t)(st.StartUpload("r"))
	if err := u.Acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Append(strings.NewReader("hello, ")); err != nil {
		t.Fatal(err)
	}
	u.Acknowledge()
	u.Release()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(tree{root: opts.Dir}.uploads(), "stray")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	st = open(t, opts)
	u = must[*Upload](t)(st.Upload("r", u.ID))
	if err := u.Acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	defer u.Release()
	if u.Offset() != 7 || u.Acknowledged() != -1 {
		t.Errorf("offset %d, acknowledged %d; want 7, -1", u.Offset(), u.Acknowledged())
	}
	if _, err := u.Append(strings.NewReader("world")); err != nil {
		t.Fatal(err)
	}
	b := must[Blob](t)(u.Commit(digest.FromString("hello, world")))
	r := must[ContentReader](t)(b.Open())
	got := must[[]byte](t)(io.ReadAll(io.NewSectionReader(r, 0, b.Size)))
	if err := r.Close(); err != nil || string(got) != "hello, world" {
		t.Errorf("read %q, %v", got, err)
	}
	if left := must[[]os.DirEntry](t)(os.ReadDir(tree{root: opts.Dir}.uploads())); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestAbandonedUpload wants the bytes of an upload that nobody went on with to be gone at the first
// start after its time.
func TestAbandonedUpload(t *testing.T) {
	t.Parallel()
	c := newClock()
	opts := Options{Dir: t.TempDir(), Now: c.now, UploadTTL: 60e9}
	st := must[*Store](t)(Open(opts))
	u := must[*Upload](t)(st.StartUpload("r"))
	if err := u.Acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Append(strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	u.Release()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{2, 0} { // its properties and its bytes
		st := must[*Store](t)(Open(opts))
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if left := must[[]os.DirEntry](t)(os.ReadDir(st.tree.uploads())); len(left) != want {
			t.Errorf("%d files, want %d", len(left), want)
		}
		c.advance(61e9)
	}
}
