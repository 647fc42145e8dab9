// Package acr works with the data plane of the Azure Container Registry: repositories, tags, manifests and blobs.
//
// A Client is one registry under one identity; a Repository and an Artifact are handles made from it that cost nothing:
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
// They end where the registry gives no link to a next page. An error comes as the last pair. Leave with break at any time; go on later
// with After. Collect gathers a list into a slice.
//
// # Manifests and blobs
//
// Descriptors, manifests and indexes are the types of github.com/opencontainers/image-spec, digests those of
// github.com/opencontainers/go-digest. The digest of everything that comes in is computed and compared; nothing is handed out as good
// before that, and nothing that two readers could take for different things.
//
// # Errors
//
// What the registry refuses is an *Error: one line that names the operation, what the registry said, what to do about it where that is
// known, and the correlation id. errors.Is finds its wire code (ErrManifestUnknown), its kind (ErrNotFound, ErrLocked, ErrThrottled) or
// the cause of a refused sign-in (ErrFirewall, ErrNoRole); errors.As finds the *azcore.ResponseError behind it. What cannot be right is
// refused before anything is sent, as an *ArgumentError. To delete what is not there is an error too; errors.Is(err, acr.ErrNotFound)
// tells it apart. Client.Doctor finds out why a registry cannot be used at all.
//
// # Credentials
//
// A credential leaves to one place: the https origin that the client was made with, which must be an ACR host or be named in
// ClientOptions.AllowedHosts. What the server says of realms, redirects, links and locations is not believed beyond that. Tokens are
// kept in memory by scope, fetched once for any number of waiting calls, and renewed before they end.
//
// # Retries
//
// Requests that can be sent again are, as azcore.ClientOptions.Retry says: up to 4 times, with growing waits and what Retry-After asks
// for up to a minute, within a budget that keeps a failing registry from being flooded. Uploads go on from what the registry says has
// arrived.
package acr
