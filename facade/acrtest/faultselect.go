package acrtest

import (
	"net/http"
	"strings"
)

// Nth affects only the nth matching request, counted from 1.
func (f *Fault) Nth(n int) *Fault {
	n = f.counted("Nth", n)
	return f.set(func() { f.from, f.until = n, n })
}

// First affects the first n matching requests; none if n is 0.
func (f *Fault) First(n int) *Fault {
	if n <= 0 {
		n = never
	}
	return f.set(func() { f.from, f.until = 1, n })
}

// From affects the nth matching request, counted from 1, and all later ones.
func (f *Fault) From(n int) *Fault {
	n = f.counted("From", n)
	return f.set(func() { f.from, f.until = n, 0 })
}

// Always affects every matching request.
func (f *Fault) Always() *Fault { return f.From(1) }

// Path restricts the fault to requests whose decoded URL path contains text.
func (f *Fault) Path(text string) *Fault {
	return f.When(func(r *http.Request) bool { return strings.Contains(r.URL.Path, text) })
}

// When restricts the fault to requests for which match returns true. match must not read the body
// or call methods of [Server], [Fault] or [Ledger].
func (f *Fault) When(match func(*http.Request) bool) *Fault {
	if !f.valid(match != nil, "When", "nil", isNil) {
		return f
	}
	return f.set(func() { f.when = append(f.when, match) })
}
