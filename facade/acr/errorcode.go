package acr

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
