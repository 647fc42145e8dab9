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

// Errors by HTTP status or error code. An [*Error] matches them with errors.Is.
var (
	// ErrNotFound is matched by any 404 response, except one to a token request, which says nothing
	// about the resource.
	ErrNotFound = errors.New("not found")
	// ErrLocked is matched if the registry refuses an operation because something is locked or in
	// quarantine (see [ChangeableAttributes]), or because its storage is full.
	ErrLocked = errors.New("locked")
	// ErrThrottled is matched by any 429 response. Error.RetryAfter says how long to wait.
	ErrThrottled = errors.New("throttled")
)

// ErrInvalidArgument is matched by every [*ArgumentError]: the call was refused before anything was
// sent.
var ErrInvalidArgument = errors.New("invalid argument")

// Responses that this package does not accept.
var (
	// ErrDigestMismatch is returned if content does not have the requested or stated digest.
	ErrDigestMismatch = transfer.ErrDigestMismatch
	// ErrSizeMismatch is returned if content is longer or shorter than stated.
	ErrSizeMismatch = transfer.ErrSizeMismatch
	// ErrManifestMalformed is returned for a manifest that contradicts itself or its media type, so
	// that two readers could understand it differently.
	ErrManifestMalformed = errors.New("malformed manifest")
	// ErrMalformedReply is returned for a response that is not the document it should be, or does
	// not answer the request.
	ErrMalformedReply = transfer.ErrMalformedReply
	// ErrUntrusted is returned if a URL or range in a response is not acted upon: a Location, Link
	// or redirect to another origin or path, an address that cannot be storage, a range that was
	// not requested.
	ErrUntrusted = wire.ErrUntrusted
	// ErrTooLarge is returned for a response that is larger than this package reads into memory: 4
	// MiB for a manifest or the properties of one, 8 MiB for a page of a list. Request smaller
	// pages.
	ErrTooLarge = wire.ErrTooLarge
	// ErrListEndless is returned by a list that leads back to an earlier page, or has more pages
	// than ClientOptions.MaxPages.
	ErrListEndless = errors.New("endless list")
)

// Errors of calls that do more than send one request.
var (
	// ErrTagExists is returned if the IfAbsent option finds the tag on another manifest.
	ErrTagExists = errors.New("tag exists")
	// ErrWaitTimeout is returned if WaitForTag does not find the tag in time.
	ErrWaitTimeout = errors.New("timed out")
	// ErrUploadLost is returned if the registry no longer knows the upload and the content cannot
	// be sent again, or if five requests in a row made no progress. The text says how far the
	// upload got; the error unwraps to that of the last request.
	ErrUploadLost = transfer.ErrUploadLost
	// ErrSourceChanged is returned if the source of an upload changed while it was read, or before
	// the upload was resumed.
	ErrSourceChanged = transfer.ErrSourceChanged
	// ErrStalled is returned if a response does not begin in time, or if the body of a request or
	// response makes no progress for a while; [ResponseTimeouts] has the times. A transfer retries
	// several times first.
	ErrStalled = wait.ErrStalled
	// ErrNotMounted is returned if the registry does not mount a blob. Upload it instead.
	ErrNotMounted = errors.New("not mounted")
	// ErrClosed is returned by a reader or writer that is used after its end.
	ErrClosed = transfer.ErrClosed
)

// Causes of a failed sign-in or a missing right. An [*Error] matches them if the cause is known;
// its text says what to do.
var (
	ErrFirewall            = auth.ErrFirewall            // the registry's firewall refuses this address
	ErrARMAudienceDisabled = auth.ErrARMAudienceDisabled // the registry does not accept tokens for Azure Resource Manager
	ErrWrongAudience       = auth.ErrWrongAudience       // the Entra token is for another audience or tenant
	ErrNoRole              = auth.ErrNoRole              // the identity has no role on the registry
	ErrMissingAction       = auth.ErrMissingAction       // the identity's roles do not allow this
	ErrABAC                = auth.ErrABAC                // the identity's role does not cover this repository (ABAC)
	ErrCatalogRole         = auth.ErrCatalogRole         // the identity may not list repositories
	ErrExpired             = auth.ErrExpired             // the credential has expired
	ErrRevoked             = auth.ErrRevoked             // the credential was revoked
	ErrWrongPassword       = auth.ErrPassword            // the user name or password is wrong
	ErrNoBearer            = auth.ErrNoBearer            // the server did not send an ACR Bearer challenge
	ErrBadTokenReply       = auth.ErrBadReply            // the token response is invalid
	ErrClockSkew           = auth.ErrClockSkew           // the local clock is wrong
	ErrRegistryNotFound    = auth.ErrRegistryNotFound    // there is no registry with this name
	ErrAnonymous           = auth.ErrAnonymous           // the registry requires a sign-in for this
)

// ErrorCode is the error code of a response, such as "MANIFEST_UNKNOWN". It is an error itself, so
// errors.Is can test for it: errors.Is(err, acr.ErrManifestUnknown), or errors.Is(err,
// acr.ErrorCode("NAME_INVALID")) for a code without a name here.
type ErrorCode string

