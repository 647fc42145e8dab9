package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/internal/version"
)

const (
	envUsername = "ACRKIT_USERNAME"
	envPassword = "ACRKIT_PASSWORD"
)

// usage names every variable of the environment that the program reads.
const usage = `Usage: doctor [options] REGISTRY

Finds out why an Azure Container Registry, such as myregistry.azurecr.io, cannot be used.

Environment:
  AZURE_*               credential: see azidentity.NewDefaultAzureCredential
  ` + envUsername + `       user name of an admin user, repository token or service principal
  ` + envPassword + `       its password; with these two set the Azure credential is not used
  ` + azure.EnvAllowedHosts + `  registries outside the ACR domains that may receive the credential:
                        localhost:5000,registry.example.com
  ` + azure.EnvCAFile + `        file of PEM certificates to trust in addition to the system's
  HTTPS_PROXY, NO_PROXY proxy

Exit status: 0 if no step failed, 1 if one did or the program was interrupted, 2 if the command line
or the environment is invalid.

Options:
`

// The exit statuses.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// program is the command without its process, so that tests can run it.
type program struct {
	getenv         func(string) string
	credential     func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error)
	stdout, stderr io.Writer
}

// settings is what the command line says.
type settings struct {
	registry                 string
	json, anonymous, version bool
	doctor                   acr.DoctorOptions
}

// run examines the registry of the command line and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	s, err := p.parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage // parse has said why
	case s.version:
		fmt.Fprintln(p.stdout, version.Line("doctor"))
		return exitOK
	}
	options, closeIdle, err := azure.ClientOptions(s.registry, p.getenv)
	if err != nil {
		return p.complain(exitUsage, err)
	}
	defer closeIdle()
	client, err := p.client(s, options)
	if err != nil {
		return p.complain(exitUsage, err)
	}
	defer client.CloseIdleConnections()
	report, ended := client.Doctor(ctx, &s.doctor)
	if report == nil {
		return p.complain(exitUsage, ended)
	}
	if s.json {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		_, err = report.WriteTo(p.stdout)
	}
	if err != nil {
		return p.complain(exitFailed, err)
	}
	if ended != nil { // interrupted: the report covers the steps so far
		return p.complain(exitFailed, ended)
	}
	if report.Status() == acr.DoctorFailed {
		return exitFailed
	}
	return exitOK
}

func (p program) complain(code int, err error) int {
	fmt.Fprintln(p.stderr, "doctor:", err)
	return code
}

// parse reads the command line. Options may stand before and after the registry.
func (p program) parse(args []string) (settings, error) {
	s := settings{}
	f := flag.NewFlagSet("doctor", flag.ContinueOnError)
	f.SetOutput(p.stderr)
	f.Usage = func() {
		fmt.Fprint(p.stderr, usage)
		f.PrintDefaults()
	}
	f.StringVar(&s.doctor.Repository, "repository", "", "check the pull and push rights on the repository with this `name`")
	f.StringVar(&s.doctor.Reference, "reference", "", "read one byte of the artifact with this `tag or digest`, to check that storage can be reached")
	f.BoolVar(&s.doctor.TryPush, "try-push", false, "check the push right by starting an upload and canceling it, instead of reading the token")
	f.DurationVar(&s.doctor.StepTimeout, "timeout", 30*time.Second, "maximum `time` per step")
	f.BoolVar(&s.anonymous, "anonymous", false, "do not sign in")
	f.BoolVar(&s.version, "version", false, "print the version and exit")
	f.BoolVar(&s.json, "json", false, "print the report as JSON")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.registry = f.Arg(0)
	if f.NArg() > 1 {
		if err := f.Parse(f.Args()[1:]); err != nil {
			return s, err
		}
	}
	if s.version {
		return s, nil
	}
	if s.registry == "" || f.NArg() > 1 || f.NArg() == 1 && f.Arg(0) != s.registry {
		err := errors.New("exactly one registry must be given")
		fmt.Fprintln(p.stderr, err)
		f.Usage()
		return s, err
	}
	return s, nil
}

// client returns a client with the credential that the command line and the environment select.
func (p program) client(s settings, options *acr.ClientOptions) (*acr.Client, error) {
	if s.anonymous {
		return acr.NewClient(s.registry, nil, options)
	}
	if user, password := p.getenv(envUsername), p.getenv(envPassword); user != "" || password != "" {
		return acr.NewClientWithPassword(s.registry, user, password, options)
	}
	cred, err := p.credential(options, p.getenv)
	if err != nil {
		return nil, err
	}
	return acr.NewClient(s.registry, cred, options)
}
