//go:build unix && !aix && !solaris && !illumos

package partial

import (
	"errors"
	"os"
	"syscall"
)

// claim opens or creates the file for this call alone. It returns nil if another call has it.
func claim(dir directory, name string) (*file, error) {
	for range 3 {
		if info, err := dir.Lstat(name); err == nil && !info.Mode().IsRegular() {
			return nil, nil //nolint:nilnil // something that is of no use lies there; use another name
		}
		// Do not follow a link that somebody puts there. An *os.Root does, but stays inside.
		opened, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			if _, e := dir.Lstat(name); e == nil {
				return nil, nil //nolint:nilnil // as above
			}
			return nil, err
		}
		f := &file{opened, dir, name}
		info, err := f.Stat()
		if err != nil || !private(info) {
			return nil, disown(f, info, err)
		}
		if locked := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(locked, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, nil //nolint:nilnil // as above
		} else if locked != nil { // the file system has no locks
			return nil, disown(f, info, nil)
		}
		// The call that had it may have renamed it meanwhile.
		if now, err := dir.Lstat(name); err == nil && os.SameFile(info, now) {
			return f, nil
		}
		_ = f.Close()
	}
	return nil, nil //nolint:nilnil // as above
}

// openState opens the state file. It does not follow links and does not wait for pipes, whatever
// somebody may have put there.
func openState(dir directory, name string) (*os.File, error) {
	return dir.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// private reports whether the file belongs to this user, has no other name, and cannot be opened by
// others. Anyone who can write to it could change it after it was verified.
func private(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && info.Mode().Perm()&0o077 == 0 && s.Nlink <= 1 && int(s.Uid) == os.Geteuid()
}

// disown closes a file that cannot be claimed, and deletes it if it is empty: on file systems
// without modes or locks no call can use it.
func disown(f *file, info os.FileInfo, err error) error {
	_ = f.Close() // nothing was written
	if err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		_ = f.dir.Remove(f.name)
	}
	return err
}

// discard deletes the file and then closes it. In the other order another call could claim it in
// between, and lose its file.
func discard(f *file) {
	_ = f.dir.Remove(f.name)
	_ = f.Close() // it is useless
}

// rename renames the file and then closes it. In the other order another call could claim it in
// between, and write to it.
func rename(f *file, path string) error {
	if err := f.dir.Rename(f.name, path); err != nil {
		return err
	}
	return f.Close()
}

// foreign tells whether the file is another user's.
func foreign(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) != os.Geteuid()
}

// sparse tells whether the file has holes in its first n bytes: nobody has written those, whatever the record says.
// (On a file system that compresses, a file of ours may look so: it is downloaded again.)
func sparse(info os.FileInfo, n int64) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && n >= 1<<20 && s.Blocks*512 < n // small files may lie elsewhere than in blocks
}
