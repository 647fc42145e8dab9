// Package redact makes what a server sends fit to be shown in errors, logs and traces: one line, printable, of bounded
// length, without tokens, passwords and signed URLs.
package redact
