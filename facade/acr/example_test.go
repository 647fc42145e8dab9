package acr_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

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
