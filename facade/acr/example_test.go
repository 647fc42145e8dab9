package acr_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// exampleRegistry stands for a registry in Azure in the examples: an emulator with a few images, and a client of it. done ends both.
func exampleRegistry(opts ...acrtest.Option) (srv *acrtest.Server, client *acr.Client, done func()) {
	srv, err := acrtest.Start(opts...)
	if err != nil {
		log.Fatal(err)
	}
	for _, image := range []string{"library/hello-world:latest", "library/hello-world:v1", "samples/app:v1", "samples/app:v2"} {
		srv.SeedImage(nil, image)
	}
	client, err = acr.NewClient(srv.Endpoint(), srv.Credential(), exampleOptions(srv))
	if err != nil {
		log.Fatal(err)
	}
	return srv, client, func() {
		client.CloseIdleConnections()
		srv.Close()
	}
}

// exampleOptions are those that reach the emulator; a registry in Azure needs none.
func exampleOptions(srv *acrtest.Server) *acr.ClientOptions {
	return &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
}

// Look around in a registry.
func Example() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()

	for name, err := range client.Repositories(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		for tag, err := range client.Repository(name).Tags(ctx, nil) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(name, tag.Name)
		}
	}
	// Output:
	// library/hello-world latest
	// library/hello-world v1
	// samples/app v1
	// samples/app v2
}

// Sign in with an Entra credential. For a registry in Azure:
//
//	cred, err := azidentity.NewDefaultAzureCredential(nil)
//	client, err := acr.NewClient("myregistry.azurecr.io", cred, nil)
func ExampleNewClient() {
	srv, _, done := exampleRegistry()
	defer done()

	client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), exampleOptions(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	fmt.Println(client.Ping(context.Background()))
	// Output: <nil>
}

