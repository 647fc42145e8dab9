// Package transport sends requests to one registry: over which connections, for how long, where a redirect leads, and
// with which body each attempt goes out. Whether a request may go to a URL that the server named is decided by wire.
//
//   - transport.go: the policy.Transporter at the end of a registry's pipeline, and the redirects it follows
//   - bloblink.go: the signed link of a blob, and requests to it
//   - sender.go, exchange.go: one attempt of one request and its time limits
//   - body.go: request bodies that are read afresh by each attempt
//   - dial.go: connections, and the addresses that are not connected to
//   - pin.go: the requests of one push stay at one address
//   - fetch_js.go: connections that are made by a JavaScript host
package transport
