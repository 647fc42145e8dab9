//go:build unix

package download_test

import (
	"os/signal"
	"syscall"
)

// limitFiles lets no file of this process grow beyond so many bytes.
func limitFiles(n uint64) error {
	signal.Ignore(syscall.SIGXFSZ) // which ends a process that does not
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n})
}

func makePipe(name string) error { return syscall.Mkfifo(name, 0o600) }
