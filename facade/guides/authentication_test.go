package guides_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/credentials"
)

func managedIdentity(endpoint, clientID string) (*acr.Client, error) {
	cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
		ID: azidentity.ClientID(clientID), // leave it out for the system-assigned identity
	})
	if err != nil {
		return nil, err
	}
	return acr.NewClient(endpoint, cred, nil)
}

func workloadIdentity(endpoint string) (*acr.Client, error) {
	cred, err := azidentity.NewWorkloadIdentityCredential(nil)
	if err != nil {
		return nil, err
	}
	return acr.NewClient(endpoint, cred, nil)
}

func servicePrincipal(endpoint, tenant, clientID, secret string, opts *acr.ClientOptions) (*acr.Client, error) {
	cred, err := azidentity.NewClientSecretCredential(tenant, clientID, secret, nil)
	if err != nil {
		return nil, err
	}
	return acr.NewClient(endpoint, cred, opts)
}

func anywhere(endpoint string) (*acr.Client, error) {
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	return acr.NewClient(endpoint, cred, nil)
}

func repositoryToken(ctx context.Context, endpoint, name, password string, opts *acr.ClientOptions) error {
	client, err := acr.NewClientWithPassword(endpoint, name, password, opts)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	for tag, err := range client.Repository("shop/web").TagNames(ctx, nil) {
		if err != nil {
			return err
		}
		fmt.Println(tag)
	}
	return nil
}

func anonymous(ctx context.Context, endpoint string, opts *acr.ClientOptions) error {
	client, err := acr.NewClient(endpoint, nil, opts)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	_, err = client.Repository("shop/web").GetManifest(ctx, "v1")
	return err // matches acr.ErrAnonymous if the registry requires a sign-in
}

func fromDocker(ctx context.Context, endpoint string, opts *credentials.Options) (*acr.Client, error) {
	return credentials.NewClient(ctx, endpoint, opts) // nil searches the usual files
}

func fromDockerOrNot(ctx context.Context, endpoint string, files []string, opts *acr.ClientOptions) (*acr.Client, error) {
	found, err := credentials.Find(ctx, endpoint, &credentials.Options{Files: files})
	if err != nil {
		return nil, err
	}
	if found.IsAnonymous() {
		return nil, errors.New("run docker login first")
	}
	return found.Client(endpoint, opts)
}

func pullToken(ctx context.Context, client *acr.Client) (string, error) {
	login, err := client.AccessToken(ctx, "repository:shop/web:pull")
	if err != nil {
		return "", err
	}
	return login.Password(), nil // send it as "Authorization: Bearer"; lasts about an hour
}

func chinaCloud() (*acr.Client, error) {
	options := azcore.ClientOptions{Cloud: cloud.AzureChina}
	cred, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
	if err != nil {
		return nil, err
	}
	return acr.NewClient("myregistry.azurecr.cn", cred, &acr.ClientOptions{ClientOptions: options})
}

// The Entra credentials of each place. Creating a client sends no request.
func Example_entraCredentials() {
	dir, done := tempDir()
	defer done()
	for name, value := range map[string]string{
		"AZURE_CLIENT_ID": "11111111-1111-1111-1111-111111111111", "AZURE_TENANT_ID": "22222222-2222-2222-2222-222222222222",
		"AZURE_FEDERATED_TOKEN_FILE": filepath.Join(dir, "token"),
	} {
		before, was := os.LookupEnv(name)
		check(os.Setenv(name, value))
		defer func() {
			if was {
				check(os.Setenv(name, before))
			} else {
				check(os.Unsetenv(name))
			}
		}()
	}
	const endpoint, id = "myregistry.azurecr.io", "11111111-1111-1111-1111-111111111111"
	for _, create := range []func() (*acr.Client, error){
		func() (*acr.Client, error) { return managedIdentity(endpoint, id) },
		func() (*acr.Client, error) { return workloadIdentity(endpoint) },
		func() (*acr.Client, error) { return servicePrincipal(endpoint, id, id, "secret", nil) },
		func() (*acr.Client, error) { return anywhere(endpoint) },
		chinaCloud,
	} {
		client, err := create()
		check(err)
		fmt.Println(client)
	}
	// Output:
	// acr.Client(https://myregistry.azurecr.io)
	// acr.Client(https://myregistry.azurecr.io)
	// acr.Client(https://myregistry.azurecr.io)
	// acr.Client(https://myregistry.azurecr.io)
	// acr.Client(https://myregistry.azurecr.cn)
}

// A repository token lists tags, and anonymous callers are refused.
func Example_passwords() {
	ctx := context.Background()
	srv, client, done := start(acrtest.WithoutAnonymousPull(),
		acrtest.WithRepositoryToken("ci", "password", "shop/web content/read,metadata/read"))
	defer done()

	check(repositoryToken(ctx, srv.Endpoint(), "ci", "password", reach(srv)))
	fmt.Println(errors.Is(anonymous(ctx, srv.Endpoint(), reach(srv)), acr.ErrAnonymous))
	token, err := pullToken(ctx, client)
	fmt.Println(token != "", err)
	// Output:
	// v1
	// true
	// true <nil>
}

// The stored credential of docker signs in.
func Example_dockerConfiguration() {
	ctx := context.Background()
	srv, _, done := start(acrtest.WithoutAnonymousPull(), acrtest.WithAdmin("admin", "password"))
	defer done()
	dir, remove := tempDir()
	defer remove()
	file := filepath.Join(dir, "config.json")
	basic := base64.StdEncoding.EncodeToString([]byte("admin:password"))
	check(os.WriteFile(file, []byte(`{"auths":{"`+srv.Host()+`":{"auth":"`+basic+`"}}}`), 0o600))

	client, err := fromDocker(ctx, srv.Endpoint(), &credentials.Options{Files: []string{file}, Client: reach(srv)})
	check(err)
	defer client.CloseIdleConnections()
	fmt.Println(client.Ping(ctx))
	client, err = fromDockerOrNot(ctx, srv.Endpoint(), []string{file}, reach(srv))
	check(err)
	defer client.CloseIdleConnections()
	fmt.Println(client.Ping(ctx))
	// Output:
	// <nil>
	// <nil>
}
