package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The marks between which the figures stand in a file.
const (
	figuresBegin = "<!-- figures: made by `make reliability`, do not edit -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
	figuresHead  = "| Figure | Result | Date | Command |\n| --- | --- | --- | --- |\n"
)

// figure is what a command shows, in the lines of its output that match.
type figure struct {
	name    string
	command string
	lines   *regexp.Regexp // its groups, joined, are the result
	sum     func(matches []string) string
}

const property = "go test -v -count=1 -timeout 60m -run "

// figures are in the order in which they stand in the file.
var figures = slices.Concat([]figure{
	{"whole test run, race detector on", "make test",
		regexp.MustCompile(`^(attacks refused .*|faults survived .*|secrets found .*|contract: .*|\d+ tests passed, .*)`), lastOfEach},
	{"OCI conformance", "make conformance", regexp.MustCompile(`(\d+ checks passed, \d+ skipped)`), joined},
	{"other clients against the emulator", "make interop", regexp.MustCompile(`^(\d+ tests passed, .*)`), joined},
	{"the library against other registries", "make test-registries", regexp.MustCompile(`^(\d+ tests passed, .*)`), joined},
	{"random uploads with faults", property + "'^TestUploadProperty$' ./facade/internal/acrsuite/upload -args -upload.cases=5000",
		regexp.MustCompile(`: (\d+ cases: .*)`), added},
	{"random downloads with faults", property + "'^TestDownloadProperty$' ./facade/internal/acrsuite/download -args -download.cases=5000",
		regexp.MustCompile(`: (seed .*)`), joined},
	{"random faults in the transfer loops", property + ". ./facade/internal/transfer -args -cases=100000", regexp.MustCompile(`: (\d+ cases: .*)`), joined},
	{"random rules on random registries", property + "'^TestProperty$' ./facade/retention -args -retention.cases=20000", regexp.MustCompile(`: (\d+ cases, .*)`), joined},
	{"emulator killed while it writes", property + "'^TestKill$' ./facade/acrtest/internal/store -args -kills=1000", regexp.MustCompile(`: (\d+ kills, .*)`), joined},
	{"emulator program killed", property + "'^TestKilled$' ./facade/cmd/acrtest -args -kills=1000", regexp.MustCompile(`^emulator: (killed \d+ times: .*)`), joined},
	{"random sequences of calls against a model", "make test-model", regexp.MustCompile(`^model: (.*)`), joined},
	{"guards broken one by one", "make mutate", regexp.MustCompile(`^mutation: (.*)`), joined},
	{"statements covered by a package's own tests", "go test -count=1 -cover ./facade/...", regexp.MustCompile(`^ok\s+\S+/facade/(\S+)\s+\S+\s+coverage: (\S+) of`), pairs},
}, fuzzed())

// fuzzTests are those that .ci/fuzz runs.
var fuzzTests = []string{
	"FuzzArchive", "FuzzChallenge", "FuzzCheckEndpoint", "FuzzDecode", "FuzzExpiry", "FuzzHide", "FuzzLayoutIndex", "FuzzLink", "FuzzLocation",
	"FuzzOneLine", "FuzzParseRules", "FuzzPatterns", "FuzzRanges", "FuzzRead", "FuzzReplay", "FuzzRetryAfter", "FuzzScanner", "FuzzTokenReply",
}

// fuzzed gives each fuzz test a figure of its own, since all of them together take hours.
func fuzzed() (list []figure) {
	for _, name := range fuzzTests {
		command := "make fuzz FUZZTIME=10000000x FUZZ=" + name
		list = append(list, figure{"inputs that " + name + " tried", command, regexp.MustCompile(`execs: (\d+)`), lastOfEach})
	}
	return list
}

// writeFigures runs the figures whose names match, and writes each result into the file as soon as it is there. The others stay as
// they were.
func writeFigures(ctx context.Context, file string, list []figure, which *regexp.Regexp) error {
	if err := putFigure(file, list, figure{}, "", time.Time{}); err != nil { // rows that are new or have another command
		return err
	}
	var errs []error
	for _, f := range list {
		if !which.MatchString(f.name) {
			continue
		}
		result, err := f.run(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
			result = "failed"
		}
		if err := putFigure(file, list, f, result, time.Now()); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func (f figure) run(ctx context.Context) (string, error) {
	fmt.Fprintf(os.Stderr, "== %s: %s\n", f.name, f.command)
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-c", f.command) //nolint:gosec // of the list above
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		_, _ = os.Stderr.Write(out.Bytes())
		return "", err
	}
	var matches []string
	for line := range strings.Lines(out.String()) {
		for _, m := range f.lines.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
			matches = append(matches, strings.TrimSpace(strings.Join(m[1:], " ")))
		}
	}
	if len(matches) == 0 {
		return "", errors.New("its output has no result")
	}
	return f.sum(matches), nil
}

// putFigure replaces the row of a figure, and adds rows of figures that the file does not have.
func putFigure(file string, list []figure, done figure, result string, now time.Time) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begun := strings.Cut(string(text), figuresBegin)
	table, after, ended := strings.Cut(rest, figuresEnd)
	if !begun || !ended {
		return fmt.Errorf("there is no place for the figures: %q and, after it, %q", figuresBegin, figuresEnd)
	}
	var b strings.Builder
	for _, f := range list {
		row := fmt.Sprintf("| %s | not run yet | | `%s` |\n", f.name, f.command)
		for line := range strings.Lines(table) {
			if strings.HasPrefix(line, "| "+f.name+" |") && strings.Contains(line, "`"+f.command+"`") {
				row = line
			}
		}
		if f.name == done.name {
			row = fmt.Sprintf("| %s | %s | %s | `%s` |\n", f.name, strings.ReplaceAll(result, "|", "/"), now.Format(time.DateOnly), f.command)
		}
		b.WriteString(row)
	}
	page := before + figuresBegin + "\n" + figuresHead + b.String() + "\n" + figuresEnd + after
	return os.WriteFile(file, []byte(page), 0o600) //nolint:gosec // the file that the caller names
}

func joined(matches []string) string { return strings.Join(matches, "; ") }

// added adds up the numbers of lines that have the same words.
func added(matches []string) string {
	var total []int
	number := regexp.MustCompile(`\d+`)
	for _, m := range matches {
		for i, text := range number.FindAllString(m, -1) {
			if i == len(total) {
				total = append(total, 0)
			}
			n, _ := strconv.Atoi(text) // digits
			total[i] += n
		}
	}
	i := -1
	return number.ReplaceAllStringFunc(matches[0], func(string) string {
		i++
		return strconv.Itoa(total[i])
	})
}

// lastOfEach keeps the last line of each kind, since the totals come after those of single packages, and all that count tests.
func lastOfEach(matches []string) string {
	last, order := map[string]string{}, []string(nil)
	for i, m := range matches {
		kind := strings.TrimLeft(m, "0123456789 ")
		if kind, _, _ = strings.Cut(kind, " "); kind == "tests" {
			kind = fmt.Sprint(kind, i) // of each module
		}
		if _, seen := last[kind]; !seen {
			order = append(order, kind)
		}
		last[kind] = m
	}
	for i, kind := range order {
		order[i] = last[kind]
	}
	return joined(order)
}

func pairs(matches []string) string { return strings.Join(matches, ", ") }
