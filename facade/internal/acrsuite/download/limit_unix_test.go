//go:build unix

package download_test

import (
	"os/signal"
	"syscall"
)

// limitFiles lets no file of this process grow beyond so many bytes.
func limitFiles(n uint64) error {
	signal.Ignore(syscall.SIGXFSZ) // which ends a process that does not
	var limit syscall.Rlimit
	set(&limit.Cur, n)
	set(&limit.Max, n)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

// set sets a number of a limit, whose type differs between the systems.
func set[T int64 | uint64](field *T, n uint64) { *field = T(n) }

func makePipe(name string) error { return syscall.Mkfifo(name, 0o600) }
