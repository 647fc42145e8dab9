// Package retry decides when a request is sent again: after which errors and status codes, how much later, and how often
// for all calls of a client together. It takes the place of azcore's retry policy, which would send a request body again
// over a shared seeker and knows neither uploads nor a budget.
package retry
