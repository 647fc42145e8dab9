// Package wire is the only code that trusts a server's word: origins, redirects, Location, Link, ranges, Retry-After, and how much of a
// reply is read into memory. It knows no tokens and no operations.
//
// Every URL a server hands out passes [Decide], the one origin rule. What is not acted upon is a [*Refusal], which is never retried.
package wire
