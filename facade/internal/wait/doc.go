// Package wait holds what every layer needs in order to wait: a sleep that ends with its context,
// the reason why a context ended, the delay before a repetition, and the error of a transfer that
// does not move. It imports the standard library alone and knows no HTTP, so that transfer,
// transport, retry and acr can share it.
package wait
