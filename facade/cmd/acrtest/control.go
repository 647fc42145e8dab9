package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// control lets a test in another language do to the registry what a Go test does by method calls. It is JSON over plain HTTP, on the
// loopback interface whatever the registry listens on.
type control struct {
	registry *acrtest.Server
	server   *http.Server
	listener net.Listener

	mu     sync.Mutex
	faults []*scripted
}

// refusal is what a caller has done wrong.
type refusal struct{ reason string }

func (r refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return refusal{fmt.Sprintf(format, args...)} }

// errControlAddress is returned for an address that the control API cannot use.
var errControlAddress = errors.New("acrtest: -control")

func startControl(registry *acrtest.Server, address string) (*control, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errControlAddress, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		return nil, fmt.Errorf("%w: %s is not a loopback address", errControlAddress, address)
	}
	c := &control{registry: registry}
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
	c.server = &http.Server{Handler: localOnly(mux), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = c.server.Serve(c.listener) }() // returns when the server is closed
	return c, nil
}

func (c *control) endpoint() string { return "http://" + c.listener.Addr().String() }

func (c *control) close() { _ = c.server.Close() } // nobody waits for a reply any more

// localOnly refuses what a web page had a browser send: its Host is the page's, or an Origin comes along.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && !ip.IsLoopback() || r.Header.Get("Origin") != "" {
			http.Error(w, "the control API serves programs on this machine only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
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
		return refuse("the body: %v", err)
	}
	return nil
}

// duration is a time span such as "90m", or a number of seconds.
type duration time.Duration

// MarshalJSON is the reverse.
func (d duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads either.
func (d *duration) UnmarshalJSON(raw []byte) error {
	var seconds float64
	if json.Unmarshal(raw, &seconds) == nil {
		*d = duration(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
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
			return refuse("there is no operation %q, but %q", op, all)
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
