// Command doctor finds out why an Azure Container Registry cannot be used, and prints a report that
// can be attached to a ticket.
//
//	doctor [options] REGISTRY
//
// Option -h lists the options. By default the program signs in with
// azidentity.NewDefaultAzureCredential; it uses a user name and password if the environment has
// them, and no credential with -anonymous.
//
// The exit status is 0 if no step failed (warnings are not failures), 1 if a step failed or the
// program was interrupted, and 2 if the command line or the environment is invalid.
//
// The environment variables are those of azidentity, the usual proxy variables, and:
//
//	ACRKIT_USERNAME, ACRKIT_PASSWORD  admin user, repository token or service principal to sign in with
//	ACRKIT_ALLOWED_HOSTS              registries outside the ACR domains that may receive the credential:
//	                                  localhost:5000,registry.example.com
//	ACRKIT_CA_FILE                    PEM certificates to trust in addition to the system's
package main

import (
	"context"

	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

func main() {
	program.Main("doctor", func(ctx context.Context, p program.Process, args []string) int {
		return command{Process: p, signIn: azure.Credential}.run(ctx, args)
	})
}