// List the tags of an image anonymously, where the registry allows that: without a credential.
func ExampleNewClient_anonymous() {
	srv, _, done := exampleRegistry()
	defer done()

	client, err := acr.NewClient(srv.Endpoint(), nil, exampleOptions(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for tag, err := range client.Repository("library/hello-world").Tags(context.Background(), nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tag.Name)
	}
	// Output:
	// latest
	// v1
}

// Sign in to a national cloud: give the cloud to the credential and to the client. The audience of the token is the same everywhere,
// unless the cloud's configuration names another for acr.ServiceName.
func ExampleNewClient_nationalCloud() {
	for registry, where := range map[string]cloud.Configuration{
		"myregistry.azurecr.cn": cloud.AzureChina,
		"myregistry.azurecr.us": cloud.AzureGovernment,
	} {
		srv, err := acrtest.Start(acrtest.WithLoginServer(registry))
		if err != nil {
			log.Fatal(err)
		}
		options := azcore.ClientOptions{Cloud: where, Transport: srv.HTTPClient()} // in Azure without Transport

		// In Azure: azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
		cred := loudCredential{srv.Credential()}
		client, err := acr.NewClient(registry, cred, &acr.ClientOptions{ClientOptions: options})
		if err != nil {
			log.Fatal(err)
		}
		if err := client.Ping(context.Background()); err != nil {
			log.Fatal(err)
		}
		fmt.Println("signed in to", client.Endpoint())
		client.CloseIdleConnections()
		srv.Close()
	}
	// Unordered output:
	// a token for https://containerregistry.azure.net/.default
	// signed in to https://myregistry.azurecr.cn
	// a token for https://containerregistry.azure.net/.default
	// signed in to https://myregistry.azurecr.us
}

// loudCredential says what it is asked for.
type loudCredential struct{ azcore.TokenCredential }

func (c loudCredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	fmt.Println("a token for", options.Scopes[0])
	return c.TokenCredential.GetToken(ctx, options)
}

// Sign in as the admin user, with a repository-scoped token or as a service principal.
func ExampleNewClientWithPassword() {
	srv, _, done := exampleRegistry()
	defer done()

	username, password := srv.Admin()
	client, err := acr.NewClientWithPassword(srv.Endpoint(), username, password, exampleOptions(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	fmt.Println(client.Ping(context.Background()))
	// Output: <nil>
}

// Sign in with the refresh token that another client has obtained, as `az acr login --expose-token` does.
func ExampleNewClientWithRefreshToken() {
	srv, other, done := exampleRegistry()
	defer done()
	ctx := context.Background()

	login, err := other.Login(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client, err := acr.NewClientWithRefreshToken(srv.Endpoint(), login.Password(), exampleOptions(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	fmt.Println(client.Ping(ctx))
	// Output: <nil>
}

// Let docker, helm, oras or crane sign in with what this client has.
func ExampleClient_Login() {
	_, client, done := exampleRegistry()
	defer done()

	login, err := client.Login(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	// docker login --username login.Username --password-stdin login.Server
	fmt.Println(login.Username, login.Password() != "")
	// Output: 00000000-0000-0000-0000-000000000000 true
}

// Get a token that may pull one repository and nothing else, and use it as another program would.
func ExampleClient_AccessToken() {
	srv, client, done := exampleRegistry(acrtest.WithoutAnonymousPull())
	defer done()

	token, err := client.AccessToken(context.Background(), "repository:samples/app:pull")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Username, token.Server == srv.Host(), token.Expires.After(srv.Now()))
	for _, name := range []string{"samples/app", "library/hello-world"} {
		req, err := http.NewRequest(http.MethodGet, srv.Endpoint()+"/v2/"+name+"/tags/list", nil)
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token.Password())
		resp, err := srv.HTTPClient().Do(req)
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()
		fmt.Println(name, resp.StatusCode)
	}
	// Output:
	// 00000000-0000-0000-0000-000000000000 true true
	// samples/app 200
	// library/hello-world 401
}

// Ask whether the registry is there and takes the credential.
func ExampleClient_Ping() {
	_, client, done := exampleRegistry()
	defer done()

	fmt.Println(client.Ping(context.Background()))
	// Output: <nil>
}

// See each exchange with the registry in a log, which holds no secret: here two for the tokens, and the deletion.
func ExampleClientOptions() {
	srv, _, done := exampleRegistry()
	defer done()
	options := exampleOptions(srv)
	options.Logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { // what does not differ from one run to the next
			if a.Key == "method" || a.Key == "status" {
				return a
			}
			return slog.Attr{}
		},
	}))
	client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()

	if err := client.Repository("samples/app").Artifact("v1").DeleteTag(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// method=POST status=200
	// method=POST status=200
	// method=DELETE status=202
}

// Tell apart what the registry may say.
func ExampleError() {
	_, client, done := exampleRegistry()
	defer done()

	_, err := client.Repository("samples/app").GetManifest(context.Background(), "v9")
	fmt.Println(errors.Is(err, acr.ErrNotFound), errors.Is(err, acr.ErrManifestUnknown), errors.Is(err, acr.ErrThrottled))
	if e, ok := errors.AsType[*acr.Error](err); ok {
		fmt.Println(e.Operation, e.StatusCode, e.Code, e.CorrelationID != "")
	}
	if behind, ok := errors.AsType[*azcore.ResponseError](err); ok {
		fmt.Println(behind.StatusCode)
	}
	// Output:
	// true true false
	// GetManifest 404 MANIFEST_UNKNOWN true
	// 404
}

// What cannot be right is refused before anything is sent.
func ExampleArgumentError() {
	_, client, done := exampleRegistry()
	defer done()

	err := client.Repository("samples/app").Artifact("..").DeleteTag(context.Background())
	fmt.Println(errors.Is(err, acr.ErrInvalidArgument))
	if bad, ok := errors.AsType[*acr.ArgumentError](err); ok {
		fmt.Println(bad.Argument)
	}
	fmt.Println(err)
	// Output:
	// true
	// reference
	// acr: invalid reference "..": it may contain letters, digits, '_', '.' and '-', and must not begin with '.' or '-'
}

// Test for a code that this package does not name.
func ExampleErrorCode() {
	_, client, done := exampleRegistry()
	defer done()

	_, err := client.Repository("nowhere").Properties(context.Background())
	fmt.Println(errors.Is(err, acr.ErrorCode("NAME_UNKNOWN")), errors.Is(err, acr.ErrorCode("MOON_FULL")))
	// Output: true false
}

// exampleClient is a client with options of its own.
func exampleClient(srv *acrtest.Server, cred azcore.TokenCredential, change func(*acr.ClientOptions)) (client *acr.Client, done func()) {
	options := exampleOptions(srv)
	change(options)
	client, err := acr.NewClient(srv.Endpoint(), cred, options)
	if err != nil {
		log.Fatal(err)
	}
	return client, client.CloseIdleConnections
}

// Send the credential to a registry outside of the ACR domains, such as one behind a name of your own.
func ExampleClientOptions_allowedHosts() {
	_, err := acr.NewClient("registry.example.com", nil, nil)
	fmt.Println(errors.Is(err, acr.ErrInvalidArgument))
	client, err := acr.NewClient("registry.example.com", nil, &acr.ClientOptions{AllowedHosts: []string{"registry.example.com"}})
	fmt.Println(client, err)
	// Output:
	// true
	// acr.Client(https://registry.example.com) <nil>
}

// armOnly is a credential that gets tokens for Azure Resource Manager alone, as some services have.
type armOnly struct{ azcore.TokenCredential }

func (c armOnly) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if options.Scopes[0] != "https://management.azure.com/.default" {
		return azcore.AccessToken{}, errors.New("no token for " + options.Scopes[0])
	}
	return c.TokenCredential.GetToken(ctx, options)
}

// Sign in with a credential that cannot get a token for the registry's own audience.
func ExampleClientOptions_armAudience() {
	srv, _, done := exampleRegistry()
	defer done()
	client, end := exampleClient(srv, armOnly{srv.Credential()}, func(o *acr.ClientOptions) { o.ARMAudience = "https://management.azure.com" })
	defer end()

	fmt.Println(client.Ping(context.Background()))
	// Output: <nil>
}

// Read many repositories with one access token.
func ExampleClientOptions_registryWideToken() {
	srv, _, done := exampleRegistry()
	defer done()
	for _, wide := range []bool{false, true} {
		client, end := exampleClient(srv, srv.Credential(), func(o *acr.ClientOptions) { o.RegistryWideToken = wide })
		srv.Ledger().Reset()
		for _, name := range []string{"library/hello-world", "samples/app"} {
			if _, err := client.Repository(name).Properties(context.Background()); err != nil {
				log.Fatal(err)
			}
		}
		fmt.Println(srv.Ledger().Count("GetAccessToken"), "access tokens")
		end()
	}
	// Output:
	// 2 access tokens
	// 1 access tokens
}

// Download from Azure storage alone. The emulator's storage is none, so the redirect is refused.
func ExampleClientOptions_strictStorage() {
	srv, _, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "samples/app", []byte("a layer"))
	client, end := exampleClient(srv, srv.Credential(), func(o *acr.ClientOptions) { o.StrictStorage = true })
	defer end()

	_, err := client.Repository("samples/app").GetBlob(context.Background(), layer, nil)
	fmt.Println(errors.Is(err, acr.ErrUntrusted))
	// Output: true
}

// Let the registry's diagnostics record which service makes the requests.
func ExampleClientOptions_sourceClient() {
	srv, _, done := exampleRegistry()
	defer done()
	client, end := exampleClient(srv, srv.Credential(), func(o *acr.ClientOptions) { o.SourceClient = "azure/deployer" })
	defer end()

	if err := client.Ping(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Ledger().Requests("CheckSupport")[0].Header.Get("X-Meta-Source-Client"))
	// Output: azure/deployer
}

// Give up sooner on a registry that does not answer.
func ExampleClientOptions_responseTimeouts() {
	srv, _, done := exampleRegistry()
	defer done()
	client, end := exampleClient(srv, srv.Credential(), func(o *acr.ClientOptions) {
		o.ResponseTimeouts = acr.ResponseTimeouts{Read: 50 * time.Millisecond}
		o.Retry.MaxRetries = -1
	})
	defer end()

	srv.On("ListTags").Always().Stall()
	_, err := acr.Collect(client.Repository("samples/app").Tags(context.Background(), nil))
	fmt.Println(errors.Is(err, acr.ErrStalled))
	// Output: true
}

// Limit how long a list may be.
func ExampleClientOptions_maxPages() {
	srv, _, done := exampleRegistry()
	defer done()
	client, end := exampleClient(srv, srv.Credential(), func(o *acr.ClientOptions) { o.MaxPages = 1 })
	defer end()

	tags, err := acr.Collect(client.Repository("samples/app").Tags(context.Background(), &acr.ListTagsOptions{PageSize: 1}))
	fmt.Println(len(tags), errors.Is(err, acr.ErrListEndless))
	// Output: 1 true
}

// List the tags of one manifest, and continue a list where another program has stopped.
func ExampleListTagsOptions() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	v1, err := repository.Tag(ctx, "v1", "stable", nil)
	if err != nil {
		log.Fatal(err)
	}

	of, err := acr.Collect(repository.Tags(ctx, &acr.ListTagsOptions{Digest: v1.Digest}))
	fmt.Println(of[0].Name, of[1].Name, len(of), err)
	after, err := acr.Collect(repository.Tags(ctx, &acr.ListTagsOptions{After: "stable", PageSize: 1}))
	fmt.Println(after[0].Name, after[1].Name, len(after), err)
	// Output:
	// stable v1 2 <nil>
	// v1 v2 2 <nil>
}

