package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

// control is the API by which tests in other languages do what a Go test does by method calls: JSON
// over plain HTTP, on the loopback interface whatever the registry listens on.
type control struct {
	registry *acrtest.Server
	token    string // what a request has to carry
	server   *http.Server
	listener net.Listener

	mu     sync.Mutex
	faults []*scripted
}

// refusal is a mistake of the caller, answered with status 400.
type refusal struct{ reason string }

func (r refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return refusal{fmt.Sprintf(format, args...)} }

func startControl(registry *acrtest.Server, address string) (*control, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, program.Invalid(fmt.Errorf("-control: %w", err))
	}
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		return nil, program.Invalid(fmt.Errorf("-control: %s is not a loopback address", address))
	}
	c := &control{registry: registry, token: rand.Text()}
	if c.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address); err != nil {
		return nil, fmt.Errorf("acrtest: -control: %w", err)
	}
	mux := http.NewServeMux()
	for pattern, do := range map[string]func(body []byte, r *http.Request) (any, error){
		"GET /clock": c.clock, "POST /clock": c.moveClock,
		"GET /requests": c.requests, "DELETE /requests": c.forgetRequests,
		"GET /faults": c.listFaults, "POST /faults": c.addFault, "DELETE /faults": c.clearFaults,
		"POST /seed": c.seed, "POST /collect": c.collect, "POST /revoke": c.revoke,
	} {
		mux.Handle(pattern, handler(do))
	}
	c.server = &http.Server{Handler: localOnly(c.authorized(mux)), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = c.server.Serve(c.listener) }() // returns when the server is closed
	return c, nil
}

func (c *control) endpoint() string { return "http://" + c.listener.Addr().String() }

func (c *control) close() { _ = c.server.Close() } // nobody waits for a reply any more

// authorized refuses requests without the token. Other users of the machine can reach the address,
// but cannot read the line that the program printed.
func (c *control) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(token), []byte(c.token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the control API needs the control_token of the program's first line: Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localOnly refuses what a web page made a browser send: the Host is that of the page, or the
// browser says that the request comes from elsewhere.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && !ip.IsLoopback() || r.Header.Get("Origin") != "" || !fromHere(r) {
			http.Error(w, "the control API serves programs on this machine only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromHere reports whether a browser, if one sent the request, was told to by its user.
func fromHere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "none" || site == "same-origin"
}

const maxControl = 64 << 20 // a seeded blob comes in base64

func handler(do func(body []byte, r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
		var reply any
		if err == nil {
			reply, err = do(body, r)
		}
		status := http.StatusOK
		if err != nil {
			status = http.StatusInternalServerError
			if errors.As(err, new(refusal)) {
				status = http.StatusBadRequest
			}
			reply = map[string]string{"error": err.Error()}
		}
		raw, err := json.Marshal(reply)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(append(raw, '\n')) // the caller may be gone
	})
}

// read reads a body strictly: a word that is misspelled is refused, not left out.
func read(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return refuse("invalid request body: %v", err)
	}
	return nil
}

// maxSpan bounds every duration, so that times computed with it can be represented.
const maxSpan = 100 * 365 * 24 * time.Hour

// duration is a time span such as "90m", or a number of seconds.
type duration time.Duration

// MarshalJSON is the reverse.
func (d duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads either.
func (d *duration) UnmarshalJSON(raw []byte) error {
	var seconds float64
	if json.Unmarshal(raw, &seconds) == nil {
		if math.Abs(seconds) > maxSpan.Seconds() {
			return fmt.Errorf("%v seconds is more than %v", seconds, maxSpan)
		}
		*d = duration(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
	if err == nil && parsed.Abs() > maxSpan {
		err = fmt.Errorf("%s is more than %v", text, maxSpan)
	}
	*d = duration(parsed)
	return err
}

func (c *control) clock([]byte, *http.Request) (any, error) {
	return map[string]time.Time{"now": c.registry.Now()}, nil
}

func (c *control) moveClock(body []byte, r *http.Request) (any, error) {
	var move struct{ Advance duration }
	if err := read(body, &move); err != nil {
		return nil, err
	}
	c.registry.Advance(time.Duration(move.Advance))
	return c.clock(nil, r)
}

// request is an entry of the ledger.
type request struct {
	Number     int                    `json:"number"`
	Time       time.Time              `json:"time"`
	Origin     acrtest.Origin         `json:"origin"`
	Operation  string                 `json:"operation"`
	Method     string                 `json:"method"`
	Path       string                 `json:"path"`
	Query      string                 `json:"query"`
	Repository string                 `json:"repository"`
	Reference  string                 `json:"reference"`
	Header     http.Header            `json:"header"`
	Credential acrtest.CredentialKind `json:"credential"`
	Caller     string                 `json:"caller"`
	Scope      string                 `json:"scope"`
	Status     int                    `json:"status"`
	BytesIn    int64                  `json:"bytes_in"`
	BytesOut   int64                  `json:"bytes_out"`
	Replica    string                 `json:"replica"`
	Connection int64                  `json:"connection"`
	Fault      string                 `json:"fault"`
}

func (c *control) requests(_ []byte, r *http.Request) (any, error) {
	operations := r.URL.Query()["operation"]
	if err := knownOperations(operations); err != nil {
		return nil, err
	}
	all := []request{}
	for _, e := range c.registry.Ledger().Requests(operations...) {
		all = append(all, request(e))
	}
	return all, nil
}

// knownOperations refuses the names of operations that there are not.
func knownOperations(operations []string) error {
	all := acrtest.Operations()
	for _, op := range operations {
		if !slices.Contains(all, op) {
			return refuse("unknown operation %q; the operations are %q", op, all)
		}
	}
	return nil
}

func (c *control) forgetRequests([]byte, *http.Request) (any, error) {
	c.registry.Ledger().Reset()
	return struct{}{}, nil
}

func (c *control) collect(body []byte, _ *http.Request) (any, error) {
	var how struct{ Grace duration }
	if err := read(body, &how); err != nil {
		return nil, err
	}
	if how.Grace < 0 {
		return nil, refuse("grace must not be negative")
	}
	freed, err := c.registry.Collect(time.Duration(how.Grace))
	return map[string]int{"freed": freed}, err
}

func (c *control) revoke(body []byte, _ *http.Request) (any, error) {
	var what struct {
		Access  bool `json:"access_tokens"`
		Refresh bool `json:"refresh_tokens"`
	}
	if err := read(body, &what); err != nil {
		return nil, err
	}
	if what.Access {
		c.registry.RevokeAccessTokens()
	}
	if what.Refresh {
		c.registry.RevokeRefreshTokens()
	}
	return what, nil
}
