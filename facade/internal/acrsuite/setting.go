package acrsuite

import (
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
