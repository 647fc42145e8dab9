package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

// usage names every variable of the environment that the program reads.
const usage = `Usage: doctor [options] REGISTRY

Finds out why an Azure Container Registry, such as myregistry.azurecr.io, cannot be used.

Environment:
` + azure.Usage + azure.UsagePassword + `
Exit status: 0 if no step failed, 1 if one did or the program was interrupted, 2 if the command line
or the environment is invalid.
`

// command is the program without its process, so that tests can run it.
type command struct {
	program.Process

	signIn azure.SignIn
}

// settings is what the command line says.
type settings struct {
	registry        string
	json, anonymous bool
	doctor          acr.DoctorOptions
}

// run examines the registry of the command line and returns the exit status.
func (c command) run(ctx context.Context, args []string) int { return c.Status(c.examine(ctx, args)) }

func (c command) examine(ctx context.Context, args []string) error {
	s, err := c.parse(args)
	if err != nil {
		return err
	}
	options, closeIdle, err := azure.ClientOptions(s.registry, c.Getenv)
	if err != nil {
		return program.Invalid(err)
	}
	defer closeIdle()
	client, err := c.client(s, options)
	if err != nil {
		return program.Invalid(err)
	}
	defer client.CloseIdleConnections()
	report, ended := client.Doctor(ctx, &s.doctor)
	if report == nil {
		return program.Invalid(ended)
	}
	if s.json {
		encoder := json.NewEncoder(c.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		_, err = report.WriteTo(c.Stdout)
	}
	switch {
	case err != nil:
		return err
	case ended != nil: // interrupted: the report covers the steps so far
		return ended
	case report.Status() == acr.DoctorFailed:
		return program.ErrFailed
	}
	return nil
}

// client returns a client with the credential that the command line and the environment select.
func (c command) client(s settings, options *acr.ClientOptions) (*acr.Client, error) {
	if s.anonymous {
		return azure.Named(acr.NewClient(s.registry, nil, options))
	}
	return azure.Client(s.registry, options, c.Getenv, c.signIn)
}

// parse reads the command line. Options may stand before and after the registry.
func (c command) parse(args []string) (settings, error) {
	s := settings{}
	f := c.Flags(usage)
	f.StringVar(&s.doctor.Repository, "repository", "", "check the pull and push rights on the repository with this `name`")
	f.StringVar(&s.doctor.Reference, "reference", "", "read one byte of the artifact with this `tag or digest`, to check that storage can be reached")
	f.BoolVar(&s.doctor.TryPush, "try-push", false, "check the push right by starting an upload and canceling it, instead of reading the token")
	f.DurationVar(&s.doctor.StepTimeout, "timeout", 30*time.Second, "maximum `time` per step")
	f.BoolVar(&s.anonymous, "anonymous", false, "do not sign in")
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
	if s.registry == "" || f.NArg() > 1 || f.NArg() == 1 && f.Arg(0) != s.registry {
		return s, f.Refuse("exactly one registry must be given")
	}
	return s, nil
}
