//go:build unix && !aix && !solaris && !illumos

package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// openNonblock opens a pipe without waiting for its other end, so that it can be refused.
const openNonblock = syscall.O_NONBLOCK

// lockName is the file that writers of index.json lock. It stays: a process that removed it could
// not know who waits for it.
const lockName = ".index.json.lock"

// indexLock stands in for the lock on file systems that have none.
var indexLock sync.Mutex

// lock waits until no other process, and no other Layout of this one, changes index.json, or until
// the context ends.
func (d *layoutDir) lock(ctx context.Context) (unlock func(), err error) {
	if info, err := d.root.Lstat(lockName); err == nil && !info.Mode().IsRegular() {
		return nil, notRegular(lockName, info)
	}
	f, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	const shortest, longest = time.Millisecond, 50 * time.Millisecond
	for pause := shortest; ; pause = min(2*pause, longest) {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil:
			return func() { _ = f.Close() }, nil // which unlocks it
		case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
			_ = f.Close() // nothing was written
			indexLock.Lock()
			return indexLock.Unlock, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			_ = f.Close() // nothing was written
			return nil, fmt.Errorf("locking %s: %w", lockName, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			_ = f.Close() // nothing was written
			return nil, fmt.Errorf("another process holds the lock %s: %w", lockName, context.Cause(ctx))
		}
	}
}
