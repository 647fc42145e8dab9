package acr_test

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
)

// TestClientSecretCredential signs in with a credential of azidentity as it is, at the registry's Entra authority: the client secret goes
// there and nowhere else, and the token to the registry's exchange.
func TestClientSecretCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acrtest.WithoutAnonymousPull())
	tenant, id, secret := w.srv.ServicePrincipal()
	options := w.srv.ClientOptions()
	options.Transport = &http.Client{Transport: w.spy}
	cred, err := azidentity.NewClientSecretCredential(tenant, id, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            options,
		DisableInstanceDiscovery: true, // which asks Microsoft whether it knows the authority
	})
	if err != nil {
		t.Fatal(err)
	}
	w.over(steadyCalls(), func(f *fixture) {
		c, err := acr.NewClient(f.srv.Endpoint(), cred, f.clientOptions())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		f.client = c
		f.mustWork(f.run())
		f.atMost(1, "ExchangeEntraToken")
		f.srv.Ledger().NoCredentialLeaked(t)
	})
	authority := w.spy.requests(func(s sight) bool { return s.Form.Get("client_secret") != "" })
	for _, s := range authority {
		if "https://"+s.Host != w.srv.Authority() {
			t.Errorf("the client secret was sent to %s", s.Host)
		}
	}

	wrong, err := azidentity.NewClientSecretCredential(tenant, id, "not-the-secret", &azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	f := w.fixture(callNamed(t, "Repository.GetManifest"))
	c, err := acr.NewClient(f.srv.Endpoint(), wrong, f.clientOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	f.client = c
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](f.run()); !ok || failed == nil {
		f.errorf("azidentity's own error is not found")
	}
	f.atMost(0, "ExchangeEntraToken")
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
		w := newWorld(t, opts...)
		for _, arm := range []string{"", "https://management.azure.com"} {
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			o := f.clientOptions()
			o.ARMAudience = arm
			c, err := acr.NewClient(f.srv.Endpoint(), armOnly{f.cred}, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.CloseIdleConnections)
			f.client = c
			switch err := f.run(); {
			case arm == "":
				f.mustFail(err, acr.ErrWrongAudience)
			case allowed:
				f.mustWork(err)
			default:
				f.mustFail(err, acr.ErrARMAudienceDisabled)
			}
		}
	}
}
