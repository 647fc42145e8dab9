package acrsuite

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// Kind sorts the calls.
type Kind string

// The kinds of calls.
const (
	LoginCall    Kind = "login"
	ListCall     Kind = "list"
	ReadCall     Kind = "read"
	WriteCall    Kind = "write"
	DeleteCall   Kind = "delete"
	UploadCall   Kind = "upload"
	DownloadCall Kind = "download"
	ExamineCall  Kind = "examine" // Doctor, which tries nothing twice
)

// Call is one way into the library: what every suite ranges over.
type Call struct {
	Method string   // exported method, with its receiver and, where there are several ways to call it, what is special
	Kind   Kind     // what sort of operation
	Op     string   // operationId of what it is about
	Also   []string // of what else it may send, token requests apart
	takes  string   // of "name", "tag", "digest", "from": the arguments that come to stand in a path or query

	Prepare func(f *Fixture) error // by a client that is not under attack
	run     func(ctx context.Context, f *Fixture) error
}

// Ops is all that the call may send.
func (c *Call) Ops() []string { return append([]string{c.Op}, c.Also...) }

// Has tells whether the call takes an argument of the kind.
func (c *Call) Has(argument string) bool { return slices.Contains(strings.Fields(c.takes), argument) }

// CallsOf are the calls of the given kinds; of all when none is given.
func CallsOf(kinds ...Kind) []Call {
	var out []Call
	for _, c := range Calls {
		if len(kinds) == 0 || slices.Contains(kinds, c.Kind) {
			out = append(out, c)
		}
	}
	return out
}

// EveryNth returns every nth of a list, other ones each turn.
func EveryNth[T any](all []T, turn, n int) (nth []T) {
	for i, v := range all {
		if (i+turn)%n == 0 {
			nth = append(nth, v)
		}
	}
	return nth
}

// SteadyCalls are those that are expected to get over a fault that passes.
func SteadyCalls() []Call {
	return slices.DeleteFunc(CallsOf(), func(c Call) bool { return c.Kind == ExamineCall })
}

// CallNamed is one call of the table.
func CallNamed(t testing.TB, method string) Call {
	t.Helper()
	i := slices.IndexFunc(Calls, func(c Call) bool { return c.Method == method })
	if i < 0 {
		t.Fatalf("there is no call %s", method)
	}
	return Calls[i]
}

// Calls is the table.
var Calls = slices.Concat(clientCalls, repositoryCalls, artifactCalls, uploadCalls, downloadCalls)

// which it repeats for ten minutes while the answer is 404: TestWaitForTag
