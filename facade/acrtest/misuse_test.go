package acrtest_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// An option that makes no sense is refused by its name, not served with.
func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for want, option := range map[string]acrtest.Option{
		"WithSKU(premium)":                        acrtest.WithSKU("premium"),
		"WithBudget(reads)":                       acrtest.WithBudget("reads", 5),
		"WithBudget(read, 0)":                     acrtest.WithBudget(acrtest.ReadBudget, 0),
		"WithSoftDelete(91)":                      acrtest.WithSoftDelete(91),
		"WithSoftDelete(-1)":                      acrtest.WithSoftDelete(-1),
		"WithMaxBody(-1)":                         acrtest.WithMaxBody(-1),
		"WithBandwidth(-1)":                       acrtest.WithBandwidth(-1),
		"WithLedgerSize(-1)":                      acrtest.WithLedgerSize(-1),
		"WithLatency(-1s)":                        acrtest.WithLatency(-time.Second),
		"WithReplicaLag(-1s)":                     acrtest.WithReplicaLag(-time.Second),
		"WithSessionLife(0s)":                     acrtest.WithSessionLife(0),
		"WithBlobLinkLife(0s)":                    acrtest.WithBlobLinkLife(0),
		"WithLoginServer(https://one.azurecr.io)": acrtest.WithLoginServer("https://one.azurecr.io"),
		"WithLoginServer(one.azurecr.io/two)":     acrtest.WithLoginServer("one.azurecr.io/two"),
		"WithSync()":                              acrtest.WithSync(),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s, err := acrtest.Start(option)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.HasPrefix(err.Error(), "acrtest: "+want+": ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v", err)
			}
		})
	}
	s, err := acrtest.Start(acrtest.WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.On("none of all") // a complaint that nobody hears
}

// An option that is nil is refused by its place in the list, for it has no name.
func TestNilOption(t *testing.T) {
	t.Parallel()
	for want, options := range map[string][]acrtest.Option{
		"acrtest: option 1 of 1 is nil: leave it out": {nil},
		"acrtest: option 2 of 3 is nil: leave it out": {acrtest.WithLimits(), nil, acrtest.WithABAC()},
	} {
		s, err := acrtest.Start(options...)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, acrtest.ErrInvalidOption) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A function that is nil fails the test by what is wrong, whether or not there is a request to call it for.
func TestNoneOfNil(t *testing.T) {
	t.Parallel()
	s := acrtest.New(t)
	for range 2 {
		told := &toldTB{TB: t}
		s.Ledger().None(told, nil)
		if told.errors != "acrtest: None(nil): the function is nil" {
			t.Errorf("told %q", told.errors)
		}
		ask(s)
	}
}

// What a script or a question to the ledger cannot mean is complained of, for it would be met by nothing, or by everything.
func TestMisuseIsTold(t *testing.T) {
	t.Parallel()
	for want, misuse := range map[string]func(*acrtest.Server){
		`On(\"GetBlobs\"): unknown operation; the known ones are Canary, CancelOperation, `:  func(s *acrtest.Server) { s.On("GetBlobs") },
		`On(\"getblob\"): unknown operation; did you mean \"GetBlob\"?`:                      func(s *acrtest.Server) { s.On("getblob") },
		`Requests(\"GET\"): unknown operation; the known ones are Canary, CancelOperation, `: func(s *acrtest.Server) { s.Ledger().Requests("GET") },
		`Count(\"listTags\"): unknown operation; did you mean \"ListTags\"?`:                 func(s *acrtest.Server) { s.Ledger().Count("listTags") },
		`Nth(0): the number of a request starts at 1`:                                        func(s *acrtest.Server) { s.On().Nth(0).DropReply() },
		`From(-1): the number of a request starts at 1`:                                      func(s *acrtest.Server) { s.On().From(-1).DropReply() },
		`On(CheckSupport): Code, Body and Early need a Status on the same line`:              func(s *acrtest.Server) { s.On().Code("DENIED", "no"); ask(s) },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			s, err := acrtest.Start(acrtest.WithLogger(slog.New(slog.NewTextHandler(&logged, nil))))
			if err != nil {
				t.Fatal(err)
			}
			misuse(s)
			s.Close()
			if !strings.Contains(logged.String(), want) {
				t.Errorf("logged: %s", &logged)
			}
		})
	}
	told := &toldTB{TB: t}
	s := acrtest.New(t)
	s.Ledger().Exactly(told, map[string]int{"ListTag": 0})
	if !strings.Contains(told.errors, `Exactly("ListTag"): unknown operation`) {
		t.Errorf("Exactly with an operation that there is not: %q", told.errors)
	}
	s.Ledger().AtMost(told, 1, "ListTag")
	if !strings.Contains(told.errors, `AtMost("ListTag"): unknown operation`) {
		t.Errorf("AtMost of an operation that there is not: %q", told.errors)
	}
}