// List the manifest that was updated last, and a page of those after a digest.
func ExampleListManifestsOptions() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	srv.Advance(time.Hour)
	newest := srv.SeedImage(nil, "samples/app:v3")
	repository := client.Repository("samples/app")

	for manifest, err := range repository.Manifests(ctx, &acr.ListManifestsOptions{Order: acr.OrderByUpdateDescending, PageSize: 1}) {
		fmt.Println(manifest.Tags, manifest.Digest == newest, err)
		break
	}
	after, err := acr.Collect(repository.Manifests(ctx, &acr.ListManifestsOptions{After: srv.Manifests("samples/app")[0].String()}))
	fmt.Println(len(after), "of 3", err)
	// Output:
	// [v3] true <nil>
	// 2 of 3 <nil>
}

// List names in small pages, after a name.
func ExampleListOptions() {
	srv, client, done := exampleRegistry()
	defer done()

	names, err := acr.Collect(client.Repositories(context.Background(), &acr.ListOptions{After: "library/hello-world", PageSize: 1}))
	fmt.Println(names, srv.Ledger().Count("ListRepositories"), err)
	// Output: [samples/app] 1 <nil>
}

// Find out whether the identity may push, by starting an upload that is canceled.
func ExampleDoctorOptions() {
	_, client, done := exampleRegistry(acrtest.WithEntraActions("samples/* content/read,metadata/read"))
	defer done()

	report, err := client.Doctor(context.Background(), &acr.DoctorOptions{Repository: "samples/app", TryPush: true, StepTimeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Step(acr.DoctorPush).Status)
	// Output: failed
}

// Restore a manifest with its tag, although another manifest has the tag by now.
func ExampleRestoreManifestOptions() {
	srv, client, done := exampleRegistry(acrtest.WithSoftDelete(7))
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	before, err := repository.Artifact("v1").Digest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := repository.DeleteManifest(ctx, before); err != nil {
		log.Fatal(err)
	}
	srv.SeedImage(nil, "samples/app:v1", []byte("another layer"))

	fmt.Println(repository.RestoreManifest(ctx, before, &acr.RestoreManifestOptions{Tag: "v1"}) == nil)
	fmt.Println(repository.RestoreManifest(ctx, before, &acr.RestoreManifestOptions{Tag: "v1", Force: true}))
	after, err := repository.Artifact("v1").Digest(ctx)
	fmt.Println(after == before, err)
	// Output:
	// false
	// <nil>
	// true <nil>
}

// Put a manifest without a mediaType under a tag that must be new.
func ExamplePutManifestOptions() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	if _, err := repository.UploadBlob(ctx, strings.NewReader("{}"), nil); err != nil {
		log.Fatal(err)
	}
	manifest := []byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` +
		digest.FromString("{}").String() + `","size":2},"layers":[]}`)

	for _, tag := range []string{"v1", "v3"} {
		_, err := repository.PutManifest(ctx, tag, manifest, &acr.PutManifestOptions{
			MediaType: ocispec.MediaTypeImageManifest,
			IfAbsent:  true,
			BlobWait:  10 * time.Second, // a replica may not have the blobs yet
		})
		fmt.Println(tag, errors.Is(err, acr.ErrTagExists))
	}
	// Output:
	// v1 true
	// v3 false
}

