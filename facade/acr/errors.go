package acr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// What an answer of the registry amounts to: errors.Is finds these in an *Error by its status, ErrLocked by its code.
var (
	// ErrNotFound matches any 404, but that of a token request: then nobody has looked.
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
	ErrDigestMismatch = transfer.ErrDigestMismatch
	// ErrSizeMismatch: content is longer or shorter than stated.
	ErrSizeMismatch = transfer.ErrSizeMismatch
	// ErrManifestMalformed: a manifest contradicts itself or its media type, so that two readers could understand it differently.
	ErrManifestMalformed = errors.New("malformed manifest")
	// ErrTagExists: PutManifestOptions.IfAbsent found the tag taken by another manifest.
	ErrTagExists = errors.New("tag exists")
	// ErrWaitTimeout: what WaitForTag waited for did not come in time.
	ErrWaitTimeout = errors.New("given up")
	// ErrMalformedReply: a reply is not the document it has to be, or not an answer to what was asked.
	ErrMalformedReply = transfer.ErrMalformedReply
	// ErrListEndless: a list went in circles, or has more pages than ClientOptions.MaxPages.
	ErrListEndless = errors.New("endless list")
)

// What of the server's word was not acted upon.
var (
	// ErrUntrusted is returned when a Location, Link, redirect, address or range that the registry names is not acted
	// upon: it leads away from the registry, to an address that no storage has (such as a cloud's metadata service), or
	// cannot be read.
	ErrUntrusted = wire.ErrUntrusted
	// ErrTooLarge: a reply is larger than what is held in memory: 4 MiB for a manifest or its properties, 8 MiB for a page
	// of a list, which can be asked for in smaller pages.
	ErrTooLarge = wire.ErrTooLarge
)

// Causes of a refused sign-in or a missing right, where they are known; the text of the *Error says what to do.
var (
	ErrFirewall            = auth.ErrFirewall            // the registry's firewall refuses this address
	ErrARMAudienceDisabled = auth.ErrARMAudienceDisabled // the registry takes no tokens for Azure Resource Manager
	ErrWrongAudience       = auth.ErrWrongAudience       // the Entra token is not for this registry
	ErrNoRole              = auth.ErrNoRole              // the identity has no role on the registry
	ErrMissingAction       = auth.ErrMissingAction       // the identity lacks the right to this
	ErrABAC                = auth.ErrABAC                // the registry grants by repository
	ErrCatalogRole         = auth.ErrCatalogRole         // the identity may not list repositories
	ErrExpired             = auth.ErrExpired             // the credential has expired
	ErrRevoked             = auth.ErrRevoked             // the credential was revoked
	ErrWrongPassword       = auth.ErrPassword            // user name or password is wrong
	ErrNoBearer            = auth.ErrNoBearer            // the server does not offer the sign-in of ACR
	ErrBadTokenReply       = auth.ErrBadReply            // the answer to a token request cannot be used
	ErrClockSkew           = auth.ErrClockSkew           // the local clock is off
	ErrRegistryNotFound    = auth.ErrRegistryNotFound    // there is no registry of this name
	ErrAnonymous           = auth.ErrAnonymous           // the registry does not allow this without signing in
)

// ErrorCode is the code of an error on the wire, such as "MANIFEST_UNKNOWN". It is an error itself, so that a code is tested with
// errors.Is: errors.Is(err, acr.ErrManifestUnknown), or errors.Is(err, acr.ErrorCode("NEW")) for one that this package does not name.
type ErrorCode string

// Error gives the code as it is on the wire.
func (c ErrorCode) Error() string { return string(c) }