// A value that no request or response can have is told when the line is written, and leaves the line without that action.
func TestFaultValuesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	const (
		status   = ": the status code of a response must be between 200 and 999"
		negative = ": must not be negative"
		isNil    = ": the function is nil"
		info     = ": the status code must be between 100 and 199, and not 101"
	)
	for want, misuse := range map[string]func(*acrtest.Fault) *acrtest.Fault{
		"Status(42)" + status:                            func(f *acrtest.Fault) *acrtest.Fault { return f.Status(42) },
		"Status(0)" + status:                             func(f *acrtest.Fault) *acrtest.Fault { return f.Status(0) },
		"Status(-1)" + status:                            func(f *acrtest.Fault) *acrtest.Fault { return f.Status(-1) },
		"Status(1000)" + status:                          func(f *acrtest.Fault) *acrtest.Fault { return f.Status(1000) },
		"Status(102)" + status:                           func(f *acrtest.Fault) *acrtest.Fault { return f.Status(102) },
		"Status(429, -1s): retryAfter" + negative[1:]:    func(f *acrtest.Fault) *acrtest.Fault { return f.Status(429, -time.Second) },
		"ReplyStatus(0)" + status:                        func(f *acrtest.Fault) *acrtest.Fault { return f.ReplyStatus(0) },
		"ReplyStatus(199)" + status:                      func(f *acrtest.Fault) *acrtest.Fault { return f.ReplyStatus(199) },
		"Redirect(0)" + status:                           func(f *acrtest.Fault) *acrtest.Fault { return f.Redirect(0, "https://elsewhere/") },
		"Informational(1, 42)" + info:                    func(f *acrtest.Fault) *acrtest.Fault { return f.Informational(1, 42) },
		"Informational(1, 101)" + info:                   func(f *acrtest.Fault) *acrtest.Fault { return f.Informational(1, 101) },
		"Informational(1, 200)" + info:                   func(f *acrtest.Fault) *acrtest.Fault { return f.Informational(1, 200) },
		"StallAfter(-1)" + negative:                      func(f *acrtest.Fault) *acrtest.Fault { return f.StallAfter(-1) },
		"StallRequestAfter(-1)" + negative:               func(f *acrtest.Fault) *acrtest.Fault { return f.StallRequestAfter(-1) },
		"ResetAfter(-1)" + negative:                      func(f *acrtest.Fault) *acrtest.Fault { return f.ResetAfter(-1) },
		"ResetRequestAfter(-1)" + negative:               func(f *acrtest.Fault) *acrtest.Fault { return f.ResetRequestAfter(-1) },
		"Accept(-1)" + negative:                          func(f *acrtest.Fault) *acrtest.Fault { return f.Accept(-1) },
		"Truncate(-1)" + negative:                        func(f *acrtest.Fault) *acrtest.Fault { return f.Truncate(-1) },
		"TruncateClean(-1)" + negative:                   func(f *acrtest.Fault) *acrtest.Fault { return f.TruncateClean(-1) },
		"FlipByte(-1)" + negative:                        func(f *acrtest.Fault) *acrtest.Fault { return f.FlipByte(-1) },
		"ContentLength(-1)" + negative:                   func(f *acrtest.Fault) *acrtest.Fault { return f.ContentLength(-1) },
		"Slow(0): must be at least one byte per second":  func(f *acrtest.Fault) *acrtest.Fault { return f.Slow(0) },
		"Slow(-5): must be at least one byte per second": func(f *acrtest.Fault) *acrtest.Fault { return f.Slow(-5) },
		"Delay(-1s)" + negative:                          func(f *acrtest.Fault) *acrtest.Fault { return f.Delay(-time.Second) },
		"DelayReply(-1s)" + negative:                     func(f *acrtest.Fault) *acrtest.Fault { return f.DelayReply(-time.Second) },
		"When(nil)" + isNil:                              func(f *acrtest.Fault) *acrtest.Fault { return f.When(nil) },
		"Do(nil)" + isNil:                                func(f *acrtest.Fault) *acrtest.Fault { return f.Do(nil) },
		"RewriteHeader(Link, nil)" + isNil:               func(f *acrtest.Fault) *acrtest.Fault { return f.RewriteHeader("Link", nil) },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			s, err := acrtest.Start(acrtest.WithLogger(slog.New(slog.NewTextHandler(&logged, nil))))
			if err != nil {
				t.Fatal(err)
			}
			line := misuse(s.On("CheckSupport").Always())
			ask(s)
			if got := s.Ledger().Requests("CheckSupport"); len(got) != 1 || got[0].Status != http.StatusOK || line.Hits() != 0 {
				t.Errorf("%d hits, requests %v", line.Hits(), got)
			}
			s.Close()
			if !strings.Contains(logged.String(), "acrtest: "+want) || strings.Count(logged.String(), "\n") != 1 {
				t.Errorf("logged: %s", &logged)
			}
		})
	}
}

