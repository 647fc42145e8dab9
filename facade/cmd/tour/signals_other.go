//go:build js || wasip1 || plan9

package main

// ignoreClosedPipes does nothing on systems without SIGPIPE.
func ignoreClosedPipes() {}
