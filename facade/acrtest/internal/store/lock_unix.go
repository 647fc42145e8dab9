//go:build unix

package store

import (
	"os"
	"syscall"
)

// lockDir keeps a second process out of the directory. The kernel gives the lock back when the
// process ends, however it ends.
func lockDir(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written to it
		return nil, ErrInUse
	}
	return func() {
		// To close the file is not enough: a process that is just being started holds a copy of it
		// for a moment.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		_ = f.Close()
	}, nil
}
