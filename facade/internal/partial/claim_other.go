//go:build !unix || aix || solaris || illumos

package partial

import "os"

// claim finds no file that it could have for this call alone: a broken-off download begins anew.
func claim(string) (*os.File, error) { return nil, nil }

// openState is for what claim finds.
func openState(name string) (*os.File, error) { return os.Open(name) }

// discard closes the file and removes it, in this order: an open file cannot be removed on Windows.
func discard(f *os.File) {
	_ = f.Close() // it is worth nothing
	_ = os.Remove(f.Name())
}

// rename closes the file and gives it its final name, in this order: an open file keeps its name on Windows.
func rename(f *os.File, path string) error {
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
