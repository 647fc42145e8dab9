package acrsuite

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The suites are lists of what a registry client meets: attacks, named A01 and on, and faults, named F01 and on. Each row is one sub-test
// named by its id. At the end of the package's run two lines say how many of them went as they must:
//
//	attacks refused n/n
//	faults survived n/n (S survived, C clean error)
//
// To add a row: put its id into the file's expect (a row of which a complete run sees nothing fails that run), and call row from a Test
// function:
//
//	var _ = expect("F22", "F23")
//
//	func TestUploadFaults(t *testing.T) {
//		t.Parallel()
//		row(t, "F22 reset in the middle of a chunk", survived, func(t *testing.T) {
//			w := newWorld(t)                                // a registry of the row's own, see suite_world_test.go
//			w.over(callsOf(uploadCall), func(f *fixture) {      // each call of the table: a prepared repository, a cold client
//				f.srv.On("UploadChunk").ResetRequestAfter(100)
//				f.mustWork(f.run())
//			})
//		})
//	}
//
// Whatever a row's calls send, answer, log, trace or fail with is looked through for secrets: see suite_secrets_test.go.

// outcome is what a row has to end with.
type outcome string

const (
	Refused    outcome = "refused"     // an attack that came to nothing
	Survived   outcome = "survived"    // the caller sees nothing of the fault
	CleanError outcome = "clean error" // a typed error, nothing left behind, in bounded time
)

// rowBook keeps how the rows ended.
type rowBook struct {
	mu       sync.Mutex
	expected []string
	ended    map[string]ending
}

type ending struct {
	want outcome
	ok   bool
}

var rows rowBook

// Expect announces rows, by id; it is called in the declaration of a variable, so that a row that is never run is missed.
func Expect(ids ...string) struct{} {
	rows.expected = append(rows.expected, ids...)
	return struct{}{}
}

// Row runs one row as a parallel sub-test whose name begins with the id. It counts as passed when the sub-test, its clean-up included, did
// not fail and was not skipped.
func Row(t *testing.T, name string, want outcome, test func(t *testing.T)) {
	t.Helper()
	id, _, _ := strings.Cut(name, " ")
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		t.Cleanup(func() { rows.end(t, id, ending{want, !t.Failed() && !t.Skipped()}) }) // the first to be registered is the last to run
		test(t)
	})
}

// end notes how a row ended. A row that several suites look at, each from its side, counts once, and as passed when all of them did.
func (b *rowBook) end(t *testing.T, id string, e ending) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.expected, id) {
		t.Errorf("row %s is not announced: see expect", id)
	}
	if b.ended == nil {
		b.ended = make(map[string]ending)
	}
	if before, again := b.ended[id]; again {
		if before.want != e.want {
			t.Errorf("row %s has to end %s here, and %s elsewhere", id, e.want, before.want)
		}
		e.ok = e.ok && before.ok
	}
	b.ended[id] = e
}

// report prints the totals and returns what is missing. A run of some tests only is not asked for all rows.
func (b *rowBook) report(w io.Writer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := slices.Sorted(maps.Keys(b.ended))
	if wholeRun() {
		ids = slices.Compact(slices.Sorted(slices.Values(append(ids, b.expected...))))
	}
	total, passed, by := map[byte]int{}, map[byte]int{}, map[outcome]int{}
	var bad []string
	for _, id := range ids {
		total[id[0]]++
		if e := b.ended[id]; e.ok {
			passed[id[0]]++
			by[e.want]++
			continue
		}
		bad = append(bad, id)
	}
	if total['A'] > 0 {
		_, _ = fmt.Fprintf(w, "attacks refused %d/%d\n", passed['A'], total['A'])
	}
	if total['F'] > 0 {
		_, _ = fmt.Fprintf(w, "faults survived %d/%d (%d survived, %d clean error)\n", passed['F'], total['F'], by[Survived], by[CleanError])
	}
	if len(bad) > 0 {
		return fmt.Errorf("rows that failed or did not run: %s", strings.Join(bad, ", "))
	}
	return nil
}
