package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A figure that was run is replaced, the others stay, and a command that fails or shows nothing is an error.
func TestFigures(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("before\n"+figuresBegin+figuresEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	number := regexp.MustCompile(`(\d+) done`)
	list := []figure{
		{"one", "echo 1 done; echo 2 done", number, joined},
		{"two", "echo 3 done", number, joined},
		{"silent", "true", number, joined},
		{"failing", "exit 3", number, joined},
	}
	if err := writeFigures(t.Context(), file, list, regexp.MustCompile("one")); err != nil {
		t.Fatal(err)
	}
	if err := writeFigures(t.Context(), file, list, regexp.MustCompile("silent|failing")); err == nil ||
		!strings.Contains(err.Error(), "silent: its output has no result") || !strings.Contains(err.Error(), "failing: exit status 3") {
		t.Errorf("got %v", err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	today := time.Now().Format(time.DateOnly)
	for _, want := range []string{"before\n", "| one | 1; 2 | " + today + " | `echo 1 done; echo 2 done` |\n", "| two | not run yet | |", "| failing | failed |", "after\n"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
}

func TestSums(t *testing.T) {
	t.Parallel()
	if got := lastOfEach([]string{"secrets found 1", "9 tests passed", "secrets found 0", "12 tests passed"}); got != "secrets found 0; 9 tests passed; 12 tests passed" {
		t.Error(got)
	}
	if got := added([]string{"2 cases: 1 arrived", "30 cases: 5 arrived"}); got != "32 cases: 6 arrived" {
		t.Error(got)
	}
	if got := lastOfEach([]string{"10", "20"}); got != "20" {
		t.Error(got)
	}
}

// Every fuzz test of the facade has a figure.
func TestEveryFuzzTestHasAFigure(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	err := filepath.WalkDir("../../..", func(name string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`).FindAllSubmatch(text, -1) {
			found[string(m[1])] = true
		}
		return err
	})
	if got := slices.Sorted(maps.Keys(found)); err != nil || !slices.Equal(got, fuzzTests) {
		t.Errorf("%v: fuzzTests are not %q", err, got)
	}
}

// What the page says of a figure names a command of the list.
func TestPageHasEveryFigure(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../RELIABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if !regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(f.name) + ` \| .+ \| [0-9-]* ?\| ` + regexp.QuoteMeta("`"+f.command+"`") + ` \|$`).Match(page) {
			t.Errorf("RELIABILITY.md has no row %q with %q: run make reliability FIGURES='%s'", f.name, f.command, f.name)
		}
	}
}
