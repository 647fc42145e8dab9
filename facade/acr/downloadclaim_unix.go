//go:build unix && !aix && !solaris && !illumos

package acr

import (
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
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
			_ = f.Close()
			return nil, err //nolint:nilnil // as above
		}
		if free := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil; !free {
			_ = f.Close()
			return nil, nil //nolint:nilnil // as above
		}
		// The call that had it may have given it its final name in between.
		if now, err := os.Lstat(name); err == nil && os.SameFile(info, now) {
			return f, nil
		}
		_ = f.Close()
	}
	return nil, nil //nolint:nilnil // as above
}

// rename gives the file its final name and closes it, in this order: closed, it could be claimed by another call that then writes to it.
func rename(f *os.File, path string) error {
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return f.Close()
}
