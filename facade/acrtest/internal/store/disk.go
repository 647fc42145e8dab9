package store

import (
	"errors"
	"os"
	"runtime"
)

// disk waits until what was written would outlive the loss of power, if it is to be waited for.
type disk struct {
	wait bool
	// waited, which may be nil, is told what the disk was waited for.
	waited func(path string)
}

// file waits for the bytes of a file.
func (d disk) file(f *os.File) error {
	if !d.wait {
		return nil
	}
	if err := f.Sync(); err != nil {
		return err
	}
	d.tell(f.Name())
	return nil
}

// directories waits for the names in directories, in this order. One that was waited for before
// costs little.
func (d disk) directories(paths ...string) error {
	if !d.wait || runtime.GOOS == "windows" { // which writes names through and has nothing to wait on
		return nil
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
		d.tell(path)
	}
	return nil
}

func (d disk) tell(path string) {
	if d.waited != nil {
		d.waited(path)
	}
}
