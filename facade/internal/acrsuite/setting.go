package acrsuite

import (
	"hash/fnv"
	"os"
	"slices"
	"testing"
	"testing/synctest"
)

// Setting is a world in which an upload or a download is tried. The same test runs in each of those it is meant for.
type Setting string

// The settings.
const (
	// InMemory has a network in memory and small sizes, in virtual time: who runs when is known, so requests, bytes and
	// waits can be counted.
	InMemory Setting = "in memory"
	// OnLoopback has sockets and the sizes of production, in real time.
	OnLoopback Setting = "on loopback"
)

// Everywhere is every setting.
var Everywhere = []Setting{InMemory, OnLoopback}

// UnderRace returns what a test takes under the race detector, which makes it several times slower, and otherwise. The
// suites run without it too, in make test-long.
func UnderRace(race, otherwise int) int {
	if RaceEnabled {
		return race
	}
	return otherwise
}

// triedOnLoopback returns which of the kinds of a test are tried on loopback. Under the race detector, which is slow with content
// of that size, it is one of them, and not the same one in each test; make test-long tries them all.
func triedOnLoopback[T comparable](t *testing.T, kinds, oneOfEach []T) []T {
	t.Helper()
	tried := slices.DeleteFunc(slices.Clone(oneOfEach), func(k T) bool { return !slices.Contains(kinds, k) })
	if !RaceEnabled || len(tried) == 0 {
		return tried
	}
	n := pick(t, len(tried))
	return tried[n : n+1]
}

// pick returns one of the first n numbers, not the same one in each test, nor in the runs of each commit.
func pick(t testing.TB, n int) int {
	t.Helper()
	name := fnv.New32a()
	_, _ = name.Write([]byte(t.Name() + os.Getenv("SEED"))) // never fails
	return int(name.Sum32()>>16) % n                        // the lowest bit is only the parity of the bytes
}

// Thinned returns what a test tries of a list of calls, ways to hand in content or the like: all of a list of at most as many as most, of a
// longer one every nth under the race detector. Which ones depends on the name of the test and on SEED, so that in a run every call meets
// many faults; make test-long tries them all.
func Thinned[T any](t testing.TB, all []T, most, n int) []T {
	t.Helper()
	if !RaceEnabled || len(all) <= max(most, n-1) {
		return all
	}
	return EveryNth(all, pick(t, n), n)
}

// run runs a test in the setting: InMemory at once, in a bubble; OnLoopback as a parallel sub-test.
func (s Setting) run(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	if s == InMemory {
		synctest.Test(t, test)
		return
	}
	t.Run(string(s)+", "+name, func(t *testing.T) {
		t.Parallel()
		test(t)
	})
}
