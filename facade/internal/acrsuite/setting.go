package acrsuite

import (
	"hash/fnv"
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
	name := fnv.New32a()
	_, _ = name.Write([]byte(t.Name())) // never fails
	n := int(name.Sum32() % uint32(len(tried)))
	return tried[n : n+1]
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
