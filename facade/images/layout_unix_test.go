//go:build unix && !aix && !solaris

package images_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/images"
)

// A process that hangs while it holds the lock of a layout keeps nobody longer than their context lets it.
func TestLayoutLockHeld(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	image := s.image("amd64", "layer")
	s.name(image, "v1")
	dir := s.dir()
	l := openLayout(t, dir, nil)
	if err := l.Tag(t.Context(), image, "v2"); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".index.json.lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, copied := images.Copy(ctx, l, "v1", l, "v3", nil)
	_, pruned := l.Prune(ctx)
	for what, err := range map[string]error{
		"copy": copied, "prune": pruned, "tag": l.Tag(ctx, image, "v4"), "untag": l.Untag(ctx, "v1"), "delete": l.Delete(ctx, image),
	} {
		if !errors.Is(err, context.DeadlineExceeded) || what != "copy" && !strings.Contains(err.Error(), "lock") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := l.Resolve(t.Context(), "v1"); err != nil {
		t.Errorf("reading waits for the lock: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Tag(t.Context(), image, "v4"); err != nil {
		t.Error(err)
	}
}

// A pipe is not opened: nobody may ever write to it.
func TestArchivePipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "image.tar")
	if err := makePipe(pipe); err != nil {
		t.Fatal(err)
	}
	_, client := newRegistry(t)
	for what, open := range map[string]func() error{
		"OpenArchive": func() error { _, err := images.OpenArchive(pipe); return err },
		"Push": func() error {
			_, err := images.Push(t.Context(), pipe, "v1", client.Repository("team/app"), "v1", nil)
			return err
		},
		"a device":    func() error { _, err := images.OpenArchive(os.DevNull); return err },
		"a directory": func() error { _, err := images.OpenArchive(t.TempDir()); return err },
	} {
		done := make(chan error, 1)
		go func() { done <- open() }()
		select {
		case err := <-done:
			if !errors.Is(err, images.ErrNotLayout) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s waits for somebody to write to the pipe", what)
		}
	}
}

// Whoever may read a layout may read its blobs: those that were downloaded and those that were written.
func TestLayoutModes(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root := s.image("amd64", "layer")
	s.name(root, "v1")
	_, client := newRegistry(t)
	pushLayout(t, s.dir(), "v1", client.Repository("team/app"), "v1", nil)
	dir := t.TempDir()
	if _, err := images.Pull(t.Context(), client.Repository("team/app"), "v1", dir, nil); err != nil {
		t.Fatal(err)
	}
	marker, err := os.Stat(filepath.Join(dir, "oci-layout"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.below(root) {
		info, err := os.Stat(filepath.Join(dir, "blobs", "sha256", d.Encoded()))
		if err != nil || info.Mode() != marker.Mode() {
			t.Errorf("%s has mode %v, oci-layout %v, %v", d, info.Mode(), marker.Mode(), err)
		}
	}
}
