// Package acr is a client for the data plane of the Azure Container Registry: repositories, tags,
// manifests and blobs.
//
// A [Client] is a connection to one registry under one identity. A [Repository] and an [Artifact]
// are handles that are created from it without a request:
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
//	client.Repositories(ctx, nil)                // names of repositories
//	repo := client.Repository("library/hello")   // a handle
//	repo.Tags(ctx, nil)                          // tags with properties
//	repo.Manifests(ctx, nil)                     // manifests with properties, tagged or not
//	repo.Properties(ctx)                         // of the repository
//	repo.Artifact("v1").ManifestProperties(ctx)  // of one manifest, by tag or digest
//
// Lock, retag, delete:
//
//	repo.Artifact("v1").UpdateTagAttributes(ctx, acr.ChangeableAttributes{WriteEnabled: new(false)})
//	repo.Tag(ctx, "v1", "stable", nil)           // add the tag "stable" to the manifest of "v1"
//	repo.Artifact("v1").DeleteTag(ctx)           // only the tag
//	repo.Artifact("v1").Delete(ctx)              // the manifest with all its tags
//	_, err := repo.Delete(ctx)                   // everything; returns what was deleted
//
// Upload and download:
//
//	layer, err := repo.UploadBlob(ctx, file, nil)               // from any io.Reader, in chunks; returns a descriptor
//	repo.PutImage(ctx, "v2", manifest, nil)                     // a manifest that refers to uploaded blobs
//	manifest, err := repo.GetManifest(ctx, "v2")                // its bytes; Image and Index decode them
//	repo.DownloadBlobFile(ctx, layer.Digest, "layer.tar", nil)  // in parallel; verified before the file appears
//	reader, err := repo.GetBlob(ctx, layer.Digest, nil)         // a stream, verified at its end
//
// Preview features of the service, on registries that offer them:
//
//	client.QueryMetadata(ctx, "Manifests | where imageSize > 1000000000")  // find manifests with a query
//	repo.StartConversion(ctx, dgst)                                         // convert an image for artifact streaming
//	client.DeletedRepositories(ctx, nil)                                    // the recycle bin of soft delete
//
// # Lists
//
// Lists are iterators. They send no request before the first iteration, and then one for each page
// of up to 1,000 entries. Memory does not grow with the list. An error is yielded as the last pair
// and ends the list. To stop, break out of the loop; to continue later, set After in the options.
// [Collect] returns a list as a slice.
//
// # Manifests and blobs
//
// Descriptors, manifests and indexes have the types of github.com/opencontainers/image-spec,
// digests those of github.com/opencontainers/go-digest.
//
// A parameter named reference is a string: a tag or a digest. A parameter that must be a digest has
// the type digest.Digest. To pass a digest d as a reference, write d.String(). To get a digest from
// a string s, call digest.Parse(s).
//
// The digest of every manifest and blob that is transferred is computed and compared before it is
// reported as complete. There are two exceptions: parts of a blob ([Repository.GetBlobRange],
// [BlobReaderAt]) cannot be verified, and with UploadOptions.TrustDigest only the registry compares
// the digest. A manifest that two programs could understand differently is refused.
//
// # Errors
//
// An error response from the registry is an [*Error]. Its text is one line with the operation, the
// registry's message, advice if the cause is known, and the correlation id that Azure support asks
// for. errors.As also finds the [*azcore.ResponseError] behind it. An invalid argument or option is
// an [*ArgumentError]; no request is sent. All other errors match one of the values below, or wrap
// the error of the context, the network, a file, or the caller's reader or writer. [Client.Doctor]
// finds out why a registry cannot be used.
//
// This is what errors.Is matches, what it means, and what to do:
//
//	Not found
//	  ErrNotFound             404: any of those below       no problem if you wanted to delete it
//	  ErrTagUnknown           no such tag                   check the tag (ErrManifestUnknown from GetManifest)
//	  ErrManifestUnknown      no such manifest or tag       check it; right after a push, a replica may lag
//	  ErrBlobUnknown          no such blob                  the same
//	  ErrNameUnknown          no such repository            check the name; the first push creates it
//
//	Not allowed
//	  ErrLocked               locked, in quarantine, full   change its attributes, or free storage
//	  ErrTagExists            IfAbsent: the tag is taken    use another tag
//	  ErrDenied               a right is missing            see the cause below; if there is none, the error's text
//	  ErrUnauthorized         no sign-in, or no right       the same; test for ErrDenied first
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
//	  ErrFirewall             the firewall blocks the call  add the address in the registry's network rules
//	  ErrRegistryNotFound     no such registry              check the endpoint
//	  ErrNoBearer             not an ACR challenge          check the endpoint, and look for a proxy
//	  ErrBadTokenReply        not a token response          the same
//	  ErrClockSkew            the local clock is wrong      set the clock
//
//	Try again, now or later
//	  ErrThrottled            429: too many requests        wait Error.RetryAfter; use a Governor
//	  ErrStalled              no data for a long time       try again; check the network
//	  ErrUploadLost           the session is gone           upload the blob again
//	  ErrBlobUploadUnknown    the session is gone           the same
//	  ErrBlobUploadInvalid    the session is gone           the same
//	  ErrManifestBlobUnknown  a blob is not there (yet)     upload it, or set PutManifestOptions.BlobWait
//	  ErrWaitTimeout          the tag did not appear        look at the push, or wait longer
//	  ErrNotMounted           the registry did not mount    upload the blob
//
//	Wrong content: do not use it
//	  ErrDigestMismatch       another digest than stated    get it again; look for a proxy
//	  ErrSizeMismatch         longer or shorter             the same
//	  ErrManifestMalformed    it contradicts itself         build it again
//	  ErrManifestInvalid      the registry refuses it       see the error's text
//	  ErrMalformedReply       not what was requested        look for a proxy or portal in between
//	  ErrUntrusted            a URL that is not followed    the same
//	  ErrTooLarge             larger than the limit         ask for smaller pages
//	  ErrListEndless          the list does not end         raise MaxPages, or ask Azure support
//
//	Mistakes of the caller
//	  ErrInvalidArgument      refused before sending        see ArgumentError
//	  ErrSourceChanged        source changed meanwhile      upload it again, without Resume
//	  ErrClosed               used after its end            create a new one
//
// # Credentials
//
// A credential is sent only to the https origins of the endpoint that the client was created with
// and of [ClientOptions].FallbackEndpoints. Each must be an ACR host, or be listed in AllowedHosts.
// The realm of a challenge is ignored. Links and locations are followed on these origins only. The
// content of blobs is in Azure storage, to which the registry redirects: such a redirect is
// followed without the credential. Tokens are cached in memory by origin and scope, shared by all
// calls of the client, and renewed before they expire.
//
// # Retries
//
// Requests, except the chunks of uploads, are retried after status codes 408, 429, 500, 502, 503
// and 504, and after lost connections: up to 4 times, with growing waits, or after the time in
// Retry-After. If that is more than one minute, the request is not retried. The Retry options in
// [ClientOptions] change the number and the waits. Uploads and downloads resume from what has
// arrived.
//
// All calls of a client share a budget of ten retries, so that a registry in trouble is not
// flooded. The budget gets one retry back for every ten successful requests, and one every ten
// seconds. Retries at a time that the registry asked for in Retry-After do not count.
//
// # Observability
//
// [WithUsage] counts what calls cost. ClientOptions.OnRequest gets the figures of each request for
// metrics, and ClientOptions.Logger a record of each request and of each delay.
//
// ClientOptions.TracingProvider gets a span "acr.NAME" for each call and for each transfer, from
// its first request to its last. NAME is the operation of a call, such as "ListTags", and the
// method of a transfer, such as "UploadBlob". The span has the attributes acr.registry,
// acr.repository and, for transfers, acr.digest if the caller states it. At its end it gets
// acr.requests, acr.retries, acr.bytes_sent, acr.bytes_received, acr.tokens and acr.waited_ms,
// which are the fields of [Usage]. If a call needs a token, its span has children without these
// attributes: acr.GetAccessToken (acr.GetAccessTokenWithBasic with a password) and, with an Entra
// credential, acr.ExchangeEntraToken.
//
// Within that span, each request has a span "HTTP METHOD" with http.method, http.url,
// net.peer.name, http.status_code and, for the registry, the ids that azcore adds. Requests to
// storage have such a span too, without the signature of the URL.
//
// # Platforms
//
// The package is pure Go. It is built and checked for Linux, macOS, Windows, FreeBSD, 32-bit Linux
// and both kinds of WebAssembly.
//
// With GOOS=js, requests are sent by the fetch function of the host, with two consequences.
// [Client.PinAddress] and [Client.PinReads] have no effect. And the client cannot see which address
// a host name resolves to: it refuses a storage link to a loopback or link-local address only if
// the link contains the address itself. Start node by its full path, because net/http does not use
// fetch in a program that is started as "node" (https://go.dev/issue/57613). Azure's registries do
// not allow requests from web pages (no CORS).
//
// With GOOS=wasip1, Go has no network; set a ClientOptions.Transport that has one.
//
// # Related packages
//
//   - images copies, pushes and pulls whole images, with their signatures
//   - retention deletes by rules, without breaking an image
//   - credentials signs in with what docker, podman or helm has stored
//   - acrtest is a registry in the test process
//
// To test without a server, declare an interface with the methods that your code calls; [*Client],
// [*Repository] and [*Artifact] implement it. This package has no interfaces to import.
//
// The folder facade/guides has a page for each job, among them one that starts from the text of an
// error and one for those who come from another client.
//
// # Examples
//
// The examples run against the emulator of package acrtest. exampleRegistry starts an emulator that
// holds a few images, and returns it with a client. For a registry in Azure, create the client with
// [NewClient].
package acr