// Add a tag, and do not move it if it exists.
func ExampleTagOptions() {
	_, client, done := exampleRegistry()
	defer done()
	repository := client.Repository("samples/app")

	_, err := repository.Tag(context.Background(), "v1", "v2", &acr.TagOptions{IfAbsent: true, BlobWait: 10 * time.Second})
	fmt.Println(errors.Is(err, acr.ErrTagExists))
	// Output: true
}

// State what the content has to be: another size or digest is refused before the upload is completed.
func ExampleUploadOptions() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	content := []byte("a layer")

	_, err := repository.UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{Size: 8})
	fmt.Println(errors.Is(err, acr.ErrSizeMismatch))
	_, err = repository.UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{Digest: digest.FromString("another layer")})
	fmt.Println(errors.Is(err, acr.ErrDigestMismatch), srv.HasBlob("samples/app", digest.FromBytes(content)))
	_, err = repository.UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{Digest: digest.FromBytes(content), TrustDigest: true})
	fmt.Println(err)
	// Output:
	// true
	// true false
	// <nil>
}

// Upload a stream that survives the loss of its upload session, because a temporary file has it.
func ExampleUploadOptions_spool() {
	srv, client, done := exampleRegistry()
	defer done()
	stream := io.MultiReader(strings.NewReader(strings.Repeat("a layer", 1<<18))) // cannot be read again
	srv.On("UploadChunk").Nth(2).Status(404).Code("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")

	desc, err := client.Repository("samples/app").UploadBlob(context.Background(), stream, &acr.UploadOptions{
		Spool: true, SpoolDir: os.TempDir(), ChunkSize: 1 << 20,
	})
	fmt.Println(desc.Size, err)
	// Output: 1835008 <nil>
}

