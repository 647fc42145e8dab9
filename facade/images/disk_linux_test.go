package images_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/images"
)

// A53: the disk is full at any point of a pull. The error says so, and of what; nothing is there under a name that it does not
// deserve; and once there is space the pull goes on.
func TestPullFullDisk(t *testing.T) { //nolint:paralleltest // it needs the file system to itself
	if !ownMounts(t) {
		return
	}
	s := newStock(t)
	root := s.index(s.image("amd64", strings.Repeat("large layer ", 8<<10), "small layer"), s.image("arm64", "small layer"))
	s.name(root, "v1")
	_, client := newRegistry(t)
	from := client.Repository("team/app")
	pushLayout(t, s.dir(), "v1", from, "v1", nil)
	failed := map[string]int{}
	for pages := 1; ; pages++ {
		disk := newDisk(t, pages*os.Getpagesize())
		dir := filepath.Join(disk, "layout")
		_, err := images.Pull(t.Context(), from, "v1", dir, nil)
		if err == nil {
			s.holds(dir, root)
			break
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%d pages: %v", pages, err)
		}
		role := "layout"
		if e, ok := errors.AsType[*images.CopyError](err); ok {
			role = e.Role
			if e.Side != images.AtTarget || e.Place != dir {
				t.Errorf("%d pages: %+v", pages, e)
			}
		}
		failed[role]++
		if !strings.HasPrefix(err.Error(), "images: ") || !strings.Contains(err.Error(), dir) {
			t.Errorf("%d pages: the error does not say where: %v", pages, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, ocispec.ImageLayoutFile)); err == nil {
			s.noHalfLayout(dir, strconv.Itoa(pages)+" pages")
			s.noHalfBlobs(dir)
		}
		if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
		if _, err := images.Pull(t.Context(), from, "v1", dir, nil); err != nil {
			t.Fatalf("%d pages: with more space: %v", pages, err)
		}
		s.holds(dir, root)
		noTemporaryFiles(t, dir)
	}
	t.Logf("where the disk was full: %v", failed)
	for _, role := range []string{"layout", "layer"} {
		if failed[role] == 0 {
			t.Errorf("it was never full at a %s: %v", role, failed)
		}
	}
}

// noHalfBlobs demands that whatever has the name of a blob is that blob.
func (s *stock) noHalfBlobs(dir string) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, ocispec.ImageBlobsDir), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		if got := digest.FromBytes(readFile(s.t, name)); got.Encoded() != e.Name() {
			s.t.Errorf("%s is %s", name, got)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Error(err)
	}
}

// newDisk mounts a file system of so many bytes.
func newDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.Itoa(size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// ownMounts tells whether this process may mount file systems. If not, it runs the test again in one that may.
func ownMounts(t *testing.T) bool {
	t.Helper()
	const child = "ACRKIT_IMAGES_OWN_MOUNTS"
	if os.Getenv(child) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		t.Skipf("this system lets no test mount a file system: %v", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// A layout on a file system that is read only can be pushed, read and planned for; a pull into it says what is wrong, and
// changes nothing.
func TestLayoutReadOnly(t *testing.T) { //nolint:paralleltest // it needs the file system to itself
	if !ownMounts(t) {
		return
	}
	s := newStock(t)
	one, two := s.image("amd64", "one"), s.image("amd64", "two")
	s.name(one, "one")
	s.name(two, "two")
	_, client := newRegistry(t)
	r := client.Repository("team/app")
	for _, tag := range []string{"one", "two"} {
		pushLayout(t, s.dir(), tag, r, tag, nil)
	}
	disk := newDisk(t, 64<<20)
	dir, empty := filepath.Join(disk, "layout"), filepath.Join(disk, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Pull(t.Context(), r, "one", dir, nil); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, filepath.Join(dir, ocispec.ImageIndexFile))
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := images.Pull(t.Context(), r, "two", dir, nil)
	if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.AtTarget || e.Place != dir || !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v", err)
	}
	for _, fresh := range []string{empty, filepath.Join(disk, "new")} {
		if _, err := images.Pull(t.Context(), r, "two", fresh, nil); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), fresh) {
			t.Errorf("%v", err)
		}
	}
	l := openLayout(t, dir, nil)
	for what, err := range map[string]error{"tag": l.Tag(t.Context(), one, "x"), "untag": l.Untag(t.Context(), "one"), "delete": l.Delete(t.Context(), one)} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := l.Prune(t.Context()); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	if string(readFile(t, filepath.Join(dir, ocispec.ImageIndexFile))) != string(before) {
		t.Error("index.json was changed")
	}
	if _, err := images.Push(t.Context(), dir, "one", client.Repository("team/other"), "v1", nil); err != nil {
		t.Error(err)
	}
	if plan, err := images.Plan(t.Context(), images.Of(r), "two", l, "two", nil); err != nil || plan.Bytes.Sent == 0 {
		t.Errorf("%+v, %v", plan, err)
	}
}
