package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/internal/version"
)

const (
	name  = "docker-credential-acrkit"
	usage = "usage: " + name + " <get|list|version>"
	help  = usage + `

Prints the credential of an Azure Container Registry for docker and other programs that call Docker
credential helpers. get reads the URL of the registry from the standard input.

Environment:
` + azure.Usage
	maxInput = 64 << 10
	// tokenUser is the user name that goes with a refresh token.
	tokenUser = "00000000-0000-0000-0000-000000000000"
)

// Callers recognize these two errors by their text.
var (
	errNotFound = errors.New("credentials not found in native keychain") // the caller continues without a credential
	errNoServer = errors.New("no credentials server URL")
)

// helper is the program without its process, so that tests can run it.
type helper struct {
	getenv     func(string) string
	credential azure.SignIn
}

// run executes one command and returns the exit status. By the protocol all output, including errors, goes to stdout.
func (h helper) run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) int {
	answer, err := h.obey(ctx, args, stdin)
	if err != nil {
		answer = oneLine(err)
	}
	if _, writeErr := fmt.Fprintln(stdout, answer); err != nil || writeErr != nil {
		return 1
	}
	return 0
}

// obey executes one command and returns its output.
func (h helper) obey(ctx context.Context, args []string, stdin io.Reader) (string, error) {
	if len(args) != 1 {
		return "", errors.New(usage)
	}
	switch action := args[0]; action {
	case "get":
		server, err := readAll(ctx, stdin)
		if err != nil {
			return "", fmt.Errorf("%s: read the URL of the registry: %w", name, err)
		}
		return h.get(ctx, strings.TrimSpace(string(server)))
	case "list":
		return h.list()
	case "store", "erase":
		_, _ = io.Copy(io.Discard, io.LimitReader(stdin, maxInput)) // the caller may still be writing
		return "", fmt.Errorf("%s: %s is not supported: the credential comes from the Azure sign-in (az login, managed identity, AZURE_* variables), so docker login and logout are not needed", name, action)
	case "version", "-version", "--version", "-v":
		return version.Line(name), nil
	case "help", "-help", "--help", "-h":
		return strings.TrimSuffix(help, "\n"), nil
	default:
		return "", fmt.Errorf("%s: unknown action; %s", name, usage)
	}
}

// readAll reads the input within ctx. A caller that neither writes nor closes its end leaves a goroutine
// behind, until the program exits.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(r, maxInput))
		done <- result{data, err}
	}()
	select {
	case got := <-done:
		return got.data, got.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// credentials is the output of get.
type credentials struct {
	ServerURL string
	Username  string
	Secret    string
}

// get signs in to the registry at the server's URL. It fails with errNotFound if the server is not a registry that may receive
// the credential.
func (h helper) get(ctx context.Context, server string) (string, error) {
	if server == "" {
		return "", errNoServer
	}
	host, ok := hostOf(server)
	if !ok {
		return "", errNotFound
	}
	// Docker asks for every server it uses. For one that is not ours, stop here, before anything can fail.
	if _, err := acr.NewClient(host, nil, &acr.ClientOptions{AllowedHosts: azure.AllowedHosts(h.getenv)}); errors.Is(err, acr.ErrInvalidArgument) {
		return "", errNotFound
	}
	options, closeIdle, err := azure.ClientOptions(host, h.getenv)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	defer closeIdle()
	cred, err := h.credential(options, h.getenv)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	client, err := acr.NewClient(host, cred, options)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	defer client.CloseIdleConnections()
	login, err := client.Login(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", name, host, err)
	}
	answer, err := json.Marshal(credentials{ServerURL: server, Username: login.Username, Secret: login.Password()})
	return string(answer), err
}

// list returns the registries of the environment. The credential also works for the registries in Azure, which cannot be
// listed.
func (h helper) list() (string, error) {
	all := map[string]string{}
	for _, host := range azure.AllowedHosts(h.getenv) {
		all[host] = tokenUser
	}
	answer, err := json.Marshal(all)
	return string(answer), err
}

// hostOf returns the host and port of a server's URL in the forms that callers use: "myregistry.azurecr.io", "https://myregistry.azurecr.io",
// "https://myregistry.azurecr.io/v2/", and with podman "myregistry.azurecr.io/samples/app".
func hostOf(server string) (string, bool) {
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Host == "" {
		return "", false
	}
	return u.Host, true
}

// oneLine returns the text of an error in one line, as callers print it; errors of azidentity have several.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
