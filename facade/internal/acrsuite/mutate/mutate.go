// Package mutate breaks guards, the lines on which safety rests, one at a time, and demands that a test fails each time: a guard that
// no test misses is no guard. The tables of guards are in the tests of this package, and in those of package retention.
package mutate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutations is the flag without which Run does nothing.
var mutations = flag.Bool("mutate", false, "break every guard in turn, and demand that its test fails")

// Guard is a line of a source file, what breaks it, and the tests that then fail. Paths are relative to the directory of the table.
type Guard struct {
	Name   string
	File   string
	Line   string // occurs once in the file
	Broken string // what takes its place
	Dir    string // of the package of the tests; empty: that of the table
	Test   string // regular expression for the beginning of their names
}

// Check demands that each guard is there, and that its name is its own, so that a table stays true when the code changes.
func Check(t *testing.T, guards []Guard) {
	t.Helper()
	names := map[string]bool{}
	for _, g := range guards {
		if names[g.Name] {
			t.Errorf("two guards are named %q", g.Name)
		}
		names[g.Name] = true
		if _, err := g.broken(); err != nil {
			t.Error(err)
		}
	}
}

// broken returns the file with the guard broken.
func (g Guard) broken() (string, error) {
	source, err := os.ReadFile(g.File)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), g.Line); n != 1 || g.Line == g.Broken {
		return "", fmt.Errorf("%s: the line has to occur once in %s, not %d times, and to change: %s", g.Name, g.File, n, g.Line)
	}
	return strings.Replace(string(source), g.Line, g.Broken, 1), nil
}

// Run breaks each guard and runs its tests, one guard after another, with the arguments for the tests. Nothing is written into the
// source tree.
func Run(t *testing.T, guards []Guard, args ...string) {
	t.Helper()
	if !*mutations {
		t.Skip("takes minutes: make mutate")
	}
	killed, tried := 0, 0
	for _, g := range guards {
		t.Run(g.Name, func(t *testing.T) {
			tried++
			if out := g.test(t, args); !t.Failed() {
				killed++
				t.Logf("fails: %s", strings.Join(failures(out), " "))
			}
		})
	}
	fmt.Fprintf(os.Stdout, "mutation: %d of %d broken guards turn their test red\n", killed, tried)
}

// test runs the tests of a broken guard, which have to fail, and returns what they print.
func (g Guard) test(t *testing.T, args []string) []byte {
	t.Helper()
	text, err := g.broken()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	broken := filepath.Join(dir, filepath.Base(g.File))
	path, err := filepath.Abs(g.File)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{broken: []byte(text), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	arguments := []string{"test", "-vet=off", "-ldflags=-s -w", "-timeout=5m", "-overlay=" + filepath.Join(dir, "overlay.json"), "-run=^(" + g.Test + ")"}
	if arguments = append(arguments, "."); len(args) > 0 {
		arguments = append(append(arguments, "-args"), args...)
	}
	cmd := exec.CommandContext(t.Context(), "go", arguments...) //nolint:gosec // of the table
	cmd.Dir = g.Dir
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("%s passes without this guard", g.Test)
	case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
		t.Fatalf("the broken source does not compile:\n%s", out)
	}
	return out
}

// failures returns the names of the tests that failed.
func failures(out []byte) (names []string) {
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			names = append(names, name)
		}
	}
	return names
}