// Error returns the code.
func (c ErrorCode) Error() string { return string(c) }

// The error codes that a caller can act on. Registries send others too; see [ErrorCode].
const (
	// ErrBlobUnknown means that the repository does not have the blob.
	ErrBlobUnknown ErrorCode = "BLOB_UNKNOWN"
	// ErrBlobUploadInvalid means that the upload session is lost, or was addressed by an old
	// location.
	ErrBlobUploadInvalid ErrorCode = "BLOB_UPLOAD_INVALID"
	// ErrBlobUploadUnknown means that the registry does not know the upload session, or no longer
	// does.
	ErrBlobUploadUnknown ErrorCode = "BLOB_UPLOAD_UNKNOWN"
	// ErrDenied means that the identity may not do this, or that the registry's firewall refuses
	// the client. An [*Error] with the cause [ErrNoRole], [ErrMissingAction], [ErrABAC] or
	// [ErrCatalogRole] matches it too, since the registry refuses with either code then.
	ErrDenied ErrorCode = "DENIED"
	// ErrManifestBlobUnknown means that the manifest names a blob or manifest that the repository
	// does not have.
	ErrManifestBlobUnknown ErrorCode = "MANIFEST_BLOB_UNKNOWN"
	// ErrManifestInvalid means that the registry does not accept the manifest.
	ErrManifestInvalid ErrorCode = "MANIFEST_INVALID"
	// ErrManifestUnknown means that the repository does not have the manifest.
	ErrManifestUnknown ErrorCode = "MANIFEST_UNKNOWN"
	// ErrNameUnknown means that the registry does not have the repository.
	ErrNameUnknown ErrorCode = "NAME_UNKNOWN"
	// ErrTagUnknown means that the repository does not have the tag.
	ErrTagUnknown ErrorCode = "TAG_UNKNOWN"
	// ErrUnauthorized means that the credential is missing, was refused, or lacks the right that
	// the operation needs. In the last case the error also matches [ErrDenied], if the cause is
	// known.
	ErrUnauthorized ErrorCode = "UNAUTHORIZED"
	// ErrUnsupported means that the registry does not offer the operation in this form.
	ErrUnsupported ErrorCode = "UNSUPPORTED"
)

// Codes that this package acts on, and a caller need not know.
const (
	codeDigestInvalid ErrorCode = "DIGEST_INVALID"                // the content does not have the digest that was stated
	codeDisallowed    ErrorCode = "REGISTRY_DISALLOWED_OPERATION" // locked, quarantined, or the registry is full: ErrLocked
)

// opError adds the operation to an error: there was no response, or a response that cannot be used.
type opError struct {
	operation string
	err       error
}

// Error returns one line without secrets, whatever the cause's text holds.
func (e *opError) Error() string { return redact.OneLine("acr: " + e.operation + ": " + plain(e.err)) }

// Unwrap returns the cause.
func (e *opError) Unwrap() error { return e.err }

// failed adds the operation to an error. It returns nil, argument errors and errors that already
// name an operation unchanged. A refused sign-in becomes an *Error.
func failed(operation string, err error) error {
	switch err.(type) { //nolint:errorlint // only the outermost one says which operation it ended
	case nil:
		return nil
	case *Error, *opError, *ArgumentError:
		return err
	}
	if e, ok := errors.AsType[*auth.Error](err); ok && e.StatusCode != 0 {
		if _, known := errors.AsType[*Error](err); !known {
			return signInRefused(operation, e)
		}
	}
	return &opError{operation, err}
}

// fail is failed for an operation of the table.
func (op *operation) fail(err error) error { return failed(op.id, err) }

// within is fail for the error of another operation that this one sends on its way. It names both; of a refused sign-in, whose request
// is named, only this one.
func (op *operation) within(err error) error {
	switch e := err.(type) { //nolint:errorlint // only the outermost one says which operation it ended
	case *Error:
		named := *e
		named.during = op.id
		return &named
	case *opError:
		return &opError{op.id, err}
	}
	return op.fail(err)
}

// plain returns the text of an error for use within another one: the prefix "acr: " is only at the
// beginning of a line.
func plain(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "acr: "), ": acr: ", ": ")
}

// malformed returns the error of a response that is not the document it should be. got may be nil.
func (op *operation) malformed(got *reply, err error) error {
	kind := ErrMalformedReply
	if got != nil {
		kind = got.hide(contradicts(ErrMalformedReply, "%s", got.describe()))
		err = got.hide(&reason{err})
	}
	if got != nil || !errors.Is(err, ErrMalformedReply) {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return op.fail(err)
}

// reason is an error of the kind ErrMalformedReply within another one of that kind, whose text names the kind already.
type reason struct{ error }

// Error returns the text without the kind.
func (r *reason) Error() string {
	return strings.TrimPrefix(r.error.Error(), ErrMalformedReply.Error()+": ")
}

// Unwrap returns the error.
func (r *reason) Unwrap() error { return r.error }

// contradicts returns an error of the kind, with details.
func contradicts(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
}

// lacks returns the error of a document without a member that it must have.
func lacks(member string) error { return contradicts(ErrMalformedReply, "it has no %q", member) }
