package acrsuite

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Outcome is what a row has to end with.
type Outcome string

// The outcomes.
const (
	Refused    Outcome = "refused"     // an attack that came to nothing
	Survived   Outcome = "survived"    // the caller sees nothing of the fault
	CleanError Outcome = "clean error" // a typed error, nothing left behind, in bounded time
	Open       Outcome = "open"        // no suite shows it yet
)

// rowBook keeps how the rows ended: whether all tests of a row passed, by id.
type rowBook struct {
	mu    sync.Mutex
	suite string // the package of this run, as in the list
	ended map[string]bool
}

var book = rowBook{ended: map[string]bool{}}

// Row runs one row of the list as a parallel sub-test whose name begins with the row's id. It counts as passed when the
// sub-test, its clean-up included, did not fail and was not skipped.
func Row(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	row(t, name, func(t *testing.T) {
		t.Parallel()
		test(t)
	})
}

// RowAlone is Row for a test that runs beside no other, such as one that measures memory.
func RowAlone(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	row(t, name, test)
}

func row(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	id, _, _ := strings.Cut(name, " ")
	function, _, _ := strings.Cut(t.Name(), "/")
	t.Run(name, func(t *testing.T) {
		t.Cleanup(func() { // the first to be registered is the last to run
			if e, ok := rowOf(id); !ok || e.Test != book.suite+"."+function {
				t.Errorf("the list has no row %s for %s.%s: see rows.go", id, book.suite, function)
			}
			book.end(id, !t.Failed() && !t.Skipped())
		})
		test(t)
	})
}

// rowOf returns the row of an id.
func rowOf(id string) (Entry, bool) {
	i := slices.IndexFunc(Rows, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return Entry{}, false
	}
	return Rows[i], true
}

// end notes how a row ended. One that has several sub-tests passed when all of them did.
func (b *rowBook) end(id string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, again := b.ended[id]
	b.ended[id] = ok && (before || !again)
}

// results returns how the rows of the run ended. A run that left no test out has to have run each row of its package:
// what it did not run did not pass.
func (b *rowBook) results(whole bool) map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]bool{}
	maps.Copy(out, b.ended)
	for _, e := range Rows {
		suite, _, _ := strings.Cut(e.Test, ".")
		if _, ran := out[e.ID]; whole && e.Want != Open && suite == b.suite && !ran {
			out[e.ID] = false
		}
	}
	return out
}
