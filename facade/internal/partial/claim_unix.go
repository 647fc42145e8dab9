//go:build unix && !aix && !solaris && !illumos

package partial

import (
	"errors"
	"os"
	"syscall"
)

// claim opens the file, or makes it, for this call alone. nil: another call has it.
func claim(name string) (*os.File, error) {
	for range 3 {
		// A link that somebody put there is not followed.
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			if info, e := os.Lstat(name); e == nil && !info.Mode().IsRegular() {
				return nil, nil //nolint:nilnil // not a file of ours: another name will do
			}
			return nil, err
		}
		info, err := f.Stat()
		if err != nil || !private(info) {
			return nil, disown(f, info, err)
		}
		if locked := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(locked, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, nil //nolint:nilnil // as above
		} else if locked != nil { // there are no locks here
			return nil, disown(f, info, nil)
		}
		// The call that had it may have given it its final name in between.
		if now, err := os.Lstat(name); err == nil && os.SameFile(info, now) {
			return f, nil
		}
		_ = f.Close()
	}
	return nil, nil //nolint:nilnil // as above
}

// openState opens the small file beside a partial one. Whatever somebody puts there, and when: no link is followed, and no pipe waited for.
func openState(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// private tells whether the file is this user's, under this name alone, and nobody else may open it: whoever can write to it, or holds it
// open already, could change it after it was verified.
func private(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && info.Mode().Perm()&0o077 == 0 && s.Nlink <= 1 && int(s.Uid) == os.Geteuid()
}

// disown closes a file that cannot be claimed, and removes it where it holds nothing: some file systems have neither modes nor locks, and
// what was made there is of no use to any call.
func disown(f *os.File, info os.FileInfo, err error) error {
	_ = f.Close() // nothing was written
	if err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		_ = os.Remove(f.Name())
	}
	return err
}

// discard removes the file and closes it, in this order: closed, it could be claimed by another call, whose file would be removed.
func discard(f *os.File) {
	_ = os.Remove(f.Name())
	_ = f.Close() // it is worth nothing
}

// rename gives the file its final name and closes it, in this order: closed, it could be claimed by another call that then writes to it.
func rename(f *os.File, path string) error {
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return f.Close()
}
