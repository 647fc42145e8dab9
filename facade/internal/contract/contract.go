// Package contract holds every exchange of a test with a registry against api/openapi.yaml. It is for tests alone: it pulls
// in an OpenAPI library that no user of the module should have to build.
//
//	client := server.HTTPClient()
//	client.Transport = contract.New(t, client.Transport)
//
// What counts as a violation: a path or method the document does not have; a path, query or header parameter that breaks its
// schema; a query, form or JSON key it does not know; a form or JSON body that breaks its schema; a Content-Range that is not
// that of the chunk; a kind of credential that is not for the call; a status, a response header or a content type that the
// response does not declare; a required header that is missing or empty, and one given twice; a declared header or JSON body
// that breaks its schema; a body where none is declared, and a part where the whole was asked for; a challenge for another
// scope than x-acr-scopes, or for none; a credential, cookie or Referer sent to storage.
//
// Bodies are looked at while the caller reads them: nothing is read ahead or held back, and octet streams pass untouched, so
// that gigabytes, stalls and resets reach the caller as they came. What the caller does not read to its end is not judged,
// nor is JSON of more than 8 MiB.
package contract

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// TB is what a Checker needs of a *testing.T or *testing.B.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Cleanup(func())
}

// Checker passes requests on and reports what breaks the contract. It is safe for concurrent use.
type Checker struct {
	base   http.RoundTripper
	router *router
	rules  *rules
	allow  []func(*http.Response) bool
	skip   []func(*http.Request) bool

	mu      sync.Mutex
	t       TB // nil without a test, and once the test is over
	seen    map[string]map[int]int
	storage map[string]bool // origins that a 307 of this checker has named
}

// Option changes what a Checker holds against the document.
type Option func(*Checker)

// Allow exempts the responses for which broken returns true: those that a test breaks on purpose. Their requests are held
// against the document all the same. The body of the response must not be read.
func Allow(broken func(*http.Response) bool) Option {
	return func(c *Checker) { c.allow = append(c.allow, broken) } //nolint:bodyclose // a predicate, not a response
}

// AllowResponses exempts every response, for tests whose server lies throughout.
func AllowResponses() Option {
	return Allow(func(*http.Response) bool { return true })
}

// Skip exempts exchanges altogether: those that are not with a registry, such as a sign-in to Entra.
func Skip(stranger func(*http.Request) bool) Option {
	return func(c *Checker) { c.skip = append(c.skip, stranger) }
}

type exemptKey struct{}

// Exempt marks the context of a call whose responses are broken on purpose, as Allow does for a whole Checker.
func Exempt(ctx context.Context) context.Context {
	return context.WithValue(ctx, exemptKey{}, true)
}

// New returns a Checker over base; nil means http.DefaultTransport. Violations fail t; with a nil t they only go into the
// package's report. A violation that shows after t has ended goes into the report as well, where Main sees it.
func New(t TB, base http.RoundTripper, opts ...Option) *Checker {
	if base == nil {
		base = http.DefaultTransport
	}
	c := &Checker{base: base, seen: map[string]map[int]int{}, storage: map[string]bool{}}
	document, err := load()
	if err != nil {
		// Without the document nothing can be held against it; every exchange says so.
		c.base = failing{fmt.Errorf("contract: %w", err)}
	} else {
		c.router, c.rules = document.router, document.rules
	}
	for _, opt := range opts {
		opt(c)
	}
	if t != nil {
		c.t = t
		t.Cleanup(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.t = nil
		})
	}
	return c
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// Do is RoundTrip, so that a Checker can stand where an azcore transporter is wanted.
func (c *Checker) Do(req *http.Request) (*http.Response, error) { return c.RoundTrip(req) }

// CloseIdleConnections closes those of the base transport.
func (c *Checker) CloseIdleConnections() {
	if base, ok := c.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// RoundTrip sends the request by the base transport and holds the exchange against the document. It changes neither.
func (c *Checker) RoundTrip(req *http.Request) (*http.Response, error) {
	if c.router == nil || slices.ContainsFunc(c.skip, func(skip func(*http.Request) bool) bool { return skip(req) }) {
		return c.base.RoundTrip(req)
	}
	if c.isStorage(req) {
		return c.storageTrip(req)
	}
	route, err := c.router.find(req.Method, req.URL.Path)
	if err != nil {
		c.report(req, "", 0, []error{err})
		return c.base.RoundTrip(req)
	}
	sent, errs := c.rules.checkRequest(req, route)
	c.report(req, route.id, 0, errs)

	resp, err := c.base.RoundTrip(sent)
	if err != nil {
		total.lost()
		return resp, err
	}
	c.saw(route.id, resp.StatusCode)
	if resp.StatusCode == http.StatusTemporaryRedirect {
		c.learnStorage(req, resp)
	}
	if c.exempt(req, resp) {
		return resp, nil
	}
	response, errs := c.rules.checkResponse(req, resp, route)
	c.report(req, route.id, resp.StatusCode, errs)
	c.watchBody(req, resp, route, response)
	return resp, nil
}

func (c *Checker) exempt(req *http.Request, resp *http.Response) bool {
	if req.Context().Value(exemptKey{}) != nil {
		return true
	}
	return slices.ContainsFunc(c.allow, func(broken func(*http.Response) bool) bool { return broken(resp) })
}

// Seen returns how often this checker met each status of each operation.
func (c *Checker) Seen() map[string]map[int]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return copySeen(c.seen)
}

func (c *Checker) saw(id string, status int) {
	c.mu.Lock()
	count(c.seen, id, status)
	c.mu.Unlock()
	total.saw(id, status)
}

// report fails the test for each violation. The query is left out of the text: it may hold a signature.
func (c *Checker) report(req *http.Request, id string, status int, errs []error) {
	for _, err := range errs {
		where := fmt.Sprintf("%s %q", req.Method, req.URL.Path)
		if id != "" {
			where = id + " " + where
		}
		if status != 0 {
			where += fmt.Sprintf(" -> %d", status)
		}
		text := fmt.Sprintf("contract: %s: %v", where, err)
		total.violated(text)
		c.mu.Lock()
		t := c.t
		if t != nil {
			t.Helper()
			t.Errorf("%s", text) // under the lock: the test must not end between the look and the word
		}
		c.mu.Unlock()
	}
}
