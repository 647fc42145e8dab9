package acrsuite

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acrtest"
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

// Main runs the tests of a package and returns its exit code. It demands that no goroutine is left, that each row of the
// package went as it must, that no secret got out and that no exchange broke the document. It prints the totals, or
// leaves them where TotalsVariable says.
//
//	func TestMain(m *testing.M) { os.Exit(acrsuite.Main(m)) }
func Main(m *testing.M) int {
	book.suite = callingPackage()
	stop, err := prepareSuites()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	code := m.Run()
	err = leaks()
	t, failed := totals(wholeRun())
	if failed == nil {
		failed = t.Check()
	}
	if dir := os.Getenv(TotalsVariable); dir != "" && wholeRun() {
		err = errors.Join(err, failed, t.leave(dir, book.suite))
	} else {
		err = errors.Join(err, failed, t.Print(os.Stdout))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// callingPackage is the name by which the list knows the package whose TestMain calls Main: its path below this package,
// else below facade.
func callingPackage() string {
	pc, _, _, _ := runtime.Caller(2)
	name := strings.TrimSuffix(runtime.FuncForPC(pc).Name(), ".TestMain")
	name = strings.TrimSuffix(name, "_test")
	_, name, _ = strings.Cut(name, "/facade/")
	return strings.TrimPrefix(name, "internal/acrsuite/")
}

// leaks returns an error if a goroutine is left.
func leaks() error {
	err := goleak.Find()
	for range 20 { // it looks for half a second, in which a busy machine may not get to what is about to end
		if err == nil {
			break
		}
		err = goleak.Find()
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
