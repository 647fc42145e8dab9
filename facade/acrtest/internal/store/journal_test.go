package store

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"
)

// A journal of which whole lines are missing, doubled or out of their place is refused: it would be another registry.
func TestJournalWithLinesOutOfPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		push(t, st, "app", n, "latest")
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	path := tree{root: dir}.journal()
	whole := must[[]byte](t)(os.ReadFile(path))
	lines := bytes.SplitAfter(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	if len(lines) < 5 {
		t.Fatalf("%d lines", len(lines))
	}
	refused := func(what string, at int, changed [][]byte) {
		t.Helper()
		if err := os.WriteFile(path, slices.Concat(changed...), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := Open(Options{Dir: dir})
		if err == nil {
			_ = st.Close()
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("line %d %s: %v", at+1, what, err)
		}
	}
	for i := range len(lines) - 1 { // the last line alone cannot be missed
		refused("missing", i, slices.Delete(slices.Clone(lines), i, i+1))
		refused("doubled", i, slices.Insert(slices.Clone(lines), i, lines[i]))
		swapped := slices.Clone(lines)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		refused("after the next one", i, swapped)
		refused("at the end", i, append(slices.Delete(slices.Clone(lines), i, i+1), lines[i]))
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	st, err = Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	push(t, st, "app", 4)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err = Open(Options{Dir: dir}); err != nil {
		t.Fatalf("what was added after a start: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}
