package acrtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Origin says which of the emulator's servers a request came to.
type Origin string

// The origins of an emulator. A canary stands for a host that is none of the registry's: see [Server.Canary].
const (
	LoginOrigin     Origin = "login"
	StorageOrigin   Origin = "storage"
	AuthorityOrigin Origin = "authority"
	CanaryOrigin    Origin = "canary"
)

// CredentialKind says how a credential came along with a request.
type CredentialKind string

// The kinds of credentials. A form credential is a token, password or secret in the body of a token request.
const (
	NoCredential     CredentialKind = "none"
	BearerCredential CredentialKind = "bearer"
	BasicCredential  CredentialKind = "basic"
	FormCredential   CredentialKind = "form"
	OtherCredential  CredentialKind = "other"
)

// Request is what the ledger keeps of one request. It holds no credential.
type Request struct {
	// Number counts the requests of the emulator from 1.
	Number int
	// Time is when the request came, on the registry's clock.
	Time time.Time
	// Origin is the server it came to.
	Origin Origin
	// Operation is the operation id, such as "GetManifest"; "GetBlobContent" for blob bytes from the storage origin, and ""
	// for a path without a route.
	Operation string
	// Method is the HTTP method.
	Method string
	// Path is the path as the caller spelled it, before decoding.
	Path string
	// Query is the raw query.
	Query string
	// Repository is the repository in the path, decoded; or "".
	Repository string
	// Reference is the tag or digest in the path, decoded; or "".
	Reference string
	// Header is the header of the request without Authorization and Cookie. It must not be changed.
	Header http.Header
	// Credential says whether a credential came along, and how.
	Credential CredentialKind
	// Caller is who the credential stands for: "admin", "acr_anon_pull", the client id of the service principal, "token:NAME";
	// or "" when there was none or it was not good.
	Caller string
	// Scope is what a token request asked for, or what an operation that was refused demands.
	Scope string
	// Status is the status of the reply; 0 while there is none, or when a fault took it away.
	Status int
	// BytesIn is how much of the request body was read.
	BytesIn int64
	// BytesOut is how much of the reply body was written.
	BytesOut int64
	// Connection numbers the connection it came on.
	Connection int64
	// Fault names what a script did to the exchange, such as "status 503"; "" when it did nothing.
	Fault string
}

// String is the request in one line, as the failures of [Ledger.AtMost] and its kin list it.
func (r Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %s %s %s", r.Number, r.Origin, r.Method, r.Path)
	if r.Operation != "" {
		fmt.Fprintf(&b, " (%s)", r.Operation)
	}
	fmt.Fprintf(&b, " %d, %d bytes in, %d out, credential %s", r.Status, r.BytesIn, r.BytesOut, r.Credential)
	if r.Fault != "" {
		fmt.Fprintf(&b, ", fault: %s", r.Fault)
	}
	return b.String()
}

// Ledger is the list of the requests that came to an emulator. An entry is complete as far as the caller can have seen its reply.
//
// A name of an operation that is none of [Operations] fails the test of [New], and is logged for [Start]: nothing would ever be found
// under it.
type Ledger struct {
	complain func(string)

	mu     sync.Mutex
	limit  int
	number int
	lines  []*line
}

// line is an entry that is written while its request is under way. It holds nothing of the request's connection, for it stays when that
// is long gone.
type line struct {
	entry   Request // guarded by the ledger's lock
	in, out atomic.Int64
}

// snapshot is called with the ledger locked.
func (x *line) snapshot() Request {
	e := x.entry
	e.BytesIn, e.BytesOut = x.in.Load(), x.out.Load()
	return e
}

// Requests returns a copy of the entries, oldest first, of the given operations; of all when none is given.
func (l *Ledger) Requests(operations ...string) []Request {
	l.check("Requests", operations)
	return l.find(operations)
}

func (l *Ledger) find(operations []string) []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Request, 0, len(l.lines))
	for _, x := range l.lines {
		if len(operations) == 0 || slices.Contains(operations, x.entry.Operation) {
			out = append(out, x.snapshot())
		}
	}
	return out
}

// Count returns how many requests there were of the given operations; of all when none is given.
func (l *Ledger) Count(operations ...string) int {
	l.check("Count", operations)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(operations) == 0 {
		return len(l.lines)
	}
	n := 0
	for _, x := range l.lines {
		if slices.Contains(operations, x.entry.Operation) {
			n++
		}
	}
	return n
}

// Reset forgets all entries.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

// AtMost fails the test, naming the requests, if there were more than n of the given operations; of all when none is given.
func (l *Ledger) AtMost(t testing.TB, n int, operations ...string) {
	t.Helper()
	for _, op := range operations {
		if !isOperation(op) {
			t.Error(unknownOperation("AtMost", op))
		}
	}
	if got := l.find(operations); len(got) > n {
		t.Errorf("%d requests%s, want at most %d:%s", len(got), of(operations), n, list(got))
	}
}

// None fails the test, naming them, if any request matches.
func (l *Ledger) None(t testing.TB, match func(Request) bool) {
	t.Helper()
	got := slices.DeleteFunc(l.find(nil), func(r Request) bool { return !match(r) })
	if len(got) > 0 {
		t.Errorf("%d requests that should not have been sent:%s", len(got), list(got))
	}
}

// NoCredentialLeaked fails the test if a credential of the registry was sent to an origin that must not see it: to storage, or to
// a [Server.Canary].
func (l *Ledger) NoCredentialLeaked(t testing.TB) {
	t.Helper()
	l.None(t, func(r Request) bool {
		return r.Credential != NoCredential && (r.Origin == StorageOrigin || r.Origin == CanaryOrigin)
	})
}

// check complains of a name that no request is ever under.
func (l *Ledger) check(method string, operations []string) {
	for _, op := range operations {
		if !isOperation(op) {
			l.complain(unknownOperation(method, op))
		}
	}
}

func of(operations []string) string {
	if len(operations) == 0 {
		return ""
	}
	return " of " + strings.Join(operations, ", ")
}

// list shows up to the first twenty requests, one a line.
func list(requests []Request) string {
	const most = 20
	var b strings.Builder
	for i, r := range requests {
		if i == most {
			fmt.Fprintf(&b, "\n\t... and %d more", len(requests)-most)
			break
		}
		b.WriteString("\n\t" + r.String())
	}
	return b.String()
}

func (l *Ledger) add(x *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	x.entry.Number = l.number
	if l.limit > 0 && len(l.lines) >= l.limit {
		l.lines = l.lines[1:]
	}
	l.lines = append(l.lines, x)
}