// The codes that registries are known to send: those of the OCI distribution spec, and ACR's own.
const (
	// ErrBlobUnknown: the repository has no such blob.
	ErrBlobUnknown ErrorCode = "BLOB_UNKNOWN"
	// ErrBlobUploadInvalid: the upload session is lost, or was addressed by an old location.
	ErrBlobUploadInvalid ErrorCode = "BLOB_UPLOAD_INVALID"
	// ErrBlobUploadUnknown: there is no such upload session, or there is none any more.
	ErrBlobUploadUnknown ErrorCode = "BLOB_UPLOAD_UNKNOWN"
	// ErrContentLenInvalid: the body was longer or shorter than its Content-Length.
	ErrContentLenInvalid ErrorCode = "CONTENT_LEN_INVALID"
	// ErrDenied: the identity may not do this, or the registry's firewall refuses the client.
	ErrDenied ErrorCode = "DENIED"
	// ErrDigestInvalid: the registry's digest of the content is not the one that was stated.
	ErrDigestInvalid ErrorCode = "DIGEST_INVALID"
	// ErrDisallowed: the target is locked or quarantined, or the registry is full. ErrLocked matches it too.
	ErrDisallowed ErrorCode = "REGISTRY_DISALLOWED_OPERATION"
	// ErrManifestBlobUnknown: the manifest names a blob or manifest that the repository lacks.
	ErrManifestBlobUnknown ErrorCode = "MANIFEST_BLOB_UNKNOWN"
	// ErrManifestInvalid: the registry does not accept the manifest.
	ErrManifestInvalid ErrorCode = "MANIFEST_INVALID"
	// ErrManifestUnknown: the repository has no such manifest.
	ErrManifestUnknown ErrorCode = "MANIFEST_UNKNOWN"
	// ErrManifestUnverified: the signature of a manifest is wrong.
	ErrManifestUnverified ErrorCode = "MANIFEST_UNVERIFIED"
	// ErrNameInvalid: the registry does not accept the repository's name.
	ErrNameInvalid ErrorCode = "NAME_INVALID"
	// ErrNameUnknown: there is no such repository.
	ErrNameUnknown ErrorCode = "NAME_UNKNOWN"
	// ErrPaginationNumberInvalid: the page size is refused.
	ErrPaginationNumberInvalid ErrorCode = "PAGINATION_NUMBER_INVALID"
	// ErrRangeInvalid: a chunk does not begin where the session stands.
	ErrRangeInvalid ErrorCode = "RANGE_INVALID"
	// ErrSizeInvalid: the content is longer or shorter than stated.
	ErrSizeInvalid ErrorCode = "SIZE_INVALID"
	// ErrTagInvalid: the registry does not accept the tag.
	ErrTagInvalid ErrorCode = "TAG_INVALID"
	// ErrTagUnknown: the repository has no such tag.
	ErrTagUnknown ErrorCode = "TAG_UNKNOWN"
	// ErrTooManyRequests: the wire code of a 429. ErrThrottled matches any 429, with or without it.
	ErrTooManyRequests ErrorCode = "TOOMANYREQUESTS"
	// ErrUnauthorized: no credential, a refused one, or one without the right that the operation needs.
	ErrUnauthorized ErrorCode = "UNAUTHORIZED"
	// ErrUnsupported: the registry does not offer the operation in this form.
	ErrUnsupported ErrorCode = "UNSUPPORTED"
)

// Verdicts on transfers of blobs.
var (
	// ErrUploadLost: the registry no longer knows the upload, and what was sent cannot be sent again; or five requests in a row brought
	// no byte further. The text says how far it had got; the error unwraps to what the last request failed with.
	ErrUploadLost = transfer.ErrUploadLost
	// ErrSourceChanged: the source of an upload was changed while it was being read.
	ErrSourceChanged = transfer.ErrSourceChanged
	// ErrStalled: the other side sent nothing of a blob for 30 seconds, or did not begin an answer for a minute, again and again.
	ErrStalled = wait.ErrStalled
	// ErrNotMounted: the registry did not mount the blob; it has to be uploaded.
	ErrNotMounted = errors.New("not mounted")
	// ErrClosed: the writer or reader was used after its end.
	ErrClosed = transfer.ErrClosed
)

// fail says of an error that is no answer of the registry which operation it ended. A refused sign-in is an answer. What lies beneath, be it
// an answer, can still be found.
func (op *operation) fail(err error) error {
	switch err.(type) { //nolint:errorlint // only the outermost one says which operation it ended
	case *Error, *callError:
		return err
	}
	if e, ok := errors.AsType[*auth.Error](err); ok && e.StatusCode != 0 {
		return signInRefused(e)
	}
	return &callError{operation: op.id, err: err}
}

// callError is an operation that ended without an answer, or with one that could not be used.
type callError struct {
	operation string
	err       error
}

// Error is one line without secrets, whatever the cause's text holds.
func (e *callError) Error() string {
	return redact.OneLine("acr: " + e.operation + ": " + plain(e.err))
}

// plain is the text of an error within one of this package: the package's name stands at its head alone.
func plain(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "acr: "), ": acr: ", ": ")
}

// Unwrap gives the cause.
func (e *callError) Unwrap() error { return e.err }

// malformed is the error of a reply that is not the document it has to be.
func (op *operation) malformed(err error) error {
	if !errors.Is(err, ErrMalformedReply) {
		err = fmt.Errorf("%w: %w", ErrMalformedReply, err)
	}
	return op.fail(err)
}

// transferError says of what a transfer ended with which call it ended.
type transferError struct {
	doing string
	err   error
}

func (e *transferError) Error() string {
	return redact.OneLine("acr: " + e.doing + ": " + plain(e.err))
}

// Unwrap gives the cause.
func (e *transferError) Unwrap() error { return e.err }

// transferred wraps what a transfer ended with. What already says which operation failed, and bad arguments, stay as they are.
func transferred(doing string, err error) error {
	switch err.(type) { //nolint:errorlint // only the outermost one has a text of its own
	case nil:
		return nil
	case *Error, *callError, *ArgumentError, *transferError:
		return err
	}
	return &transferError{doing, err}
}

// contradicts is the error of a reply that cannot be what it says it is.
func contradicts(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
}
