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
// What the registry refuses is an [*Error]: one line that names the operation, what the registry said, what to do about it where that is
// known, and the correlation id. errors.Is finds its wire code ([ErrManifestUnknown]), its kind ([ErrNotFound], [ErrLocked],
// [ErrThrottled]) or the cause of a refused sign-in ([ErrFirewall], [ErrNoRole]); errors.As finds the [*azcore.ResponseError] behind it.
// What cannot be right is refused before anything is sent, as an [*ArgumentError]. To delete what is not there is an error too;
// errors.Is(err, acr.ErrNotFound) tells it apart. The end of a context, and what the network or a file says, are found by errors.Is and
// errors.As as well. [Client.Doctor] finds out why a registry cannot be used at all.
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
