// Package azure provides the credential and the client options that the programs of this module
// share. They come from azidentity.NewDefaultAzureCredential and from environment variables.
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

// Environment variables, in addition to those of azidentity.
const (
	// EnvAllowedHosts lists registries outside the ACR domains that may receive the credential:
	// "localhost:5000,registry.example.com".
	EnvAllowedHosts = "ACRKIT_ALLOWED_HOSTS"
	// EnvCAFile names a file of PEM certificates to trust in addition to the system's.
	EnvCAFile = "ACRKIT_CA_FILE"
	// EnvUsername and EnvPassword are those of an admin user, repository token or service principal.
	EnvUsername = "ACRKIT_USERNAME"
	EnvPassword = "ACRKIT_PASSWORD"

	envAuthority = "AZURE_AUTHORITY_HOST" // azidentity's
)

// The variables as the programs' usage describes them.
const (
	Usage = `  AZURE_*               credential: see azidentity.NewDefaultAzureCredential
  ` + EnvAllowedHosts + `  registries outside the ACR domains that may receive the credential:
                        localhost:5000,registry.example.com
  ` + EnvCAFile + `        file of PEM certificates to trust in addition to the system's
  HTTPS_PROXY, NO_PROXY proxy
`
	UsagePassword = `  ` + EnvUsername + `       user name of an admin user, repository token or service principal
  ` + EnvPassword + `       its password; with these two set the Azure credential is not used
`
)

// SignIn returns the credential of a client with these options; getenv reads the environment.
type SignIn func(options *acr.ClientOptions, getenv func(string) string) (azcore.TokenCredential, error)

// Client returns a client of the registry that signs in with EnvUsername and EnvPassword if one of
// them is set, and otherwise with the credential of signIn.
func Client(registry string, options *acr.ClientOptions, getenv func(string) string, signIn SignIn) (*acr.Client, error) {
	if user, password := getenv(EnvUsername), getenv(EnvPassword); user != "" || password != "" {
		return Named(acr.NewClientWithPassword(registry, user, password, options))
	}
	cred, err := signIn(options, getenv)
	if err != nil {
		return nil, err
	}
	return Named(acr.NewClient(registry, cred, options))
}

// Named names the variable where the error advises to set the option, which a user of a program
// cannot.
func Named(c *acr.Client, err error) (*acr.Client, error) {
	if e, ok := errors.AsType[*acr.ArgumentError](err); ok {
		e.Reason = strings.ReplaceAll(e.Reason, "ClientOptions.AllowedHosts", EnvAllowedHosts)
	}
	return c, err
}

// AllowedHosts returns the hosts of EnvAllowedHosts.
func AllowedHosts(getenv func(string) string) []string {
	return strings.FieldsFunc(getenv(EnvAllowedHosts), func(r rune) bool { return r == ',' || r == ' ' })
}

// ClientOptions returns the options of a client for the registry at host: the cloud of the
// registry's domain, and what the environment variables say. closeIdle closes the idle connections
// of its transport. It fails if the file of EnvCAFile cannot be read or has no certificate.
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

// transport returns a transport that also trusts the certificates of the file.
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
		return nil, fmt.Errorf("%s: no PEM certificate in %s", EnvCAFile, caFile)
	}
	own.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return own, nil
}

// cloudOf returns the cloud of a registry's domain. If the environment names an authority, azidentity
// uses that, and the cloud is left empty.
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

// microsoft lists the authorities of Azure's clouds. azidentity asks them about any other authority,
// which fails for an emulator or a private cloud.
var microsoft = []string{
	"login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "sts.windows.net", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn",
	"login.microsoftonline.us", "login-us.microsoftonline.com",
}

// Credential returns the default credential of azidentity. It sends its requests through the
// transport of the options.
func Credential(options *acr.ClientOptions, getenv func(string) string) (azcore.TokenCredential, error) {
	u, err := url.Parse(getenv(envAuthority))
	foreign := err == nil && u.Host != "" && !slices.Contains(microsoft, strings.ToLower(u.Hostname()))
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions:            azcore.ClientOptions{Cloud: options.Cloud, Transport: options.Transport},
		DisableInstanceDiscovery: foreign,
	})
}
