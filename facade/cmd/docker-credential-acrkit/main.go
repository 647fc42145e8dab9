// Command docker-credential-acrkit is a Docker credential helper for Azure Container Registry. It
// returns an ACR refresh token, valid for about three hours, for the credential that
// azidentity.NewDefaultAzureCredential finds (environment, workload identity, managed identity,
// az login and others). Docker, podman, helm, oras, crane and other programs can use it.
//
// Put the program on the PATH and name it in ~/.docker/config.json:
//
//	{"credHelpers": {"myregistry.azurecr.io": "acrkit"}}
//
// or name it as "credsStore" for all registries; those outside Azure are then used anonymously.
//
// # Commands
//
//   - get reads a server's URL from stdin and writes {"ServerURL", "Username", "Secret"}.
//   - list writes the registries of ACRKIT_ALLOWED_HOSTS.
//   - version writes the version, and help the usage.
//   - store and erase fail, because the program keeps no credentials.
//
// A failure is one line on stdout and exit status 1. Callers recognize the messages that
// https://github.com/docker/docker-credential-helpers defines.
//
// # Environment
//
// The environment variables are those of azidentity, the usual proxy variables, and:
//
//	ACRKIT_ALLOWED_HOSTS  registries outside the ACR domains that may receive the credential:
//	                      localhost:5000,registry.example.com
//	ACRKIT_CA_FILE        PEM certificates to trust in addition to the system's
package main

import (
	"context"
	"time"

	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

// timeout limits how long the program may take, reading its input included.
const timeout = 2 * time.Minute

func main() {
	program.Main(name, func(ctx context.Context, p program.Process, args []string) int {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		h := helper{getenv: p.Getenv, credential: azure.Credential}
		return h.run(ctx, args, p.Stdin, p.Stdout)
	})
}
