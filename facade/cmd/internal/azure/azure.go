// Package azure signs the programs of this module in: with what azidentity.NewDefaultAzureCredential finds, and a few variables of the
// environment for what is not a registry in Azure.
package azure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/acrkit/acrkit/facade/acr"
)

// The variables of the environment, beside those of azidentity.
const (
	// EnvAllowedHosts names registries outside the ACR domains that may be signed in to: "localhost:5000,registry.example.com".
	EnvAllowedHosts = "ACRKIT_ALLOWED_HOSTS"
	// EnvCAFile is a file of PEM certificates to trust beside those of the system.
	EnvCAFile = "ACRKIT_CA_FILE"

	envAuthority = "AZURE_AUTHORITY_HOST" // azidentity's
)

// AllowedHosts are the hosts of EnvAllowedHosts.
func AllowedHosts(getenv func(string) string) []string {
	return strings.FieldsFunc(getenv(EnvAllowedHosts), func(r rune) bool { return r == ',' || r == ' ' })
}

// ClientOptions are those of a client of the registry at host: the cloud that the registry's domain is of, and what the environment says.
// closeIdle closes the connections of its transport. Errors: a CA file that cannot be used.
func ClientOptions(host string, getenv func(string) string) (options *acr.ClientOptions, closeIdle func(), err error) {
	transport, err := transport(getenv(EnvCAFile))
	if err != nil {
		return nil, nil, err
	}
	return &acr.ClientOptions{
		ClientOptions: azcore.ClientOptions{Cloud: cloudOf(host, getenv), Transport: &http.Client{Transport: transport}},
		AllowedHosts:  AllowedHosts(getenv),
	}, transport.CloseIdleConnections, nil
}

// transport trusts the certificates of the file, too.
func transport(caFile string) (*http.Transport, error) {
	own, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default transport is not net/http's")
	}
	own = own.Clone()
	if caFile == "" {
		return own, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvCAFile, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: there is no certificate in %s", EnvCAFile, caFile)
	}
	own.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return own, nil
}

// cloudOf is the cloud of a registry's domain; the authority of the environment, where there is one, is left to azidentity.
func cloudOf(host string, getenv func(string) string) cloud.Configuration {
	if getenv(envAuthority) != "" {
		return cloud.Configuration{}
	}
	switch host = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(host), "/"), ":443"); {
	case strings.HasSuffix(host, ".azurecr.cn"):
		return cloud.AzureChina
	case strings.HasSuffix(host, ".azurecr.us"):
		return cloud.AzureGovernment
	}
	return cloud.AzurePublic
}

// microsoft are the authorities of Azure's clouds: azidentity has them vouch for any other, which none of them does for an emulator or a
// private cloud.
var microsoft = []string{
	"login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "sts.windows.net", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn",
	"login.microsoftonline.us", "login-us.microsoftonline.com",
}

// Credential is azidentity's default credential over the transport of the options.
func Credential(options *acr.ClientOptions, getenv func(string) string) (azcore.TokenCredential, error) {
	u, err := url.Parse(getenv(envAuthority))
	foreign := err == nil && u.Host != "" && !slices.Contains(microsoft, strings.ToLower(u.Hostname()))
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions:            azcore.ClientOptions{Cloud: options.Cloud, Transport: options.Transport},
		DisableInstanceDiscovery: foreign,
	})
}