// Write a blob of known size and digest, with its progress and its checkpoints; another writer completes it.
func ExampleStartUploadOptions() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	content := strings.Repeat("sixteen bytes...", 64<<10)
	var saved acr.Checkpoint
	var last acr.Progress

	first, err := repository.StartUpload(ctx, &acr.StartUploadOptions{
		Digest: digest.FromString(content), Size: int64(len(content)), ChunkSize: 256 << 10,
		Spool: true, SpoolDir: os.TempDir(), // content is kept in a file, should the session be lost
		Checkpoint: func(c acr.Checkpoint) { saved = c },
		Progress:   func(p acr.Progress) { last = p },
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(first, content[:600_000]); err != nil {
		log.Fatal(err)
	}
	if err := first.Close(); err != nil { // the upload stays open
		log.Fatal(err)
	}
	fmt.Println(saved.Offset, last.Offset, last.Done)

	second, err := repository.ResumeUpload(ctx, saved, &acr.ResumeUploadOptions{
		Digest: digest.FromString(content), Size: int64(len(content)), MediaType: ocispec.MediaTypeImageLayer,
		Checkpoint: func(c acr.Checkpoint) { saved = c },
		Progress:   func(p acr.Progress) { last = p },
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(second, content[second.Offset():]); err != nil {
		log.Fatal(err)
	}
	desc, err := second.Commit()
	fmt.Println(desc.MediaType, last.Offset == desc.Size, last.Done, err)
	// Output:
	// 524288 524288 false
	// application/vnd.oci.image.layer.v1.tar true true <nil>
}

// Read a blob whose size the manifest states, with a progress bar.
func ExampleGetBlobOptions() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "samples/app", []byte("a layer"))
	ctx, repository := context.Background(), client.Repository("samples/app")

	_, err := repository.GetBlob(ctx, layer, &acr.GetBlobOptions{Size: 8})
	fmt.Println(errors.Is(err, acr.ErrSizeMismatch))
	var last acr.Progress
	blob, err := repository.GetBlob(ctx, layer, &acr.GetBlobOptions{Size: 7, Progress: func(p acr.Progress) { last = p }})
	if err != nil {
		log.Fatal(err)
	}
	content, err := io.ReadAll(blob)
	_ = blob.Close()
	fmt.Println(string(content), err, last.Fraction())
	// Output:
	// true
	// a layer <nil> 1
}

// Download in ranges of 64 KiB, with a progress bar.
func ExampleDownloadOptions() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "samples/app", bytes.Repeat([]byte("a layer "), 64<<10))
	file, err := os.CreateTemp("", "layer")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()

	var last acr.Progress
	desc, err := client.Repository("samples/app").DownloadBlob(context.Background(), layer, file, &acr.DownloadOptions{
		PartSize: 64 << 10,
		Progress: func(p acr.Progress) { last = p },
	})
	fmt.Println(desc.Size, last.Offset, last.Done, err)
	// Output: 524288 524288 true <nil>
}

