//go:build unix && !aix && !solaris

package partial_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/partial"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// A pipe or a device is not replaced by a file, nor is somebody else's file in a directory for everybody.
func TestNotReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	paths := []string{fifo, os.DevNull, dir}
	for i, target := range []string{fifo, os.DevNull, dir} { // as /dev/stdout is one
		link := filepath.Join(dir, fmt.Sprintf("link%d", i))
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, link)
	}
	if os.Geteuid() == 0 {
		shared := filepath.Join(dir, "shared")
		path := filepath.Join(shared, "blob")
		err := errors.Join(os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777|os.ModeSticky), os.WriteFile(path, nil, 0o600), os.Chown(path, 12345, 12345))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		var pathError *os.PathError
		if _, err := partial.Open(path, dgst, partial.Options{Resume: true}); !errors.As(err, &pathError) {
			t.Errorf("%s: %v", path, err)
		}
		if err := partial.Write(path, func(io.Writer) error { return nil }); !errors.As(err, &pathError) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if n := left(t, dir); n > 5 {
		t.Errorf("%d files are left", n)
	}
}

// What lies under the name of the partial file and cannot be used makes no download fail.
func TestUnusablePartial(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		asNobody(t) // root may open any file
		return
	}
	for name, put := range map[string]func(path string) error{
		"no permission": func(path string) error { return os.WriteFile(path, nil, 0) },
		"read only":     func(path string) error { return os.WriteFile(path, []byte(content), 0o400) },
		"a directory":   func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":        func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link":        func(path string) error { return os.Symlink("/nonexistent", path) },
	} {
		dir := t.TempDir()
		if err := put(filepath.Join(dir, partialName)); err != nil {
			t.Fatal(err)
		}
		f, err := partial.Open(filepath.Join(dir, "blob"), dgst, partial.Options{Resume: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f.Leave(transfer.ErrDigestMismatch)
	}
}

// A record is believed as far as the file bears it out: not beyond what was written, and not if it
// contradicts itself or could be somebody else's.
func TestPoisonedRecord(t *testing.T) {
	t.Parallel()
	const record = `{"digest":%q,"size":%d,"offset":%d}`
	for name, row := range map[string]struct {
		size, offset, file int64
		mode               os.FileMode
		want               int64
	}{
		"a good one":                  {13, 4, 4, 0o600, 4},
		"of unknown size":             {-1, 4, 4, 0o600, 4},
		"a size below the offset":     {3, 4, 4, 0o600, 0},
		"a negative offset":           {13, -4, 4, 0o600, 0},
		"an offset beyond the file":   {13, 5, 4, 0o600, 0},
		"a file of holes":             {1 << 40, 1 << 40, 1 << 40, 0o600, 0},
		"readable to everybody":       {13, 4, 4, 0o644, 0},
		"a size that nobody has":      {1 << 62, 4, 4, 0o600, 4},
		"an offset at a negative one": {-2, 4, 4, 0o600, 0},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, partialName)
		err := errors.Join(
			os.WriteFile(path, []byte(content[:4]), 0o600),
			os.Truncate(path, row.file),
			os.WriteFile(path+".json", fmt.Appendf(nil, record, dgst, row.size, row.offset), row.mode))
		if err != nil {
			t.Fatal(err)
		}
		f, err := partial.Open(filepath.Join(dir, "blob"), dgst, partial.Options{Resume: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, n := f.Prefix(); n != row.want {
			t.Errorf("%s: %d bytes are believed, want %d", name, n, row.want)
		}
		f.Leave(transfer.ErrDigestMismatch)
	}
}

// partialName is the name of the partial file of the blob for the path "blob".
var partialName = ".blob." + dgst.Encoded()[:12] + ".partial"

// The size that a server states makes no file large.
func TestStatedSizeTakesNoRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := partial.Open(filepath.Join(dir, "blob"), dgst, partial.Options{Resume: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sized(1 << 40); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 1 << 30} { // a range far behind the others
		if _, err := f.WriteAt([]byte(content), off); err != nil {
			t.Fatal(err)
		}
	}
	f.Written(int64(len(content)))
	f.Leave(errors.New("connection lost"))
	if info, err := os.Stat(filepath.Join(dir, partialName)); err != nil || info.Size() != int64(len(content)) {
		t.Errorf("%v, %v", info, err)
	}
}

// asNobody runs the test in a process without root's rights.
func asNobody(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	program, err := os.ReadFile(os.Args[0])
	copied := filepath.Join(dir, "test")
	if err := errors.Join(err, os.WriteFile(copied, program, 0o600), os.Chmod(copied, 0o755), os.Chmod(dir, 0o777), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %s", err, out)
	}
}
