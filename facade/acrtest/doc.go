// Package acrtest emulates an Azure Container Registry inside the test process.
//
// [New] starts a registry in about a millisecond and closes it when the test ends. It behaves like
// the service down to the response headers: the authentication challenge, the three kinds of tokens
// (Entra, refresh and access tokens), uploads whose location changes with every chunk, blob content
// served by a second origin, and the /acr/v1 API with its pages and locks. Clients in any language
// can use it, also through the program facade/cmd/acrtest. This package does not use the client
// library of this module.
//
//	s := acrtest.New(t)                    // starts a registry
//	s.SeedImage(t, "samples/app:v1")       // stores an image in it
//	s.Endpoint()                           // https://127.0.0.1:40123
//	s.Credential(), s.ClientOptions()      // for clients of the Azure SDK
//	s.HTTPClient(), s.Admin()              // for all other clients
//
// # Options
//
// Without options the registry is of the Standard tier, in memory, with anonymous pull, an admin
// user, and one service principal that has all permissions. It enforces no request limits. Options
// change that:
//
//   - permissions: [WithABAC], [WithoutAnonymousPull], [WithoutARMAudience], [WithEntraActions],
//     [WithAdmin], [WithRepositoryToken]
//   - service tier and limits: [WithSKU], [WithLimits], [WithTokenBuckets], [WithBudget],
//     [WithMaxBody]
//   - how the service may answer: [WithInlineBlobs], [WithTrailingEmptyPage], [WithReplicaLag],
//     [WithReplicas], [WithImmutableTags], [WithSoftDelete], [WithoutBlobCheck],
//     [WithBlobLinkLife], [WithSessionLife], [WithManifestTimes], [WithEmptyRepositories]
//   - the network: [WithMemoryNetwork], [WithLatency], [WithBandwidth], [WithHTTP2],
//     [WithLoginServer], [WithListen], [WithRemoteAccess]
//   - storage and records: [WithDirectory], [WithSync], [WithLedgerSize], [WithLogger]
//
// # Content and time
//
// [Server.SeedImage] and the other Seed methods store content without a request.
// [Server.Repositories], [Server.Tags], [Server.Manifests] and [Server.HasBlob] say what is there.
//
// [Server.Advance] moves the registry's clock, so that tokens expire or ninety days pass at once.
// [WithMemoryNetwork] lets the registry run inside a bubble of testing/synctest, where the client's
// time passes at once as well.
//
// # Faults
//
// [Server.On] adds a line to the fault script, which reads like a sentence:
//
//	s.On("UploadChunk").Nth(2).DropReply()                      // executed, but the client receives no response
//	s.On("GetBlobContent").ResetAfter(1 << 20)                  // the connection is reset after 1 MiB
//	s.On("ListTags").Path("/samples/app/").First(3).Status(503, time.Second)
//	s.On("GetBlob").Redirect(307, canary+"/elsewhere")          // to another host: see Server.Canary
//
// # Requests
//
// [Server.Ledger] lists every request: operation, status, size, caller, the server that received
// it, and whether it carried a credential. A test can limit what a job may cost and check that it
// leaks nothing:
//
//	s.Ledger().AtMost(t, 1, "ExchangeEntraToken")
//	s.Ledger().NoCredentialLeaked(t)
//
// # Tutorial: test your retention job
//
// The job deletes tags that are older than thirty days, except "release". The test seeds a
// registry, lets ninety days pass, seeds newer content, runs the job, and checks what is left and
// how many requests were made:
//
//	func TestRetention(t *testing.T) {
//		registry := acrtest.New(t)
//		registry.SeedIndex(t, "shop/web:release", "amd64", "arm64")
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
//		if err := clean(t.Context(), client); err != nil {
//			t.Fatal(err)
//		}
//		if got := registry.Tags("shop/web"); !slices.Equal(got, []string{"build-2", "release"}) {
//			t.Errorf("left: %v", got)
//		}
//		registry.Ledger().AtMost(t, 1, "DeleteManifest") // the images of the index are still there
//	}
//
//	// clean deletes tags that are older than thirty days, except "release", and what only they need.
//	func clean(ctx context.Context, client *acr.Client) error {
//		rules, err := retention.ParseRules([]byte(`{"version": 1, "policies": [{
//			"name": "builds", "repositories": {"glob": ["shop/*"]},
//			"keep":   [{"name": "releases", "tags": {"glob": ["release"]}}],
//			"delete": [{"name": "old", "tags": {"glob": ["*"]}, "olderThan": "30d"}]}]}`))
//		if err != nil {
//			return err
//		}
//		plan, err := retention.Make(ctx, client, rules, nil)
//		if err != nil {
//			return err
//		}
//		var journal bytes.Buffer // a file, in a real job
//		_, err = retention.Apply(ctx, client, plan, &retention.ApplyOptions{Journal: &journal})
//		return err
//	}
//
// [Server.Advance] moves the registry's clock but not that of the test. Package retention uses the
// registry's time, which is in the Date header of every response; a job of your own must use it
// too. [Server.Now] returns it.
//
// A job that deletes manifests by itself must keep those that an index refers to: they have no tags
// of their own. That is why the test seeds an index. The examples of this package show a job with
// net/http only.
//
// # Examples
//
// The examples use three small functions that are not shown. The function start calls [Start]. The
// functions get and call each send one request to the registry as its admin user, and return the
// status and the body of the response.
//
// # Limitations
//
//   - Manifests are not converted. For a Docker image requested by tag without its media type in
//     Accept, the service returns a schema 1 manifest; the emulator answers 404 MANIFEST_UNKNOWN,
//     as the service does for OCI images.
//   - Previews of the service are emulated as far as the source of the Azure command line shows
//     them. A conversion of artifact streaming advances by one state each time it is polled; it is
//     kept in memory only, also with [WithDirectory]. Metadata queries understand where, project,
//     order by, limit and count.
//   - It is not secure. It listens on the loopback interface only, unless [WithRemoteAccess] is
//     given. It accepts only tokens that it issued itself; a real token sent by mistake is rejected
//     and not stored.
//   - It is meant for tests, not for keeping artifacts.
package acrtest
