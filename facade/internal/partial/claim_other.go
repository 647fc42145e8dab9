//go:build !unix || aix || solaris || illumos

package partial

import "os"

// claim returns nil: this system has no way to claim a file, so an interrupted download starts
// again.
func claim(directory, string) (*file, error) { return nil, nil }

// openState is never called for a claimed file on this system.
func openState(dir directory, name string) (*os.File, error) {
	return dir.OpenFile(name, os.O_RDONLY, 0)
}

// discard closes the file and then deletes it: Windows does not delete open files.
func discard(f *file) {
	_ = f.Close() // it is useless
	_ = f.dir.Remove(f.name)
}

// rename closes the file and then renames it: Windows does not rename open files.
func rename(f *file, path string) error {
	if err := f.Close(); err != nil {
		return err
	}
	return f.dir.Rename(f.name, path)
}

// foreign, private and sparse are for systems where claim finds files.
func foreign(os.FileInfo) bool       { return false }
func private(os.FileInfo) bool       { return false }
func sparse(os.FileInfo, int64) bool { return true }
