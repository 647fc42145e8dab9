// Package signin tests how the library signs in, what it makes of tokens that end, and what it makes of refusals and
// limits.
package signin
