//go:build unix && !aix && !solaris && !illumos

package images

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openNonblock opens a pipe without waiting for its other end, so that it can be refused.
const openNonblock = syscall.O_NONBLOCK

// lockName is the file that writers of index.json lock. It stays: a process that removed it could
// not know who waits for it.
const lockName = ".index.json.lock"

// lock waits until no other process, and no other Layout of this one, changes index.json.
func (d *layoutDir) lock() (unlock func(), err error) {
	if info, err := d.root.Lstat(lockName); err == nil && !info.Mode().IsRegular() {
		return nil, notRegular(lockName, info)
	}
	f, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil && !errors.Is(err, syscall.ENOTSUP) && !errors.Is(err, syscall.ENOSYS) {
			_ = f.Close() // nothing was written
			return nil, fmt.Errorf("locking %s: %w", lockName, err)
		}
		return func() { _ = f.Close() }, nil // which unlocks it
	}
}
