package transport

import (
	"errors"
	"net/http"
	"strings"
	"syscall/js"
)

// errNode is returned for a program that net/http keeps off the network: its RoundTrip does not use fetch where the
// program was started as "node", and has no sockets (https://go.dev/issue/57613).
var errNode = errors.New(`net/http uses no fetch in a program that was started as "node": start node by its full path`)

// underNode is the condition of net/http.
var underNode = js.Global().Get("process").Type() == js.TypeObject && strings.HasPrefix(js.Global().Get("process").Get("argv0").String(), "node")

// hasSockets is false: connections are made by fetch, and a dial function of ours would turn it off.
const hasSockets = false

// usesFetch reports whether net/http sends the requests of tr by fetch. Then its fields have no effect, and nobody sees
// the addresses that are connected to.
func usesFetch(tr *http.Transport) bool {
	return tr.Dial == nil && tr.DialContext == nil && tr.DialTLS == nil && tr.DialTLSContext == nil && //nolint:staticcheck // a caller may still use them
		!js.Global().Get("fetch").IsUndefined() && !underNode
}

// roundTrip returns the RoundTrip of tr.
func roundTrip(tr *http.Transport) func(*http.Request) (*http.Response, error) {
	if underNode && tr.DialContext == nil {
		return func(r *http.Request) (*http.Response, error) {
			closeBody(r)
			return nil, errNode
		}
	}
	return tr.RoundTrip
}

// fetchOptions makes fetch hand out redirects and keep cookies to itself.
func fetchOptions(h http.Header) {
	h.Set("js.fetch:redirect", "manual")
	h.Set("js.fetch:credentials", "omit")
}
