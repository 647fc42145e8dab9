package acrsuite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/contract"
)

// TotalsVariable names the directory in which each package of a whole test run leaves its Totals, in place of printing
// them.
const TotalsVariable = "ACRKIT_TOTALS"

// Totals is what a test run has shown: that of one package, or the sum of several.
type Totals struct {
	Rows       map[string]bool // how the rows ended, by id
	Secrets    int64           // secrets that were known
	Places     int64           // texts in which they were looked for
	Found      []string        // where one was
	Operations map[string]int  // answers, by operationId
	Exchanges  int
	Bodies     int
	Violations []string
}

// totals returns those of this process.
func totals(whole bool) (Totals, error) {
	s, err := contract.Summarize()
	if err != nil {
		return Totals{}, err
	}
	t := Totals{
		Rows: book.results(whole), Operations: map[string]int{},
		Exchanges: s.Exchanges, Bodies: s.Bodies, Violations: s.Violations,
	}
	t.Secrets, t.Places, t.Found = Secrets.totals()
	for id, statuses := range s.Seen {
		for _, n := range statuses {
			t.Operations[id] += n
		}
	}
	return t, nil
}

// Add adds the totals of another package.
func (t *Totals) Add(o Totals) {
	if t.Rows == nil {
		t.Rows, t.Operations = map[string]bool{}, map[string]int{}
	}
	for id, ok := range o.Rows {
		before, again := t.Rows[id]
		t.Rows[id] = ok && (before || !again)
	}
	for id, n := range o.Operations {
		t.Operations[id] += n
	}
	t.Secrets += o.Secrets
	t.Places += o.Places
	t.Found = append(t.Found, o.Found...)
	t.Exchanges += o.Exchanges
	t.Bodies += o.Bodies
	t.Violations = append(t.Violations, o.Violations...)
}

// Print writes the totals.
func (t *Totals) Print(w io.Writer) error {
	ids, err := contract.Operations()
	if err != nil {
		return err
	}
	exercised := 0
	for _, id := range ids {
		if t.Operations[id] > 0 {
			exercised++
		}
	}
	total, passed, by := map[byte]int{}, map[byte]int{}, map[Outcome]int{}
	for id, ok := range t.Rows {
		total[id[0]]++
		if e, _ := rowOf(id); ok {
			passed[id[0]]++
			by[e.Want]++
		}
	}
	if total['A'] > 0 {
		_, _ = fmt.Fprintf(w, "attacks refused %d/%d\n", passed['A'], total['A'])
	}
	if total['F'] > 0 {
		_, _ = fmt.Fprintf(w, "faults survived %d/%d (%d survived, %d clean error)\n",
			passed['F'], total['F'], by[Survived], by[CleanError])
	}
	_, _ = fmt.Fprintf(w, "secrets found off-origin: %d (%d secrets, looked for in %d places)\n",
		len(t.Found), t.Secrets, t.Places)
	_, err = fmt.Fprintf(w, "contract: operations exercised %d/%d, exchanges held %d, JSON bodies held %d, violations %d\n",
		exercised, len(ids), t.Exchanges, t.Bodies, len(t.Violations))
	return err
}

// Check returns an error if something went wrong: a row, a secret, an exchange.
func (t *Totals) Check() error {
	var errs []error
	var bad []string
	for _, id := range slices.Sorted(maps.Keys(t.Rows)) {
		if !t.Rows[id] {
			bad = append(bad, id)
		}
	}
	if len(bad) > 0 {
		errs = append(errs, fmt.Errorf("rows that failed or did not run: %s", strings.Join(bad, ", ")))
	}
	if len(t.Found) > 0 {
		where := slices.Compact(slices.Sorted(slices.Values(t.Found)))
		errs = append(errs, fmt.Errorf("secrets were found: %s", strings.Join(where, "; ")))
	}
	if n := len(t.Violations); n > 0 {
		errs = append(errs, fmt.Errorf("contract: %d violations, the first: %s", n, t.Violations[0]))
	}
	return errors.Join(errs...)
}

// CheckAll is Check for the sum of all packages: each row of the list that is not open has to have run, and each
// operation of the document to have been answered.
func (t *Totals) CheckAll() error {
	errs := []error{t.Check()}
	for _, e := range Rows {
		if _, ran := t.Rows[e.ID]; !ran && e.Want != Open {
			errs = append(errs, fmt.Errorf("row %s did not run", e.ID))
		}
	}
	ids, err := contract.Operations()
	errs = append(errs, err)
	for _, id := range ids {
		if t.Operations[id] == 0 {
			errs = append(errs, fmt.Errorf("contract: no test exercises %s", id))
		}
	}
	return errors.Join(errs...)
}

// leave writes the totals into a file of the directory that the sum is made from.
func (t *Totals) leave(dir, suite string) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, strings.ReplaceAll(suite, "/", "_")+".json"), text, 0o600) //nolint:gosec // in the directory that the caller names
}

// Sum adds up what the packages of a whole test run left in a directory.
func Sum(dir string) (Totals, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return Totals{}, err
	}
	var sum Totals
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return Totals{}, err
		}
		var one Totals
		if err := json.Unmarshal(text, &one); err != nil {
			return Totals{}, fmt.Errorf("%s: %w", name, err)
		}
		sum.Add(one)
	}
	return sum, nil
}
