package program_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/cmd/internal/program"
	"github.com/acrkit/acrkit/facade/internal/version"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each way that a program may end has its status, and says why it failed once.
func TestStatus(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		args           []string
		run            error
		status         int
		stdout, stderr string // how they begin
		lines          int    // of stderr
	}{
		{nil, nil, program.OK, "", "", 0},
		{[]string{"-version"}, errors.New("not reached"), program.OK, version.Line("demo") + "\n", "", 0},
		{[]string{"-h"}, errors.New("not reached"), program.OK, "", "usage\n\nOptions:\n  -version", 5},
		{[]string{"-nonsense"}, errors.New("not reached"), program.Usage, "", "demo: flag provided but not defined: -nonsense\nRun \"demo -h\" for the usage and the options.\n", 2},
		{[]string{"more"}, errors.New("not reached"), program.Usage, "", "demo: unexpected argument \"more\"\nRun \"demo -h\" for the usage and the options.\n", 2},
		{nil, errors.New("boom"), program.Failed, "", "demo: boom\n", 1},
		{nil, errors.New("demo: boom"), program.Failed, "", "demo: boom\n", 1},
		{nil, program.Invalid(errors.New("boom")), program.Usage, "", "demo: boom\n", 1},
		{nil, fmt.Errorf("context: %w", program.Invalid(errors.New("boom"))), program.Usage, "", "demo: context: boom\n", 1},
		{nil, program.Invalid(nil), program.OK, "", "", 0},
		{nil, program.ErrFailed, program.Failed, "", "", 0},
	} {
		var stdout, stderr strings.Builder
		p := program.Process{Name: "demo", Stdout: &stdout, Stderr: &stderr}
		f := p.Flags("usage\n")
		err := f.Parse(row.args)
		if err == nil && f.NArg() > 0 {
			err = f.Refuse("unexpected argument %q", f.Arg(0))
		}
		if err == nil {
			err = row.run
		}
		got := p.Status(err)
		if got != row.status || !strings.HasPrefix(stdout.String(), row.stdout) || !strings.HasPrefix(stderr.String(), row.stderr) ||
			strings.Count(stderr.String(), "\n") != row.lines {
			t.Errorf("%q, %v: status %d, stdout %q, stderr %q", row.args, row.run, got, stdout.String(), stderr.String())
		}
	}
}
