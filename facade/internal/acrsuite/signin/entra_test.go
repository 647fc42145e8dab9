package signin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestClientSecretCredential signs in with a credential of azidentity as it is, at the registry's Entra authority: the client secret goes
// there and nowhere else, and the token to the registry's exchange.
func TestClientSecretCredential(t *testing.T) {
	t.Parallel()
	w := acrsuite.NewWorld(t, acrtest.WithoutAnonymousPull())
	tenant, id, secret := w.Srv.ServicePrincipal()
	options := w.Srv.ClientOptions()
	options.Transport = &http.Client{Transport: w.Spy}
	cred, err := azidentity.NewClientSecretCredential(tenant, id, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            options,
		DisableInstanceDiscovery: true, // which asks Microsoft whether it knows the authority
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
		c, err := acr.NewClient(f.Srv.Endpoint(), cred, f.ClientOptions())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		f.Client = c
		f.MustWork(f.Run())
		f.AtMost(1, "ExchangeEntraToken")
		f.Srv.Ledger().NoCredentialLeaked(t)
	})
	authority := w.Spy.Requests(func(s acrsuite.Sight) bool { return s.Form.Get("client_secret") != "" })
	for _, s := range authority {
		if "https://"+s.Host != w.Srv.Authority() {
			t.Errorf("the client secret was sent to %s", s.Host)
		}
	}

	wrong, err := azidentity.NewClientSecretCredential(tenant, id, "not-the-secret", &azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
	c, err := acr.NewClient(f.Srv.Endpoint(), wrong, f.ClientOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	f.Client = c
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](f.Run()); !ok || failed == nil {
		f.Errorf("azidentity's own error is not found")
	}
	f.AtMost(0, "ExchangeEntraToken")
}

// armOnly is a credential that knows no audience but that of Azure Resource Manager.
type armOnly struct{ azcore.TokenCredential }

// GetToken implements azcore.TokenCredential.
func (c armOnly) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if !strings.HasPrefix(o.Scopes[0], "https://management.azure.com") {
		return azcore.AccessToken{}, errors.New("AADSTS500011: the resource is not known")
	}
	return c.TokenCredential.GetToken(ctx, o)
}

// TestARMAudience falls back to the audience of Azure Resource Manager where that is allowed, and says so where the registry does not.
func TestARMAudience(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{true, false} {
		var opts []acrtest.Option
		if !allowed {
			opts = append(opts, acrtest.WithoutARMAudience())
		}
		w := acrsuite.NewWorld(t, opts...)
		for _, arm := range []string{"", "https://management.azure.com"} {
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			o := f.ClientOptions()
			o.ARMAudience = arm
			c, err := acr.NewClient(f.Srv.Endpoint(), armOnly{f.Cred}, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.CloseIdleConnections)
			f.Client = c
			switch err := f.Run(); {
			case arm == "":
				f.MustFail(err, acr.ErrWrongAudience)
			case allowed:
				f.MustWork(err)
			default:
				f.MustFail(err, acr.ErrARMAudienceDisabled)
			}
		}
	}
}