// Leave nothing behind when a download fails, and nothing outside a directory whatever links are in it.
func ExampleDownloadFileOptions() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "samples/app", []byte("a layer"))
	srv.On("GetBlobContent").Always().FlipByte(0)
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer root.Close()

	_, err = client.Repository("samples/app").DownloadBlobFile(context.Background(), layer, "layer.tar", &acr.DownloadFileOptions{
		Root:     root,
		Size:     7,
		NoResume: true,
		Progress: func(acr.Progress) {}, // as in DownloadOptions
	})
	left, _ := os.ReadDir(dir)
	fmt.Println(errors.Is(err, acr.ErrDigestMismatch), len(left))
	// Output: true 0
}

// Read from another region while the own one is away. For a registry in Azure:
//
//	opts := &acr.ClientOptions{FallbackEndpoints: []string{"myregistry.westeurope.geo.azurecr.io"}}
//	client, err := acr.NewClient("myregistry.eastus.geo.azurecr.io", cred, opts)
func ExampleClientOptions_fallbackEndpoints() {
	srv, _, done := exampleRegistry(acrtest.WithReplicas("eastus", "westeurope"))
	defer done()
	east, west := srv.RegionalEndpoint("eastus"), srv.RegionalEndpoint("westeurope")

	opts := exampleOptions(srv)
	opts.AllowedHosts = []string{east, west} // registries in Azure need not be listed
	opts.FallbackEndpoints = []string{west}
	client, err := acr.NewClient(east, srv.Credential(), opts)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()

	host := strings.TrimPrefix(east, "https://")
	srv.On("ListTags").When(func(r *http.Request) bool { return r.Host == host }).Always().Status(503)
	for tag, err := range client.Repository("samples/app").Tags(context.Background(), nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tag.Name)
	}
	for _, r := range srv.Ledger().Requests("ListTags") {
		fmt.Println(r.Replica, r.Status)
	}
	// Output:
	// v1
	// v2
	// eastus 503
	// eastus 503
	// westeurope 200
}
