package acrtest

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Credential gives the service principal as a credential of the Azure SDK, without a request to the authority. Its tokens are for
// the audience that is asked for.
func (s *Server) Credential() azcore.TokenCredential { return credential{s: s} }

type credential struct{ s *Server }

func (c credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if err := ctx.Err(); err != nil {
		return azcore.AccessToken{}, err
	}
	audience := acrAudience
	if len(options.Scopes) > 0 {
		audience = strings.TrimSuffix(options.Scopes[0], "/.default")
	}
	token, expires := c.s.tokens.issueEntra(audience)
	return azcore.AccessToken{Token: token, ExpiresOn: expires}, nil
}

// ClientOptions gives what an Azure client needs to find the emulator: a transport that trusts it, and a cloud whose authority it
// is. With azidentity set DisableInstanceDiscovery as well, for the authority is none of Microsoft's.
func (s *Server) ClientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{Transport: s.HTTPClient(), Cloud: s.Cloud()}
}

// Cloud describes the emulator as an Azure cloud: its authority, and the audience of the registry.
func (s *Server) Cloud() cloud.Configuration {
	return cloud.Configuration{
		ActiveDirectoryAuthorityHost: s.Authority() + "/",
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			"azcontainerregistry": {Audience: acrAudience},
		},
	}
}
