package acr

import "errors"

// What an answer of the registry amounts to, whatever its wire code: errors.Is finds these in an *Error by its status.
var (
	// ErrNotFound matches any 404.
	ErrNotFound = errors.New("not found")
	// ErrLocked matches the refusal of a locked (or quarantined) repository, tag or manifest.
	ErrLocked = errors.New("locked")
	// ErrThrottled matches any 429; Error.RetryAfter says how long to wait.
	ErrThrottled = errors.New("throttled")
)

// Kinds of *ArgumentError: what was refused before anything was sent.
var (
	ErrInvalidName      = errors.New("invalid repository name")
	ErrInvalidReference = errors.New("invalid reference")
	ErrInvalidDigest    = errors.New("invalid digest")
	ErrInvalidEndpoint  = errors.New("invalid endpoint")
	ErrInvalidArgument  = errors.New("invalid argument")
)

// Verdicts of this package on what the registry sent.
var (
	// ErrDigestMismatch: content is not what its digest says.
	ErrDigestMismatch = errors.New("digest mismatch")
	// ErrSizeMismatch: content is longer or shorter than stated.
	ErrSizeMismatch = errors.New("size mismatch")
	// ErrManifestMalformed: a manifest contradicts itself or its media type, so that two readers could take it for different things.
	ErrManifestMalformed = errors.New("malformed manifest")
	// ErrTagExists: PutManifestOptions.IfAbsent found the tag taken by another manifest.
	ErrTagExists = errors.New("tag exists")
	// ErrSubjectIgnored: the registry did not record the subject of a manifest and has no referrers API.
	ErrListMalformed = errors.New("malformed list")
	// ErrListEndless: a list went in circles or passed its limit of pages.
	ErrListEndless = errors.New("endless list")
)
