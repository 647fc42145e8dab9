package store

import (
	"errors"

	"github.com/opencontainers/go-digest"
)

// Errors of a Store.
var (
	ErrRepositoryUnknown = errors.New("unknown repository")
	ErrTagUnknown        = errors.New("unknown tag")
	ErrManifestUnknown   = errors.New("unknown manifest")
	ErrManifestInvalid   = errors.New("invalid manifest")
	ErrBlobUnknown       = errors.New("unknown blob")
	ErrUploadUnknown     = errors.New("unknown upload session")
	ErrDigestMismatch    = errors.New("the content has another digest")
	// ErrDisallowed is returned if an attribute, a quarantine, an immutable tag or a soft-deleted
	// manifest forbids the operation.
	ErrDisallowed = errors.New("the operation is disallowed")
	// ErrConflict is returned if a restore would move a tag that points at another manifest.
	ErrConflict = errors.New("the tag points at another manifest")
	// ErrCorrupt is returned if the journal of a directory is damaged.
	ErrCorrupt = errors.New("the journal is damaged")
	// ErrForeign is returned if a directory contains files of other programs under names that a
	// store uses.
	ErrForeign = errors.New("the directory contains a file that the emulator did not create")
	// ErrInUse is returned if another store uses the directory.
	ErrInUse = errors.New("the directory is in use by another registry")
)

// MissingError is returned for a manifest that refers to content the repository does not have.
type MissingError struct{ Digests []digest.Digest }

// Error names the first missing digest.
func (e *MissingError) Error() string {
	return "the manifest refers to unknown content " + e.Digests[0].String()
}
