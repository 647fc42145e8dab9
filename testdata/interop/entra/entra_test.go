// Package entra_test signs azidentity, unmodified, in to the emulator's Entra tenant.
package entra_test

import (
	"errors"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func credential(t *testing.T, s *acrtest.Server, secret string) *azidentity.ClientSecretCredential {
	t.Helper()
	tenant, clientID, right := s.ServicePrincipal()
	if secret == "" {
		secret = right
	}
	cred, err := azidentity.NewClientSecretCredential(tenant, clientID, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            s.ClientOptions(),
		DisableInstanceDiscovery: true, // it would ask the real Entra whether this authority is one of its own
	})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func TestClientSecretCredential(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), acrtest.New(t, acrtest.WithoutAnonymousPull())
	cred := credential(t, s, "")

	ours, err := acr.NewClient(s.Endpoint(), cred, &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ours.Ping(ctx); err != nil {
		t.Errorf("acr: %v", err)
	}
	if names, err := acr.Collect(ours.Repositories(ctx, nil)); err != nil || len(names) != 0 {
		t.Errorf("acr: %q, %v", names, err)
	}

	theirs, err := azcontainerregistry.NewClient(s.Endpoint(), cred, &azcontainerregistry.ClientOptions{ClientOptions: s.ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.NewListRepositoriesPager(nil).NextPage(ctx); err != nil {
		t.Errorf("azcontainerregistry: %v", err)
	}
	s.Ledger().AtMost(t, 2, "EntraToken") // azidentity keeps tokens with and without continuous access evaluation apart
}

func TestWrongSecret(t *testing.T) {
	t.Parallel()
	s := acrtest.New(t)
	client, err := acr.NewClient(s.Endpoint(), credential(t, s, "wrong"), &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	var failed *azidentity.AuthenticationFailedError
	if err := client.Ping(t.Context()); !errors.As(err, &failed) {
		t.Errorf("got %v, want azidentity's own error to be found in it", err)
	}
	s.Ledger().AtMost(t, 0, "ExchangeEntraToken")
}
