package store

import (
	"errors"

	"github.com/opencontainers/go-digest"
)

// What a Store refuses.
var (
	ErrRepositoryUnknown = errors.New("repository is not known")
	ErrTagUnknown        = errors.New("tag is not known")
	ErrManifestUnknown   = errors.New("manifest is not known")
	ErrManifestInvalid   = errors.New("manifest is invalid")
	ErrBlobUnknown       = errors.New("blob is not known")
	ErrUploadUnknown     = errors.New("upload session is not known")
	ErrDigestMismatch    = errors.New("content has another digest")
	// ErrDisallowed is the answer of a lock: an attribute, a quarantine, an immutable tag or a soft-deleted manifest in the way.
	ErrDisallowed = errors.New("operation is disallowed")
	// ErrConflict means that a restore would move a tag that points elsewhere.
	ErrConflict = errors.New("tag points at another manifest")
	// ErrCorrupt means that a directory's journal cannot be read.
	ErrCorrupt = errors.New("journal is corrupt")
	// ErrForeign means that a directory holds files of somebody else under the names that a store would use.
	ErrForeign = errors.New("directory holds a file that is not the emulator's")
	// ErrInUse means that another process has the directory.
	ErrInUse = errors.New("directory is in use by another process")
)

// MissingError means that a manifest names content that is not in the repository.
type MissingError struct{ Digests []digest.Digest }

// Error names the first digest that is missing.
func (e *MissingError) Error() string {
	return "manifest names unknown content " + e.Digests[0].String()
}
