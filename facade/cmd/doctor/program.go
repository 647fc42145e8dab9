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
)

const (
	envUsername = "ACRKIT_USERNAME"
	envPassword = "ACRKIT_PASSWORD"
)

// The exit statuses.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// program is the command without its process.
type program struct {
	getenv         func(string) string
	credential     func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error)
	stdout, stderr io.Writer
}

// settings is what the command line says.
type settings struct {
	registry        string
	json, anonymous bool
	doctor          acr.DoctorOptions
}

// run examines the registry of the command line and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	s, err := p.parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage // parse has said why
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
	if ended != nil { // interrupted: the report says how far it got
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

// parse reads the command line; options may stand on both sides of the registry.
func (p program) parse(args []string) (settings, error) {
	s := settings{}
	f := flag.NewFlagSet("doctor", flag.ContinueOnError)
	f.SetOutput(p.stderr)
	f.Usage = func() {
		fmt.Fprintln(p.stderr, "Usage: doctor [options] REGISTRY\n\nFinds out why an Azure Container Registry (myregistry.azurecr.io) cannot be used.\n\nOptions:")
		f.PrintDefaults()
	}
	f.StringVar(&s.doctor.Repository, "repository", "", "look at the pull and push rights on the repository of this `name`")
	f.StringVar(&s.doctor.Reference, "reference", "", "read a byte of this `tag or digest` of the repository, to see that storage can be reached")
	f.BoolVar(&s.doctor.TryPush, "try-push", false, "start an upload in the repository and cancel it, rather than read the right from the token")
	f.DurationVar(&s.doctor.StepTimeout, "timeout", 30*time.Second, "`time` that each step may take")
	f.BoolVar(&s.anonymous, "anonymous", false, "do not sign in")
	f.BoolVar(&s.json, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.registry = f.Arg(0)
	if f.NArg() > 1 {
		if err := f.Parse(f.Args()[1:]); err != nil {
			return s, err
		}
	}
	if s.registry == "" || f.NArg() > 1 || f.NArg() == 1 && f.Arg(0) != s.registry {
		f.Usage()
		return s, errors.New("one registry is to be named")
	}
	return s, nil
}

// client signs in as the command line and the environment say.
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
