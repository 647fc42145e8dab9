// Package acr works with the data plane of the Azure Container Registry: repositories, tags, manifests and blobs.
//
// A [Client] is one registry under one identity; a [Repository] and an [Artifact] are handles made from it that cost nothing:
//
//	cred, err := azidentity.NewDefaultAzureCredential(nil)
//	...
//	client, err := acr.NewClient("myregistry.azurecr.io", cred, nil)
//	...
//	for tag, err := range client.Repository("library/hello").Tags(ctx, nil) {
//		...
//	}
//
// # Tour
//
// Look around:
//
//	client.Repositories(ctx, nil)                // names, a sequence
//	repo := client.Repository("library/hello")   // a handle
//	repo.Tags(ctx, nil)                          // tags with their properties, a sequence
//	repo.Manifests(ctx, nil)                     // manifests with theirs, tagged or not
//	repo.Properties(ctx)                         // of the repository
//	repo.Artifact("v1").ManifestProperties(ctx)  // of one manifest, by tag or digest
//
// Lock, retag, delete:
//
//	repo.Artifact("v1").UpdateTagAttributes(ctx, acr.ChangeableAttributes{WriteEnabled: new(false)})
//	repo.Tag(ctx, "v1", "stable", nil)           // the manifest of v1 under another tag
//	repo.Artifact("v1").DeleteTag(ctx)           // the tag alone
//	repo.Artifact("v1").Delete(ctx)              // its manifest, with every tag on it
//	repo.Delete(ctx)                             // everything
//
// Move content:
//
//	layer, err := repo.UploadBlob(ctx, file, nil)                 // from any io.Reader, in chunks; gives a descriptor
//	repo.PutManifest(ctx, "v2", manifest, nil)                    // bytes that name what was uploaded
//	manifest, err := repo.GetManifest(ctx, "v2")                  // its bytes; Image and Index decode them
//	repo.DownloadBlobFile(ctx, layer.Digest, "layer.tar", nil)    // parallel, verified, complete or not there
//	reader, err := repo.GetBlob(ctx, layer.Digest, nil)           // as a stream, verified at its end
//
// # Lists
//
// Lists are sequences: nothing is asked before they are ranged over, then one request per page of up to 1000 entries, in constant memory.
// They end where the registry gives no link to a next page. An error comes as the last pair. Break off at any time, and continue later
// with After. [Collect] gathers a list into a slice.
//
// # Manifests and blobs
//
// Descriptors, manifests and indexes are the types of github.com/opencontainers/image-spec, digests those of
// github.com/opencontainers/go-digest. The digest of every manifest and blob that comes in is computed and compared, and nothing is
// reported as complete before that. Only parts of a blob ([Repository.GetBlobRange], [BlobReaderAt]) cannot be verified. A manifest that
// two readers could understand differently is refused.
//
// # Errors
//
// An error response from the registry is an [*Error]: one line with the operation, what the registry said, what to do about it if that is
// known, and the correlation id that Azure support asks for. errors.As also finds the [*azcore.ResponseError] behind it. An argument or
// option that cannot be right is refused before anything is sent, as an [*ArgumentError]. All other errors match one of the values below, or
// wrap what the context, the network, a file or the caller's own reader ended with. [Client.Doctor] finds out why a registry cannot be used.
//
// What errors.Is finds, what it means, and what to do:
//
//	Not there
//	  ErrNotFound             404: see which below          nothing to do if it was to be deleted
//	  ErrTagUnknown           no such tag                   check the tag
//	  ErrManifestUnknown      no such manifest              check the digest; after a push, wait for the replica
//	  ErrBlobUnknown          no such blob                  the same
//	  ErrNameUnknown          no such repository            check the name; the first push creates it
//
//	Not allowed
//	  ErrLocked               locked or quarantined         unlock it with an update of its attributes
//	  ErrTagExists            IfAbsent: the tag is taken    use another tag
//	  ErrDenied               a right is missing            see the cause below; if there is none, the error's text
//	  ErrUnauthorized         the sign-in was refused       the same
//	  ErrUnsupported          not offered in this form      see the error's text
//
//	Causes of a failed sign-in or a missing right
//	  ErrNoRole               no role on the registry       assign AcrPull or AcrPush
//	  ErrMissingAction        the role is too small         assign one that allows the operation
//	  ErrABAC                 role not for this repository  assign a repository role
//	  ErrCatalogRole          may not list repositories     assign Repository Catalog Lister, or name the repository
//	  ErrAnonymous            sign-in required              pass a credential
//	  ErrExpired, ErrRevoked  the credential has ended      sign in again
//	  ErrWrongPassword        user name or password wrong   check both
//	  ErrWrongAudience        token for another audience    check tenant and cloud
//	  ErrARMAudienceDisabled  ARM tokens are refused        do not set ClientOptions.ARMAudience
//	  ErrFirewall             the firewall refuses us       add the address in the registry's network rules
//	  ErrRegistryNotFound     no such registry              check the endpoint
//	  ErrNoBearer             not a registry of ACR         check the endpoint, and for a proxy
//	  ErrBadTokenReply        not a token response          the same
//	  ErrClockSkew            the local clock is wrong      set the clock
//
//	Try again, now or later
//	  ErrThrottled            429: too many requests        wait Error.RetryAfter; use a Governor
//	  ErrStalled              the other side stays silent   try again; check the network
//	  ErrUploadLost           the session is gone           upload the blob again
//	  ErrBlobUploadUnknown    the same, as a code           the same
//	  ErrBlobUploadInvalid    the same, as a code           the same
//	  ErrManifestBlobUnknown  a blob is not there (yet)     upload it, or set PutManifestOptions.BlobWait
//	  ErrWaitTimeout          the tag did not appear        look at the push, or wait longer
//	  ErrNotMounted           the registry did not mount    upload the blob
//
//	Wrong content: do not use it
//	  ErrDigestMismatch       another digest than stated    get it again; suspect what is in between
//	  ErrSizeMismatch         longer or shorter             the same
//	  ErrManifestMalformed    it contradicts itself         have it built anew
//	  ErrManifestInvalid      the registry refuses it       see the error's text
//	  ErrMalformedReply       not what was asked for        check for a proxy or portal in between
//	  ErrUntrusted            leads where we do not go      the same
//	  ErrTooLarge             more than fits in memory      ask for smaller pages
//	  ErrListEndless          the list does not end         report it to the registry, or raise MaxPages
//
//	Mistakes of the caller
//	  ErrInvalidArgument      refused before sending        see ArgumentError
//	  ErrSourceChanged        source changed while read     upload it again
//	  ErrClosed               used after its end            do not
//
// # Credentials
//
// A credential is sent to one place only: the https origin that the client was made with, which must be an ACR host or be named in
// [ClientOptions].AllowedHosts. The realm of a challenge is not obeyed, links and locations are followed there alone, and the redirect of
// a blob is followed to storage without the credential. Tokens are kept in memory by scope, fetched once for any number of waiting calls,
// and renewed before they expire.
//
// # Retries
//
// A request that fails in passing (408, 429, 500, 502, 503, 504, a lost connection) is sent again where that is safe, up to 4 times and
// with growing waits, or the wait that Retry-After asks for up to a minute, within a budget that keeps a failing registry from being
// flooded; azcore.ClientOptions.Retry changes that. Uploads and downloads go on from what has arrived.
//
// # Examples
//
// The examples run against the emulator of package acrtest. In them exampleRegistry starts one that holds a few images, and gives it
// with a client of it; for a registry in Azure it is [NewClient] that makes the client.
package acr
