package facade_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A reader pastes what compiles: every block of Go in the README stands in testdata/readme, which is built and tested.
func TestReadmeProgramsRun(t *testing.T) {
	t.Parallel()
	var built strings.Builder
	for _, name := range []string{"main.go", "main_test.go", "keepthree_test.go"} {
		built.WriteString(read(t, "../testdata/readme/"+name))
	}
	blocks := strings.Split(read(t, "../README.md"), "```go\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("README.md holds no program")
	}
	for _, b := range blocks {
		block, _, _ := strings.Cut(b, "```")
		if !strings.Contains(built.String(), strings.TrimPrefix(block, "package main\n")) {
			t.Errorf("testdata/readme does not hold\n%s", block)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "../testdata/readme").CombinedOutput()
	if err != nil {
		t.Errorf("go test: %v\n%s", err, out)
	}
}

// The tutorial in the documentation of the emulator is the test that stands in testdata/readme, and fits on a page.
func TestTutorialRuns(t *testing.T) {
	t.Parallel()
	_, built, ok := strings.Cut(read(t, "../testdata/readme/retention_test.go"), "\nfunc TestRetention(")
	if !ok {
		t.Fatal("testdata/readme/retention_test.go holds no TestRetention")
	}
	built = "func TestRetention(" + built
	var told strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(built, "\n"), "\n") {
		if line != "" {
			line = "\t" + line
		}
		told.WriteString("//" + line + "\n")
	}
	if !strings.Contains(read(t, "acrtest/doc.go"), told.String()) {
		t.Errorf("facade/acrtest/doc.go does not hold\n%s", told.String())
	}
	if n := strings.Count(built, "\n"); n >= 40 {
		t.Errorf("the tutorial has %d lines", n)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
