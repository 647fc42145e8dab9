package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
	"github.com/acrkit/acrkit/facade/retention"
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
` + azure.Usage + azure.UsagePassword + `
Exit status: 0 if everything was done, 1 if a repository was refused, something was left or failed,
or diff found differences, 2 if the command line, the environment, the rules or a file is invalid.
`

// command is the program without its process, so that tests can run it.
type command struct {
	program.Process

	signIn azure.SignIn
}

// settings is what the command line says.
type settings struct {
	name                                string // of the command
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
func (p command) run(ctx context.Context, args []string) int {
	err := p.carryOut(ctx, args)
	for _, invalid := range []error{errInput, retention.ErrRules, retention.ErrPlan, retention.ErrJournal, retention.ErrSnapshot} {
		if errors.Is(err, invalid) {
			err = program.Invalid(err)
			break
		}
	}
	return p.Status(err)
}

func (p command) carryOut(ctx context.Context, args []string) error {
	s, err := p.parse(args)
	if err != nil {
		return err
	}
	if s.name == "diff" { // it asks no registry
		return p.diff(s)
	}
	options, closeIdle, err := azure.ClientOptions(s.registry, p.Getenv)
	if err != nil {
		return program.Invalid(err)
	}
	defer closeIdle()
	if options.Governor, err = acr.NewGovernor(&s.governor); err != nil {
		return program.Invalid(err)
	}
	client, err := azure.Client(s.registry, options, p.Getenv, p.signIn)
	if err != nil {
		return program.Invalid(err)
	}
	defer client.CloseIdleConnections()
	commands := map[string]func(context.Context, *acr.Client, settings) error{
		"plan": p.plan, "apply": p.apply, "undo": p.undo, "storage": p.storage, "snapshot": p.snapshot,
	}
	return commands[s.name](ctx, client, s)
}

// required are the commands, each with the options that it cannot do without.
var required = map[string][]string{
	"plan": {"rules"}, "apply": {"journal", "plan"}, "undo": {"journal"}, "storage": nil, "snapshot": {"out"}, "diff": nil,
}

// parse reads the command line.
func (p command) parse(args []string) (settings, error) {
	s := settings{}
	f := p.Flags(usage)
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		s.name, args = args[0], args[1:]
	}
	needs, known := required[s.name]
	if known {
		f.Command = s.name
	}
	p.options(f.FlagSet, &s)
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.registry = f.Arg(0)
	problem := ""
	switch {
	case !known:
		problem = "the command must be plan, apply, undo, storage, snapshot or diff"
	case s.name == "diff" && f.NArg() != 2:
		problem = "exactly two snapshots must be given, after the options"
	case s.name != "diff" && f.NArg() != 1:
		problem = "exactly one registry must be given, after the options"
	}
	s.before, s.after = f.Arg(0), f.Arg(1)
	for _, name := range needs {
		if f.Lookup(name).Value.String() == "" && problem == "" {
			problem = "option -" + name + " is required"
		}
	}
	if problem != "" {
		return s, f.Refuse("%s", problem)
	}
	return s, nil
}

// options declares the options of the command.
func (p command) options(f *flag.FlagSet, s *settings) {
	switch s.name {
	case "plan":
		f.StringVar(&s.rules, "rules", "", "read the rules from this `file`")
		f.StringVar(&s.out, "out", "", "write the plan as JSON to this `file`")
		f.BoolVar(&s.sizes, "sizes", false, "report how many bytes the plan frees")
	case "apply":
		f.StringVar(&s.plan, "plan", "", "read the plan from this `file`")
		f.StringVar(&s.approved, "approved", "", "apply the plan only if this is its `ID`, as plan printed it")
		fallthrough
	case "undo":
		f.StringVar(&s.journal, "journal", "", "`file` with what undo needs; apply appends to it")
	}
	switch s.name {
	case "undo":
		f.BoolVar(&s.dryRun, "dry-run", false, "report what would be restored, and change nothing")
	case "plan", "apply":
		f.Var(&s.inUse, "in-use", "keep images that are named in this `file` (such as the output of kubectl get pods -A -o json); may be repeated")
		f.Var(&s.pulls, "pulls", "keep images that were pulled according to this `file` of ContainerRegistryRepositoryEvents as JSON; may be repeated")
	case "storage":
		f.StringVar(&s.plan, "plan", "", "also report what the plan in this `file` would free")
	case "snapshot":
		f.StringVar(&s.out, "out", "", "write the snapshot to this `file`")
	}
	if s.name == "plan" || s.name == "apply" || s.name == "storage" {
		f.StringVar(&s.cache, "cache", "", "keep what was read in this `file`, so that the next run reads only new content")
	}
	if s.name == "storage" || s.name == "snapshot" {
		f.Var(&s.only, "repository", "read only this repository; may be repeated (default all)")
	}
	if s.name != "snapshot" {
		f.BoolVar(&s.json, "json", false, "print JSON instead of a table")
	}
	if s.name == "diff" {
		return
	}
	f.Float64Var(&s.governor.Share, "share", 0, "`part` of the registry's request budgets to use, at most 1 (default 0.95)")
}