// The first and the last status that a response can have, and numbers of zero, are no mistake.
func TestFaultValuesAtTheBounds(t *testing.T) {
	t.Parallel()
	c := newClient(t) // which fails the test that makes a mistake
	for _, code := range []int{200, 999} {
		c.s.On("CheckSupport").Status(code, 0)
		c.s.On("CheckSupport").Nth(2).ReplyStatus(code)
		ask(c.s)
		ask(c.s)
		c.s.ClearFaults()
		for _, r := range c.s.Ledger().Requests("CheckSupport") {
			if r.Status != code {
				t.Errorf("status %d, want %d", r.Status, code)
			}
		}
		c.s.Ledger().Reset()
	}
	c.s.On("CheckSupport").Delay(0).DelayReply(0).Informational(0, 102).FlipByte(0).Slow(1).ContentLength(0)
	c.s.On("ListTags").StallAfter(0).StallRequestAfter(0).ResetAfter(0).ResetRequestAfter(0).Accept(0).Truncate(0).TruncateClean(0)
	ask(c.s)
}

// A program that names no logger hears of its mistakes all the same: a fault that never happens looks like a program that survives it.
func TestMistakesOfAProgram(t *testing.T) { //nolint:paralleltest // it sets the default logger
	var logged bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	defer slog.SetDefault(before)
	s, err := acrtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.On("ListTag")
	s.SeedImage(nil, "NO NAME:v1")
	s.Ledger().AtMost(nil, 0, "ListTag")
	s.Ledger().Exactly(nil, map[string]int{"ListTags": 7})
	s.Ledger().None(nil, func(acrtest.Request) bool { return true })
	s.Ledger().NoCredentialLeaked(nil)
	for _, want := range []string{"unknown operation", "NO NAME", `AtMost(\"ListTag\")`, "0 requests, want 7"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%q is not in %s", want, &logged)
		}
	}
}

// What fails is the line of the test, not one of the emulator: each method that fails a test calls Helper itself.
func TestFailuresNameTheTest(t *testing.T) {
	t.Parallel()
	s := acrtest.New(t)
	helped := &helpedTB{TB: t, by: map[string]bool{}}
	s.Ledger().AtMost(helped, 1)
	s.Ledger().Exactly(helped, nil)
	s.Ledger().None(helped, func(acrtest.Request) bool { return false })
	s.Ledger().NoCredentialLeaked(helped)
	s.SeedImage(helped, "a:b")
	s.SeedBlob(helped, "a", nil)
	for _, method := range []string{"(*Ledger).AtMost", "(*Ledger).Exactly", "(*Ledger).None", "(*Ledger).NoCredentialLeaked", "(*Server).SeedImage", "(*Server).SeedBlob"} {
		if !helped.by["github.com/acrkit/acrkit/facade/acrtest."+method] {
			t.Errorf("%s is no helper: %v", method, helped.by)
		}
	}
}

// helpedTB knows which functions have called Helper.
type helpedTB struct {
	testing.TB

	by map[string]bool
}

func (t *helpedTB) Helper() {
	pc, _, _, _ := runtime.Caller(1)
	t.by[runtime.FuncForPC(pc).Name()] = true
}

// Whoever writes a script reads the names in the documentation.
func TestOperationsAreDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("operationnames.go")
	if err != nil {
		t.Fatal(err)
	}
	_, comment, _ := strings.Cut(string(source), "// Operations returns ")
	comment, _, _ = strings.Cut(comment, "\nfunc ")
	words := strings.FieldsFunc(comment, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, name := range acrtest.Operations() {
		if !slices.Contains(words, name) {
			t.Errorf("the comment of Operations does not have %s", name)
		}
	}
}

// ask sends one request that the registry serves.
func ask(s *acrtest.Server) {
	req, err := http.NewRequest(http.MethodGet, s.Endpoint()+"/v2/", nil)
	if err != nil {
		panic(err)
	}
	req.SetBasicAuth(s.Admin())
	if resp, err := s.HTTPClient().Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// toldTB keeps the errors it is told.
type toldTB struct {
	testing.TB

	errors string
}

func (t *toldTB) Helper()           {}
func (t *toldTB) Error(args ...any) { t.errors += args[0].(string) }

// First(0) is a line of a table of tests in which nothing is to fail.
func TestFirstNone(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	fault := c.s.On("CheckSupport").First(0).Status(500)
	ask(c.s)
	if fault.Hits() != 0 {
		t.Errorf("%d requests met it", fault.Hits())
	}
}
