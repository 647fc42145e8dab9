package acr

import (
	"errors"

	"github.com/acrkit/acrkit/facade/internal/auth"
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
	ErrDigestMismatch = errors.New("digest mismatch")
	// ErrSizeMismatch: content is longer or shorter than stated.
	ErrSizeMismatch = errors.New("size mismatch")
	// ErrManifestMalformed: a manifest contradicts itself or its media type, so that two readers could understand it differently.
	ErrManifestMalformed = errors.New("malformed manifest")
	// ErrTagExists: PutManifestOptions.IfAbsent found the tag taken by another manifest.
	ErrTagExists = errors.New("tag exists")
	// ErrWaitTimeout: what WaitForTag waited for did not come in time.
	ErrWaitTimeout = errors.New("given up")
	// ErrMalformedReply: a reply is not the document it has to be, or not an answer to what was asked.
	ErrMalformedReply = errors.New("malformed reply")
	// ErrListEndless: a list went in circles, or has more pages than ClientOptions.MaxPages.
	ErrListEndless = errors.New("endless list")
)

// What of the server's word was not acted upon.
var (
	// ErrForeignOrigin: a Location or Link points away from the registry.
	ErrForeignOrigin = wire.ErrForeignOrigin
	// ErrRedirect: the registry redirects where it may not.
	ErrRedirect = wire.ErrRedirect
	// ErrForbiddenAddress: a redirect leads to an address that no storage has, such as a cloud's metadata service.
	ErrForbiddenAddress = wire.ErrForbiddenAddress
	// ErrBadLocation: the Location of an upload is missing or unusable.
	ErrBadLocation = wire.ErrBadLocation
	// ErrBadLink: the Link to the next page is unusable.
	ErrBadLink = wire.ErrBadLink
	// ErrBadRange: a Range or Content-Range header is unusable.
	ErrBadRange = wire.ErrBadRange
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
