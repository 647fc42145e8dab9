// Package pace spaces requests so that they stay within budgets per minute: a token bucket for each host and budget, with a
// pause of all requests of a budget once the server has refused one.
//
// It knows no HTTP and starts no goroutine: who waits, waits in the goroutine of its own request.
package pace
