package azure_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The cloud is the one that the registry's domain is of, unless the environment names an authority.
func TestCloud(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]cloud.Configuration{
		"myregistry.azurecr.io":          cloud.AzurePublic,
		"https://myregistry.azurecr.io/": cloud.AzurePublic,
		"registry.example.com":           cloud.AzurePublic,
		"MyRegistry.azurecr.cn":          cloud.AzureChina,
		"https://myregistry.azurecr.cn/": cloud.AzureChina,
		"myregistry.azurecr.us:443":      cloud.AzureGovernment,
		"myregistry.azurecr.us.evil.com": cloud.AzurePublic,
	} {
		options, closeIdle, err := azure.ClientOptions(host, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		closeIdle()
		if options.Cloud.ActiveDirectoryAuthorityHost != want.ActiveDirectoryAuthorityHost {
			t.Errorf("%s: authority %s", host, options.Cloud.ActiveDirectoryAuthorityHost)
		}
	}
	env := map[string]string{"AZURE_AUTHORITY_HOST": "https://login.example.com", azure.EnvAllowedHosts: "a.example.com,b.example.com:5000 c"}
	options, closeIdle, err := azure.ClientOptions("myregistry.azurecr.cn", func(key string) string { return env[key] })
	if err != nil {
		t.Fatal(err)
	}
	closeIdle()
	if options.Cloud.ActiveDirectoryAuthorityHost != "" {
		t.Errorf("authority %s is preferred to that of the environment", options.Cloud.ActiveDirectoryAuthorityHost)
	}
	if diff := cmp.Diff([]string{"a.example.com", "b.example.com:5000", "c"}, options.AllowedHosts); diff != "" {
		t.Error(diff)
	}
}

// The advice for a host that may not receive the credential names what a user of a program can set.
func TestAdviceNamesTheVariable(t *testing.T) {
	t.Parallel()
	password := map[string]string{azure.EnvUsername: "user", azure.EnvPassword: "secret"}
	for name, env := range map[string]map[string]string{"password": password, "credential": {}} {
		getenv := func(key string) string { return env[key] }
		options, closeIdle, err := azure.ClientOptions("registry.example.com", getenv)
		if err != nil {
			t.Fatal(err)
		}
		_, err = azure.Client("registry.example.com", options, getenv, azure.Credential)
		closeIdle()
		if !errors.Is(err, acr.ErrInvalidArgument) || !strings.Contains(err.Error(), azure.EnvAllowedHosts) || strings.Contains(err.Error(), "ClientOptions") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
