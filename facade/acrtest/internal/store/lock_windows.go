package store

import (
	"errors"
	"syscall"
)

// sharingViolation is ERROR_SHARING_VIOLATION, which package syscall does not name.
const sharingViolation syscall.Errno = 32

// lockDir keeps a second process out of the directory: it opens a file that it shares with nobody.
// The system closes it when the process ends, however it ends.
func lockDir(path string) (release func(), err error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = syscall.CloseHandle(h) }, nil
}
