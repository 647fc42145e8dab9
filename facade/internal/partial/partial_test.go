package partial_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/partial"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const content = "half and half"

var dgst = digest.FromString(content)

// begin writes the first half of the content and leaves the file with an error.
func begin(t *testing.T, path string, o partial.Options, err error) {
	t.Helper()
	f, openErr := partial.Open(path, dgst, o)
	if openErr != nil {
		t.Fatal(openErr)
	}
	if _, n := f.Prefix(); n != 0 {
		t.Fatalf("a new file has %d bytes", n)
	}
	if err := f.Sized(int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content[:4]), 0); err != nil {
		t.Fatal(err)
	}
	f.Written(4)
	f.Leave(err)
}

// left is how many files are in the directory.
func left(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A file is hidden until it is complete. One that broke off is continued by the next download of the same blob.
func TestContinued(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || runtime.GOOS == "aix" || runtime.GOOS == "solaris" {
		t.Skip("nothing is continued here")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "blob")
	begin(t, path, partial.Options{Sync: true, Resume: true}, io.ErrUnexpectedEOF)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("half a file has its name")
	}
	f, err := partial.Open(path, dgst, partial.Options{Sync: true, Resume: true})
	if err != nil {
		t.Fatal(err)
	}
	r, n := f.Prefix()
	got := make([]byte, n)
	if _, err := r.ReadAt(got, 0); err != nil || string(got) != content[:4] {
		t.Fatalf("%q, %v", got, err)
	}
	// A second user gets a file of its own.
	other, err := partial.Open(path, dgst, partial.Options{Resume: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, n := other.Prefix(); n != 0 || other.Name() == f.Name() {
		t.Errorf("two users share %s", f.Name())
	}
	other.Leave(io.ErrUnexpectedEOF)
	if _, err := f.WriteAt([]byte(content[4:]), 4); err != nil {
		t.Fatal(err)
	}
	if err := f.Complete(int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != content || left(t, dir) != 1 {
		t.Errorf("%q, %v, %d files", text, err, left(t, dir))
	}
}

// What is worth nothing to the next download is removed.
func TestLeft(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		options partial.Options
		err     error
	}{
		"no resumption": {partial.Options{}, io.ErrUnexpectedEOF},
		"wrong content": {partial.Options{Resume: true}, transfer.ErrDigestMismatch},
		"wrong size":    {partial.Options{Resume: true}, transfer.ErrSizeMismatch},
	} {
		dir := t.TempDir()
		begin(t, filepath.Join(dir, "blob"), row.options, row.err)
		if n := left(t, dir); n != 0 {
			t.Errorf("%s: %d files are left", name, n)
		}
	}
	for _, path := range []string{t.TempDir(), t.TempDir() + string(filepath.Separator)} {
		if _, err := partial.Open(path, dgst, partial.Options{Resume: true}); err == nil {
			t.Errorf("%s is no name of a file", path)
		}
	}
}
