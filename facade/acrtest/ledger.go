package acrtest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Origin names the server that received a request.
type Origin string

// The origins. CanaryOrigin stands for servers that do not belong to the registry; see
// [Server.Canary].
const (
	LoginOrigin     Origin = "login"
	StorageOrigin   Origin = "storage"
	AuthorityOrigin Origin = "authority"
	CanaryOrigin    Origin = "canary"
)

// CredentialKind says in which form a request carried a credential.
type CredentialKind string

// The kinds of credentials.
const (
	NoCredential     CredentialKind = "none"
	BearerCredential CredentialKind = "bearer"
	BasicCredential  CredentialKind = "basic"
	FormCredential   CredentialKind = "form"  // a token, password or secret in the body of a token request
	OtherCredential  CredentialKind = "other" // another kind of Authorization header, or a cookie
)

// Request is the ledger's record of one request. It contains no credential.
type Request struct {
	// Number is the number of the request, counted from 1.
	Number int
	// Time is when the request arrived, on the registry's clock.
	Time time.Time
	// Origin is the server that received it.
	Origin Origin
	// Operation is the operation ID, such as "GetManifest"; see [Operations]. It is empty for an
	// unknown path or method.
	Operation string
	// Method is the HTTP method.
	Method string
	// Path is the URL path as the client sent it, before decoding.
	Path string
	// Query is the raw query.
	Query string
	// Repository is the decoded repository name in the path, if any.
	Repository string
	// Reference is the decoded tag or digest in the path, if any.
	Reference string
	// Header is the header of the request without Authorization and Cookie. Do not modify it.
	Header http.Header
	// Credential says whether the request carried a credential, and in which form.
	Credential CredentialKind
	// Caller identifies who the credential belongs to: "admin", "acr_anon_pull" (an access token
	// for anonymous callers), the object ID of the service principal, which is not its client ID,
	// or "token:NAME". It is empty if the request carried no credential, or an invalid one.
	Caller string
	// Scope is the scope that a token request asked for, or that a rejected operation requires.
	Scope string
	// Status is the status code of the response. It is 0 if a fault prevented the response, or if
	// there is none yet, such as while the registry still reads the request.
	Status int
	// BytesIn is the number of bytes read of the request body. If the registry still reads it, that
	// is what it has read so far.
	BytesIn int64
	// BytesOut is the number of bytes written of the response body.
	BytesOut int64
	// Replica is the region of the replica that served it; see [WithReplicas]. It is empty
	// without WithReplicas, and for every origin but [LoginOrigin].
	Replica string
	// Connection is the number of the connection the request arrived on.
	Connection int64
	// Fault describes what the fault script did to the request, such as "status 503"; empty if
	// nothing.
	Fault string
}

// String returns the request in one line, as the failure messages of [Ledger.AtMost] and
// [Ledger.None] list it.
func (r Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %s %s %s", r.Number, r.Origin, r.Method, r.Path)
	if r.Operation != "" {
		fmt.Fprintf(&b, " (%s)", r.Operation)
	}
	fmt.Fprintf(&b, " %d, %d bytes in, %d out, credential %s", r.Status, r.BytesIn, r.BytesOut, r.Credential)
	if r.Replica != "" {
		b.WriteString(", replica " + r.Replica)
	}
	if r.Fault != "" {
		fmt.Fprintf(&b, ", fault: %s", r.Fault)
	}
	return b.String()
}

// Ledger is the list of the requests that a registry has received. When a client has received a
// response, the entry of that request is complete.
//
// An operation name that is not one of [Operations] is a mistake of the test, as no entry can match
// it. It fails the test that was passed to [New]; if the registry was created with [Start], it is
// logged; see [WithLogger]. A method that takes a test accepts nil, and then reports what would
// fail it in the same way. A Ledger is safe for concurrent use.
type Ledger struct {
	complain func(string)

	mu     sync.Mutex
	limit  int
	number int
	lines  []*line
}

// line is an entry that is written while its request is under way. It holds nothing of the
// request's connection, for it stays when that is long gone.
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

// Requests returns copies of the entries of the given operations, oldest first; all entries
// if none is given.
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

// Count returns the number of requests of the given operations; of all requests if none is given.
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

// Reset removes all entries.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

// AtMost fails the test if there were more than n requests of the given operations; of all
// requests if none is given. The failure lists the requests.
func (l *Ledger) AtMost(t testing.TB, n int, operations ...string) {
	if t != nil {
		t.Helper()
	}
	for _, op := range operations {
		if !isOperation(op) {
			l.fail(t, unknownOperation("AtMost", op))
		}
	}
	if got := l.find(operations); len(got) > n {
		l.fail(t, fmt.Sprintf("%d requests%s, want at most %d:%s", len(got), of(operations), n, list(got)))
	}
}

// fail fails the test, if there is one.
func (l *Ledger) fail(t testing.TB, text string) {
	if t == nil {
		l.complain(text)
		return
	}
	t.Helper()
	t.Error(text)
}

// Exactly fails the test unless the registry received exactly the given number of requests of each
// operation, and none of any other operation. Requests of the sign-in and to storage count too. The
// failure lists the operations whose numbers differ, with their requests. In want, "" stands for
// requests with an unknown path or method, which are of no operation.
func (l *Ledger) Exactly(t testing.TB, want map[string]int) {
	if t != nil {
		t.Helper()
	}
	got := map[string]int{}
	for _, r := range l.find(nil) {
		got[r.Operation]++
	}
	names := slices.Collect(maps.Keys(got))
	for op := range want {
		if op != "" && !isOperation(op) {
			l.fail(t, unknownOperation("Exactly", op))
		}
		names = append(names, op)
	}
	slices.Sort(names)
	var wrong []string
	var text strings.Builder
	for _, op := range slices.Compact(names) {
		if got[op] != want[op] {
			wrong = append(wrong, op)
			fmt.Fprintf(&text, "\n\t%q: %d requests, want %d", op, got[op], want[op])
		}
	}
	if len(wrong) > 0 {
		l.fail(t, fmt.Sprintf("the requests are not those expected:%s%s", text.String(), list(l.find(wrong))))
	}
}

// None fails the test if match returns true for any request. The failure lists these requests. It
// also fails the test if match is nil.
func (l *Ledger) None(t testing.TB, match func(Request) bool) {
	if t != nil {
		t.Helper()
	}
	if match == nil {
		l.fail(t, "acrtest: None(nil): the function is nil")
		return
	}
	got := slices.DeleteFunc(l.find(nil), func(r Request) bool { return !match(r) })
	if len(got) > 0 {
		l.fail(t, fmt.Sprintf("%d requests must not have been sent:%s", len(got), list(got)))
	}
}

// NoCredentialLeaked fails the test if a credential was sent to an origin that must not receive
// one: the storage account, or a server of [Server.Canary].
func (l *Ledger) NoCredentialLeaked(t testing.TB) {
	if t != nil {
		t.Helper()
	}
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
