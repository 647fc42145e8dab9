//go:build !js

package transport

import "net/http"

// hasSockets is true where net/http makes connections itself.
const hasSockets = true

// usesFetch reports whether net/http sends the requests of tr by the fetch function of a JavaScript host.
func usesFetch(*http.Transport) bool { return false }

// roundTrip returns the RoundTrip of tr.
func roundTrip(tr *http.Transport) func(*http.Request) (*http.Response, error) { return tr.RoundTrip }

// fetchOptions does nothing.
func fetchOptions(http.Header) {}
