// Command tour takes an artifact through a registry and back, and says what that cost: pack, push in chunks, list, lock, be
// refused, unlock, retag, pull, compare, delete.
//
// It starts an emulator of its own, or goes to the registry of REGISTRY_ENDPOINT with the credential that
// azidentity.NewDefaultAzureCredential finds: there it works in a repository of its own, which it deletes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	dir := flag.String("dir", "", "directory to pack (default: this module's sources and programs)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "tour: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves is no reason to leave the repository behind
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Getenv("REGISTRY_ENDPOINT"), *dir)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tour:", err)
		os.Exit(1)
	}
}

// run takes the tour from beginning to end.
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
