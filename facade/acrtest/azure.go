package acrtest

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Credential returns a credential of the Azure SDK for the service principal. It issues tokens for
// the requested audience without a request to the authority.
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

// ClientOptions returns the options an Azure SDK client needs to use the registry:
// [Server.HTTPClient] as the transport, and a cloud whose authority is [Server.Authority]. With
// azidentity also set DisableInstanceDiscovery, because the authority is not one of Microsoft's.
func (s *Server) ClientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{Transport: s.HTTPClient(), Cloud: s.Cloud()}
}

// Cloud returns a cloud configuration with the emulated authority and the audience of the registry.
func (s *Server) Cloud() cloud.Configuration {
	return cloud.Configuration{
		ActiveDirectoryAuthorityHost: s.Authority() + "/",
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			"azcontainerregistry": {Audience: acrAudience},
		},
	}
}
