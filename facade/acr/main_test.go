package acr_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/contract"
)

// TestMain runs the tests and then demands that no goroutine is left, that every row of the suites went as it must, that no secret got
// out, that every operation of the document was exercised, and that no exchange broke it.
func TestMain(m *testing.M) {
	if beChild() {
		return
	}
	os.Exit(contract.Main(suites{leakFree{m}}, os.Stdout, nil))
}

type leakFree struct{ m *testing.M }

// Run implements what contract.Main runs.
func (l leakFree) Run() int {
	code := l.m.Run()
	err := goleak.Find()
	for range 20 { // it looks for half a second, in which a busy machine may not get to what is about to end
		if err == nil {
			break
		}
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
