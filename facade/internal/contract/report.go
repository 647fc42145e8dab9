package contract

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// total gathers what all checkers of the process saw.
var total = &tally{seen: map[string]map[int]int{}}

type tally struct {
	mu         sync.Mutex
	seen       map[string]map[int]int
	exchanges  int
	unanswered int
	bodies     int
	violations []string
}

func count(seen map[string]map[int]int, id string, status int) {
	if seen[id] == nil {
		seen[id] = map[int]int{}
	}
	seen[id][status]++
}

func copySeen(seen map[string]map[int]int) map[string]map[int]int {
	out := make(map[string]map[int]int, len(seen))
	for id, statuses := range seen {
		out[id] = maps.Clone(statuses)
	}
	return out
}

func (t *tally) saw(id string, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exchanges++
	count(t.seen, id, status)
}

func (t *tally) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unanswered++
}

func (t *tally) judged() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bodies++
}

func (t *tally) violated(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.violations = append(t.violations, text)
}

// Summary is what all checkers of the process saw up to now.
type Summary struct {
	Operations int      // of the document
	Exercised  int      // of these, those that were answered at least once
	Missing    []string // operationIds that were not, sorted
	Exchanges  int      // answered requests, those to storage included
	Unanswered int      // requests that ended in a transport error
	Bodies     int      // JSON bodies that were read to the end and held against their schema
	Violations []string // one line each
	Seen       map[string]map[int]int
}

// Summarize returns what has been seen.
func Summarize() (Summary, error) {
	ids, err := Operations()
	if err != nil {
		return Summary{}, err
	}
	total.mu.Lock()
	defer total.mu.Unlock()
	s := Summary{
		Operations: len(ids), Exchanges: total.exchanges, Unanswered: total.unanswered, Bodies: total.bodies,
		Violations: slices.Clone(total.violations), Seen: copySeen(total.seen),
	}
	for _, id := range ids {
		if len(total.seen[id]) > 0 {
			s.Exercised++
		} else {
			s.Missing = append(s.Missing, id)
		}
	}
	return s, nil
}

// Report writes one line: operations exercised, exchanges held, violations.
func Report(w io.Writer) {
	s, err := Summarize()
	if err != nil {
		_, _ = fmt.Fprintln(w, "contract:", err)
		return
	}
	_, _ = fmt.Fprintf(w, "contract: operations exercised %d/%d, exchanges held %d, JSON bodies held %d, violations %d\n",
		s.Exercised, s.Operations, s.Exchanges, s.Bodies, len(s.Violations))
}

// RequireAll returns an error if there was a violation, if an operation was exercised neither by a test nor excused by
// missing (operationId to reason), or if an excuse has become stale.
func RequireAll(missing map[string]string) error {
	s, err := Summarize()
	if err != nil {
		return err
	}
	return s.require(missing)
}

func (s Summary) require(missing map[string]string) error {
	if len(s.Violations) > 0 {
		return fmt.Errorf("%d violations, the first: %s", len(s.Violations), s.Violations[0])
	}
	for _, id := range s.Missing {
		if missing[id] == "" {
			return fmt.Errorf("no test exercises %s, and no reason is given", id)
		}
	}
	for id := range missing {
		if !slices.Contains(s.Missing, id) {
			return fmt.Errorf("%s is exercised or unknown: strike it from the excuses", id)
		}
	}
	return nil
}

// Main runs the tests of a package, writes the report to w and returns the exit code. When the package passed, RequireAll must
// be satisfied as well; where only some tests ran, there need only be no violation.
//
//	func TestMain(m *testing.M) { os.Exit(contract.Main(m, os.Stdout, nil)) }
func Main(m interface{ Run() int }, w io.Writer, missing map[string]string) int {
	code := m.Run()
	Report(w)
	if code != 0 {
		return code
	}
	s, err := Summarize()
	if partial() {
		s.Missing, missing = nil, nil
	}
	if err == nil {
		err = s.require(missing)
	}
	if err != nil {
		_, _ = fmt.Fprintln(w, "contract:", err)
		return 1
	}
	return code
}

// partial reports whether the command line chose some tests only, in which case not all operations can be asked for.
func partial() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	short := flag.Lookup("test.short")
	return short != nil && short.Value.String() == "true"
}
