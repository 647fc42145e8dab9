package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/internal/version"
	"github.com/acrkit/acrkit/facade/retention"
)

const (
	envUsername = "ACRKIT_USERNAME"
	envPassword = "ACRKIT_PASSWORD"
)

// usage names every variable of the environment that the program reads.
const usage = `Usage: retention plan     -rules FILE [options] REGISTRY
       retention apply    -plan FILE -journal FILE [options] REGISTRY
       retention undo     -journal FILE [options] REGISTRY
       retention storage  [options] REGISTRY
       retention snapshot -out FILE [options] REGISTRY
       retention diff     [options] BEFORE AFTER
       retention -version

Deletes what an Azure Container Registry, such as myregistry.azurecr.io, no longer needs, and
reports what its repositories hold. diff compares two files that snapshot wrote.

Environment:
  AZURE_*               credential: see azidentity.NewDefaultAzureCredential
  ` + envUsername + `       user name of an admin user, repository token or service principal
  ` + envPassword + `       its password; with these two set the Azure credential is not used
  ` + azure.EnvAllowedHosts + `  registries outside the ACR domains that may receive the credential:
                        localhost:5000,registry.example.com
  ` + azure.EnvCAFile + `        file of PEM certificates to trust in addition to the system's
  HTTPS_PROXY, NO_PROXY proxy

Exit status: 0 if everything was done, 1 if a repository was refused, something was left or failed,
or diff found differences, 2 if the command line, the environment, the rules or a file is invalid.
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
	command                             string
	registry                            string
	before, after                       string
	rules, plan, journal, approved, out string
	cache                               string
	inUse, pulls, only                  files
	json, sizes, dryRun                 bool
	governor                            acr.GovernorOptions
}

// files is an option that may be given several times.
type files []string

// String returns the names.
func (f *files) String() string { return fmt.Sprint([]string(*f)) }

// Set adds a name.
func (f *files) Set(name string) error {
	*f = append(*f, name)
	return nil
}

// run carries out the command line and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	if len(args) == 1 && (args[0] == "-version" || args[0] == "--version") {
		fmt.Fprintln(p.stdout, version.Line("retention"))
		return exitOK
	}
	s, err := p.parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage // parse has said why
	}
	if s.command == "diff" { // it asks no registry
		return p.exitStatus(p.diff(s))
	}
	options, closeIdle, err := azure.ClientOptions(s.registry, p.getenv)
	if err != nil {
		return p.complain(exitUsage, err)
	}
	defer closeIdle()
	if options.Governor, err = acr.NewGovernor(&s.governor); err != nil {
		return p.complain(exitUsage, err)
	}
	client, err := p.client(s, options)
	if err != nil {
		return p.complain(exitUsage, err)
	}
	defer client.CloseIdleConnections()
	commands := map[string]func(context.Context, *acr.Client, settings) error{
		"plan": p.plan, "apply": p.apply, "undo": p.undo, "storage": p.storage, "snapshot": p.snapshot,
	}
	return p.exitStatus(commands[s.command](ctx, client, s))
}

// exitStatus reports an error and returns the exit status for it.
func (p program) exitStatus(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errLeft):
		return exitFailed
	case errors.Is(err, errInput), errors.Is(err, retention.ErrRules), errors.Is(err, retention.ErrPlan),
		errors.Is(err, retention.ErrJournal), errors.Is(err, retention.ErrSnapshot):
		return p.complain(exitUsage, err)
	default:
		return p.complain(exitFailed, err)
	}
}

func (p program) complain(code int, err error) int {
	fmt.Fprintln(p.stderr, "retention:", err)
	return code
}

// client returns a client that signs in as the environment says.
func (p program) client(s settings, options *acr.ClientOptions) (*acr.Client, error) {
	if user := p.getenv(envUsername); user != "" {
		return acr.NewClientWithPassword(s.registry, user, p.getenv(envPassword), options)
	}
	credential, err := p.credential(options, p.getenv)
	if err != nil {
		return nil, err
	}
	return acr.NewClient(s.registry, credential, options)
}

// parse reads the command line.
func (p program) parse(args []string) (settings, error) {
	s := settings{}
	f := flag.NewFlagSet("retention", flag.ContinueOnError)
	f.SetOutput(p.stderr)
	f.Usage = func() {
		fmt.Fprint(p.stderr, usage)
		fmt.Fprint(p.stderr, "\nOptions:\n")
		f.PrintDefaults()
	}
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		s.command, args = args[0], args[1:]
	}
	p.options(f, &s)
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.registry = f.Arg(0)
	missing := map[string]map[string]string{
		"plan":     {"-rules": s.rules},
		"apply":    {"-plan": s.plan, "-journal": s.journal},
		"undo":     {"-journal": s.journal},
		"storage":  {},
		"snapshot": {"-out": s.out},
		"diff":     {},
	}[s.command]
	problem := ""
	switch {
	case missing == nil:
		problem = "the command must be plan, apply, undo, storage, snapshot or diff"
	case s.command == "diff" && f.NArg() != 2:
		problem = "exactly two snapshots must be given, after the options"
	case s.command != "diff" && f.NArg() != 1:
		problem = "exactly one registry must be given, after the options"
	}
	s.before, s.after = f.Arg(0), f.Arg(1)
	for name, value := range missing {
		if value == "" && problem == "" {
			problem = "option " + name + " is required"
		}
	}
	if problem != "" {
		fmt.Fprintf(p.stderr, "retention: %s\n", problem)
		f.Usage()
		return s, errors.New(problem)
	}
	return s, nil
}

// options declares the options of the command.
func (p program) options(f *flag.FlagSet, s *settings) {
	switch s.command {
	case "plan":
		f.StringVar(&s.rules, "rules", "", "read the rules from this `file`")
		f.StringVar(&s.out, "out", "", "write the plan as JSON to this `file`")
		f.BoolVar(&s.sizes, "sizes", false, "tell how many bytes are freed")
	case "apply":
		f.StringVar(&s.plan, "plan", "", "read the plan from this `file`")
		f.StringVar(&s.approved, "approved", "", "apply the plan only if this is its `ID`, as plan printed it")
		fallthrough
	case "undo":
		f.StringVar(&s.journal, "journal", "", "the `file` with what is needed to undo an apply; apply appends to it")
	}
	switch s.command {
	case "undo":
		f.BoolVar(&s.dryRun, "dry-run", false, "only report what would be put back")
	case "plan", "apply":
		f.Var(&s.inUse, "in-use", "leave what is named in this `file` (such as the output of kubectl get pods -A -o json); may be repeated")
		f.Var(&s.pulls, "pulls", "leave what was pulled according to this `file` of ContainerRegistryRepositoryEvents as JSON; may be repeated")
	case "storage":
		f.StringVar(&s.plan, "plan", "", "also report what the plan in this `file` would free")
	case "snapshot":
		f.StringVar(&s.out, "out", "", "write the snapshot to this `file`")
	}
	if s.command == "plan" || s.command == "apply" || s.command == "storage" {
		f.StringVar(&s.cache, "cache", "", "keep what was read in this `file`, so that the next run reads only what is new")
	}
	if s.command == "storage" || s.command == "snapshot" {
		f.Var(&s.only, "repository", "read only this repository; may be repeated (default all)")
	}
	if s.command != "snapshot" {
		f.BoolVar(&s.json, "json", false, "print JSON instead of a table")
	}
	if s.command == "diff" {
		return
	}
	f.Float64Var(&s.governor.Share, "share", 0, "`part` of the registry's request budgets to use, at most 1 (default 0.95)")
}
