package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree writes small files and two that are big enough for layers of their own.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, n := range map[string]int{
		"a.txt": 10, "empty": 0, "sub/b.txt": 2000, "sub/deep/c": 1, "big": 9 << 20, "sub/medium": bigFile, ".git/config": 5,
	} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, bytes.Repeat([]byte(name), n/len(name)+1)[:n], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTourAgainstTheEmulator(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), &out, "", tree(t)); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		`1\. Pack`,
		`big +9\.0 MiB  a layer of its own`,
		`small-files\.tar +\S+ KiB  4 files in one tar`,
		`tag +v1 -> sha256:`,
		`v1: delete disabled, write disabled`,
		`405\s+REGISTRY_DISALLOWED_OPERATION`,
		`v1: delete enabled, write enabled`,
		`6 files, 10\.0 MiB: every one identical`,
		`push +\S+ MiB`,
		`copy to another repository +\S+ MiB .* mounted`,
		`pull for linux/arm64 +\S+ MiB`,
		`index sha256:\w+ \(image\)`,
		`├─ image sha256:\w+ linux/amd64`,
		`└─ referrer sha256:\w+ application/spdx\+json`,
		`nothing is left: the registry answers 404 NAME_UNKNOWN`,
		`step +registry +tokens +storage +sent +received +time`,
		`(?m)^ *total `,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the tour does not say %q", want)
		}
	}
	if strings.ContainsAny(out.String(), "\r\x1b") {
		t.Error("control characters were written to what is no terminal")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestTourThatIsInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	reg, err := connect("")
	if err != nil {
		t.Fatal(err)
	}
	defer reg.close()
	w := &trigger{on: "3. List", do: cancel}
	walk := newTour(w, reg, t.TempDir())
	if err := walk.walk(ctx, tree(t)); err == nil {
		t.Fatal("an interrupted tour ended well")
	}
	walk.abandon(ctx)
	for name, err := range reg.client.Repositories(t.Context(), nil) {
		t.Errorf("repository %s is left (%v)", name, err)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"-version"}, 0, "tour (github.com/acrkit/acrkit) ", ""},
		{[]string{"-h"}, 0, "", envEndpoint},
		{[]string{"-nonsense"}, 2, "", "-nonsense"},
		{[]string{"somewhere"}, 2, "", "unexpected argument"},
		{[]string{"-dir", "/nowhere/at/all"}, 1, "", "tour: pack: "},
	} {
		var stdout, stderr bytes.Buffer
		p := program.Process{Name: "tour", Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: &stderr}
		code := p.Status(command(t.Context(), p, row.args))
		if code != row.code || !strings.Contains(stdout.String(), row.stdout) || !strings.Contains(stderr.String(), row.stderr) {
			t.Errorf("%q: status %d\n%s\n%s", row.args, code, stdout.String(), stderr.String())
		}
	}
}

// trigger does something when a text is written.
type trigger struct {
	on string
	do func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.on) {
		w.do()
	}
	return len(p), nil
}

func TestCompareFindsEveryDifference(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	files, err := collect(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pack(files, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if n, err := compare(files, dir); err != nil || n == 0 {
		t.Fatalf("a directory differs from itself: %d, %v", n, err)
	}
	for name, harm := range map[string]func(string) error{
		"a byte": func(p string) error {
			return os.WriteFile(filepath.Join(p, "a.txt"), []byte("a.txta.txX"), fs.FileMode(0o600))
		},
		"longer":  func(p string) error { return os.WriteFile(filepath.Join(p, "empty"), []byte{0}, 0o600) },
		"missing": func(p string) error { return os.Remove(filepath.Join(p, "big")) },
		"more":    func(p string) error { return os.WriteFile(filepath.Join(p, "more"), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := tree(t)
			if err := harm(other); err != nil {
				t.Fatal(err)
			}
			if _, err := compare(files, other); err == nil {
				t.Error("no difference was found")
			}
		})
	}
}

func TestUnpackStaysInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "evil.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeTar(f, []file{{name: "../escaped", path: os.DevNull, mode: 0o600}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(dir, "inside")
	if err := os.Mkdir(inside, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := unpack(name, inside); err == nil {
		t.Error("a file was unpacked out of the directory")
	}
	if _, err := os.Stat(filepath.Join(dir, "escaped")); err == nil {
		t.Error("a file stands out of the directory")
	}
}
