// Command tour sends an artifact to a registry and back and reports what each step costs: pack,
// push in chunks, list, lock, try to delete, unlock, retag, pull, compare, delete.
//
//	tour [options]
//
// By default it starts an emulated registry in its own process. To use a real one, set
// REGISTRY_ENDPOINT to its URL: the program then signs in with
// azidentity.NewDefaultAzureCredential, works in a repository of its own, and deletes it at the end.
//
// The exit status is 0 on success, 1 if a step fails, and 2 if an option is invalid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/acrkit/acrkit/facade/internal/version"
)

const (
	envEndpoint = "REGISTRY_ENDPOINT"

	usage = `Usage: tour [options]

Sends an artifact to a registry and back and reports what each step costs. Without ` + envEndpoint + `
it starts an emulated registry in its own process.

Environment:
  ` + envEndpoint + `  URL of a real registry, such as https://myregistry.azurecr.io; the program works
                     in a repository of its own there, and deletes it at the end
  AZURE_*            credential for that registry: see azidentity.NewDefaultAzureCredential
  HTTPS_PROXY, NO_PROXY  proxy for that registry
  TERM, NO_COLOR     TERM=dumb or a non-empty NO_COLOR turns off progress bars

Options:
`
)

func main() {
	ignoreClosedPipes()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command runs the program and returns its exit status.
func command(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("tour", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	dir := f.String("dir", "", "`directory` to pack (default: the sources and programs of this module)")
	showVersion := f.Bool("version", false, "print the version and exit")
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case f.NArg() > 0:
		fmt.Fprintf(stderr, "unexpected argument %q\n", f.Arg(0))
		f.Usage()
		return 2
	case *showVersion:
		fmt.Fprintln(stdout, version.Line("tour"))
		return 0
	}
	if err := run(ctx, stdout, getenv(envEndpoint), *dir); err != nil {
		fmt.Fprintln(stderr, "tour:", err)
		return 1
	}
	return 0
}

// run executes all steps.
func run(ctx context.Context, w io.Writer, endpoint, dir string) (err error) {
	scratch, err := os.MkdirTemp("", "acrkit-tour-")
	if err != nil {
		return err
	}
	defer func() {
		if e := os.RemoveAll(scratch); err == nil {
			err = e
		}
	}()
	reg, err := connect(endpoint)
	if err != nil {
		return err
	}
	defer reg.close()

	t := newTour(w, reg, scratch)
	t.say("The registry is %s", reg.client.Endpoint())
	t.say("(%s).", reg.what)
	err = t.walk(ctx, dir)
	t.abandon(ctx)
	if err != nil {
		return err
	}
	t.say("\nWhat it cost\n")
	return reg.meter.table(w)
}
