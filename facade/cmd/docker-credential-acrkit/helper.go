package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
)

const (
	name     = "docker-credential-acrkit"
	module   = "github.com/acrkit/acrkit"
	usage    = "usage: " + name + " <get|list|version>"
	maxInput = 64 << 10
	// tokenUser is the user name that goes with a refresh token.
	tokenUser = "00000000-0000-0000-0000-000000000000"
)

// The two errors that callers know by their text.
var (
	errNotFound = errors.New("credentials not found in native keychain") // the caller goes on anonymously
	errNoServer = errors.New("no credentials server URL")
)

// helper is the program without its process.
type helper struct {
	getenv     func(string) string
	credential func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error)
}

// run obeys one command and returns the exit status. Whatever is to be said, errors too, goes to stdout: that is the protocol.
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

// obey returns what is to be written.
func (h helper) obey(ctx context.Context, args []string, stdin io.Reader) (string, error) {
	if len(args) != 1 {
		return "", errors.New(usage)
	}
	switch action := args[0]; action {
	case "get":
		server, err := io.ReadAll(io.LimitReader(stdin, maxInput))
		if err != nil {
			return "", fmt.Errorf("%s: reading the server's URL: %w", name, err)
		}
		return h.get(ctx, strings.TrimSpace(string(server)))
	case "list":
		return h.list()
	case "store", "erase":
		_, _ = io.Copy(io.Discard, io.LimitReader(stdin, maxInput)) // the caller may be writing still; what it writes is not wanted
		return "", fmt.Errorf("%s: %s is not supported: the credential is that of the Azure sign-in (az login, managed identity, AZURE_* variables); there is nothing to %s, and docker login and logout are not needed", name, action, action)
	case "version", "--version", "-v":
		return name + " (" + module + ") " + version(), nil
	case "help", "--help", "-h":
		return usage, nil
	default:
		return "", fmt.Errorf("%s: unknown action; %s", name, usage)
	}
}

// credentials is the answer to get.
type credentials struct {
	ServerURL string
	Username  string
	Secret    string
}

// get signs in to the registry at the server's URL. Errors: errNotFound for whatever is not a registry that the credential may go to.
func (h helper) get(ctx context.Context, server string) (string, error) {
	if server == "" {
		return "", errNoServer
	}
	host, ok := hostOf(server)
	if !ok {
		return "", errNotFound
	}
	// Most servers that docker asks for are not registries of ours. Nothing is set up for these, and nothing can go wrong.
	if _, err := acr.NewClient(host, nil, &acr.ClientOptions{AllowedHosts: azure.AllowedHosts(h.getenv)}); errors.Is(err, acr.ErrInvalidEndpoint) {
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
	answer, err := json.Marshal(credentials{ServerURL: server, Username: login.Username, Secret: login.Password})
	return string(answer), err
}

// list names the registries that the environment names: the credential is good for any registry in Azure, and those cannot be listed.
func (h helper) list() (string, error) {
	all := map[string]string{}
	for _, host := range azure.AllowedHosts(h.getenv) {
		all[host] = tokenUser
	}
	answer, err := json.Marshal(all)
	return string(answer), err
}

// hostOf is the host, with its port, of a server's URL as callers write it: "myregistry.azurecr.io", "https://myregistry.azurecr.io",
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

// oneLine is an error as callers print it. azidentity's errors have many lines.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// version is that of the module the program was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
