// Package acrtest is an Azure Container Registry inside the test process.
//
// [New] starts one in about a millisecond and closes it with the test. It speaks the service's protocol down to the header
// lines: the challenge and the three tokens, uploads whose location changes with every chunk, blobs that come from a second
// origin, the /acr/v1 API with its pages and locks. Any client in any language can use it; nothing in it knows of the client
// library of this module. For other languages there is the program facade/cmd/acrtest.
//
//	s := acrtest.New(t)                    // a registry, closed with the test
//	s.SeedImage(t, "samples/app:v1")       // with something in it
//	s.Endpoint()                           // https://127.0.0.1:40123
//	s.Credential(), s.ClientOptions()      // for any Azure client: a credential, a transport that trusts the registry
//	s.HTTPClient(), s.Admin()              // for any other
//
// # What it can be
//
// Without options it is a Standard registry with anonymous pull, an admin user and one service principal that may do everything,
// in memory and without request limits. Each quirk of real registries is an option with a name: [WithABAC], [WithSKU],
// [WithLimits], [WithoutAnonymousPull], [WithoutARMAudience], [WithSoftDelete], [WithInlineBlobs], [WithTrailingEmptyPage],
// [WithReplicaLag], [WithImmutableTags], [WithMaxBody], [WithRepositoryToken] and more. [WithDirectory] keeps what is in it for the
// next run.
//
// [Server.SeedImage] and its kin fill it in a line. [Server.Advance] moves its clock, so that a token expires or ninety days pass
// at once. [WithMemoryNetwork] puts it inside a bubble of testing/synctest, where the client's time passes at once as well.
//
// # What can go wrong
//
// [Server.On] begins a line of the fault script, which reads like a sentence:
//
//	s.On("UploadChunk").Nth(2).DropReply()                      // done, but the client never hears of it
//	s.On("GetBlobContent").ResetAfter(1 << 20)                  // the connection breaks after a megabyte
//	s.On("ListTags").Path("/samples/app/").First(3).Status(503, time.Second)
//	s.On("GetBlob").Redirect(307, canary+"/elsewhere")          // to a host that is not the registry's: see Server.Canary
//
// # What was asked
//
// [Server.Ledger] has every request: operation, status, bytes, who sent it, whether a credential came along and to which origin. So a
// test can say what a job may cost, and that it leaks nothing:
//
//	s.Ledger().AtMost(t, 1, "ExchangeEntraToken")
//	s.Ledger().NoCredentialLeaked(t)
//
// # Tutorial: test your retention job
//
// A job deletes what is older than thirty days and not tagged "release". The test seeds a registry, lets ninety days pass,
// seeds what is new, runs the job and looks at what is left and at what it cost:
//
//	func TestRetention(t *testing.T) {
//		registry := acrtest.New(t)
//		registry.SeedImage(t, "shop/web:release")
//		registry.SeedImage(t, "shop/web:build-1")
//		registry.Advance(90 * 24 * time.Hour)
//		registry.SeedImage(t, "shop/web:build-2")
//
//		client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
//			ClientOptions: registry.ClientOptions(), AllowedHosts: []string{registry.Host()},
//		})
//		if err != nil {
//			t.Fatal(err)
//		}
//		monthAgo := registry.Now().AddDate(0, 0, -30)
//		if err := retain(t.Context(), client.Repository("shop/web"), monthAgo); err != nil {
//			t.Fatal(err)
//		}
//
//		if got := registry.Tags("shop/web"); !slices.Equal(got, []string{"build-2", "release"}) {
//			t.Errorf("left: %v", got)
//		}
//		registry.Ledger().AtMost(t, 1, "DeleteManifest")
//	}
//
//	// The job: it deletes what was last changed before the limit and is not tagged "release".
//	func retain(ctx context.Context, r *acr.Repository, limit time.Time) error {
//		for m, err := range r.Manifests(ctx, nil) {
//			if err != nil {
//				return err
//			}
//			if m.LastUpdateTime.After(limit) || slices.Contains(m.Tags, "release") {
//				continue
//			}
//			if err := r.DeleteManifest(ctx, m.Digest); err != nil {
//				return err
//			}
//		}
//		return nil
//	}
//
// A job for a repository with indexes has to keep the manifests that they name as well, which have no tags: a test of it begins with
// [Server.SeedIndex].
//
// The clock of the registry has moved and that of the test has not, so the job is told how late it is: the registry's time is in
// [Server.Now], and in the Date header of every reply. Any other client does as well; the package's examples do the same with
// net/http alone.
//
// # Examples
//
// In the examples start is [New] without a test, get and call send one request to the registry as its admin user and give the status
// and body of the reply.
//
// # What it is not
//
// It converts no manifest. Where the service makes one of schema 1 of a Docker image that is asked for by tag by a client which does not
// accept its media type, the emulator answers 404 MANIFEST_UNKNOWN with a message that names the type, as the service does for OCI
// images. A manifest of schema 1 is taken and given back as it is, like one of any other type.
//
// It keeps nothing secret and withstands no attack: it listens on the loopback interface only, unless [WithRemoteAccess] says
// otherwise. It takes no token but its own; a real one that is sent to it by mistake is refused and kept nowhere. It is no
// registry to store anything in.
package acrtest
