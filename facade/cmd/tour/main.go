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
	"io"
	"os"

	"github.com/acrkit/acrkit/facade/cmd/internal/program"
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
`
)

func main() {
	ignoreClosedPipes()
	program.Main("tour", func(ctx context.Context, p program.Process, args []string) int {
		return p.Status(command(ctx, p, args))
	})
}

// command runs the program.
func command(ctx context.Context, p program.Process, args []string) error {
	f := p.Flags(usage)
	dir := f.String("dir", "", "`directory` to pack (default: the sources and programs of this module)")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return f.Refuse("unexpected argument %q", f.Arg(0))
	}
	return run(ctx, p.Stdout, p.Getenv(envEndpoint), *dir)
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
