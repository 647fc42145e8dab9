package retention

import (
	"errors"
	"syscall"
)

// isNotSyncable reports whether a file cannot be flushed to a disk because it is none on a disk,
// such as a pipe or terminal.
func isNotSyncable(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOTTY)
}
