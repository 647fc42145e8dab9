// Package wire decides what is believed of a server: origins, addresses, redirects, Location, Link, Content-Range,
// Retry-After, and how much of a response is read into memory. It sends nothing, and knows no tokens and no operations.
//
// Every URL that a server names passes [Decide], the one origin rule. A response that is not acted upon is a [*Refusal],
// which is never retried.
package wire
