package acrsuite

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// wholeRun tells whether the command line left no test out.
func wholeRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// Main runs the tests of a package and returns its exit code. It demands that no goroutine is left, that every row of
// the package went as it must, that no secret got out and that no exchange broke the document:
//
//	func TestMain(m *testing.M) { os.Exit(acrsuite.Main(m)) }
func Main(m *testing.M) int {
	stop, err := prepareSuites()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	code := m.Run()
	for _, report := range []func(io.Writer) error{leaks, rows.report, Secrets.report, contractHeld} {
		if err := report(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// leaks returns an error if a goroutine is left.
func leaks(io.Writer) error {
	err := goleak.Find()
	for range 20 { // it looks for half a second, in which a busy machine may not get to what is about to end
		if err == nil {
			break
		}
		err = goleak.Find()
	}
	return err
}

// contractHeld prints what was held against the document, and returns an error if an exchange broke it.
func contractHeld(w io.Writer) error {
	contract.Report(w)
	s, err := contract.Summarize()
	if err == nil && len(s.Violations) > 0 {
		err = fmt.Errorf("contract: %d violations, the first: %s", len(s.Violations), s.Violations[0])
	}
	return err
}

// prepareSuites lets the library's own transport trust the emulators of this process, and listens to azcore's log.
func prepareSuites() (stop func(), err error) {
	srv, err := acrtest.Start()
	if err != nil {
		return nil, err
	}
	defer srv.Close()
	file, err := os.CreateTemp("", "acr-suite-*.pem")
	if err != nil {
		return nil, err
	}
	_, err = file.Write(srv.CA())
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Setenv("SSL_CERT_FILE", file.Name()) // read when the first certificate is verified
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return nil, err
	}
	silence := recordAzureLogs()
	log.SetOutput(lineWriter{"the process's log"}) // net/http's, of connections that went wrong
	return func() {
		silence()
		log.SetOutput(os.Stderr)
		_ = os.Remove(file.Name())
	}, nil
}
