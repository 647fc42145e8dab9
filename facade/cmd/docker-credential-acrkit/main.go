// Command docker-credential-acrkit gives docker, podman, helm, oras, crane and others that know Docker's credential helpers the credential
// of an Azure Container Registry: an ACR refresh token, good for about three hours, for what azidentity.NewDefaultAzureCredential finds
// (environment, workload identity, managed identity, az login and others).
//
// Put it on the PATH and name it in ~/.docker/config.json:
//
//	{"credHelpers": {"myregistry.azurecr.io": "acrkit"}}
//
// or as "credsStore" for all registries; for those that are not in Azure it knows nothing, and they are used anonymously.
//
// The protocol: get reads a server's URL from stdin and writes {"ServerURL","Username","Secret"}; list writes the registries of
// ACRKIT_ALLOWED_HOSTS; version; store and erase are refused, because there is nothing to keep. A failure is a line on stdout and
// exit status 1. Errors: https://github.com/docker/docker-credential-helpers describes the ones that callers act upon.
//
// Environment: that of azidentity, and
//
//	ACRKIT_ALLOWED_HOSTS  registries outside the ACR domains that may get the credential: localhost:5000,registry.example.com
//	ACRKIT_CA_FILE        PEM certificates to trust beside the system's
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
)

// timeout ends a sign-in that nobody answers.
const timeout = 2 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	h := helper{getenv: os.Getenv, credential: azure.Credential}
	code := h.run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	cancel()
	stop()
	os.Exit(code)
}
