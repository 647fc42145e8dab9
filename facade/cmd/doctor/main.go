// Command doctor finds out why an Azure Container Registry cannot be used, and prints a report for a ticket.
//
//	doctor [options] REGISTRY
//
// -h lists the options. It signs in with what azidentity.NewDefaultAzureCredential finds, with the password of the environment, or with
// -anonymous not at all. The exit status is 0 when nothing failed (warnings are not failures), 1 when something did or the
// program was interrupted, 2 for a command line that cannot be used.
//
// Environment: that of azidentity, and
//
//	ACRKIT_USERNAME, ACRKIT_PASSWORD  sign in with these instead: admin user, repository token, service principal
//	ACRKIT_ALLOWED_HOSTS              registries outside the ACR domains that may get the credential: localhost:5000,registry.example.com
//	ACRKIT_CA_FILE                    PEM certificates to trust beside the system's
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{getenv: os.Getenv, credential: azure.Credential, stdout: os.Stdout, stderr: os.Stderr}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
