// Package program is the frame of the programs of this module: flags, -version, exit statuses and
// signals.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/acrkit/acrkit/facade/internal/version"
)

// The exit statuses.
const (
	OK     = iota
	Failed // it failed, or was interrupted
	Usage  // the command line or the environment is invalid
)

// Errors that Status prints nothing for.
var (
	// ErrFailed ends a program that has reported why it failed.
	ErrFailed = errors.New("failed, as reported")
	// errDone ends a program that was only asked for its version.
	errDone = errors.New("done")
)

// invalid is an error of the command line or the environment.
type invalid struct {
	error

	told bool // it was written to stderr
}

// Unwrap returns the error.
func (e invalid) Unwrap() error { return e.error }

// Invalid marks an error as one of the command line or the environment. Of nil it returns nil.
func Invalid(err error) error {
	if err == nil {
		return nil
	}
	return invalid{error: err}
}

// Process is what a program uses of its process, so that tests can run it without one.
type Process struct {
	Name           string
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Main runs a program in this process and exits with the status that it returns. ctx ends with the
// first interrupt or SIGTERM; a second one ends a program that takes too long to end.
func Main(name string, run func(ctx context.Context, p Process, args []string) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := run(ctx, Process{Name: name, Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// Flags is the command line of a program.
type Flags struct {
	*flag.FlagSet

	// Command is the name of the command that the options belong to, if the program has several. It
	// is named where the user is told about -h.
	Command string

	process Process
	usage   string
	version bool
}

// Flags returns a command line with the option -version. Option -h writes usage, which ends before
// the heading of the options, and the options.
func (p Process) Flags(usage string) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(p.Name, flag.ContinueOnError), process: p}
	f.SetOutput(io.Discard) // Parse reports what is wrong
	f.usage = usage
	f.BoolVar(&f.version, "version", false, "print the version and exit")
	return f
}

// Parse reads the options, as far as the first argument that is none. The program ends with the error
// that it returns.
func (f *Flags) Parse(args []string) error {
	err := f.FlagSet.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(f.process.Stderr, "%s\nOptions:\n", f.usage)
		f.SetOutput(f.process.Stderr)
		f.PrintDefaults()
		return err
	case err != nil:
		return f.Refuse("%w", err)
	case f.version:
		if _, err := fmt.Fprintln(f.process.Stdout, version.Line(f.process.Name)); err != nil {
			return err
		}
		return errDone
	}
	return nil
}

// Refuse reports what is wrong with the command line, with a line that points to -h, and returns the error
// to end with.
func (f *Flags) Refuse(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	fmt.Fprintf(f.process.Stderr, "%s: %v\n", f.process.Name, err)
	name := f.process.Name
	if f.Command != "" {
		name += " " + f.Command
	}
	fmt.Fprintf(f.process.Stderr, "Run \"%s -h\" for the usage and the options.\n", name)
	return invalid{err, true}
}

// Status reports the error that a program ended with, unless that has been done, and returns the exit
// status.
func (p Process) Status(err error) int {
	wrong, isInvalid := errors.AsType[invalid](err)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp), errors.Is(err, errDone):
		return OK
	case errors.Is(err, ErrFailed):
		return Failed
	case !isInvalid || !wrong.told:
		fmt.Fprintf(p.Stderr, "%s: %s\n", p.Name, strings.TrimPrefix(err.Error(), p.Name+": "))
	}
	if isInvalid {
		return Usage
	}
	return Failed
}
