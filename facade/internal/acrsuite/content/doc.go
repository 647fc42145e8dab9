// Package content tests what is read from the registry other than blobs: lists and manifests, what may not be believed
// of them, what is deleted, and calls whose context ends.
package content
