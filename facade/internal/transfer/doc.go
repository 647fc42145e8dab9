// Package transfer moves blobs: one loop that uploads over a session of five methods, and a reader and a parallel download over a blob
// that can be opened at an offset. It knows no HTTP and no registry: what can fail is told to it as a Fault, and what it decides (ask,
// go on, begin again, give up) can be tested without either.
package transfer
