//go:build !js && !wasip1 && !plan9

package main

import (
	"os/signal"
	"syscall"
)

// ignoreClosedPipes keeps the program running when the reader of its output goes away, so that it can still delete its
// repository.
func ignoreClosedPipes() { signal.Ignore(syscall.SIGPIPE) }
