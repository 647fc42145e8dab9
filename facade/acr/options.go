package acr

import (
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// ServiceName is the key of this service in cloud.Configuration.Services: its Audience says for whom Entra tokens are asked. It is the
// name that the Azure SDK for Go uses, so that one cloud configuration serves both.
const ServiceName cloud.ServiceName = "azcontainerregistry"

// DefaultAudience is the audience of Entra tokens where the cloud's configuration names none. Every Azure cloud takes it.
const DefaultAudience = auth.DefaultAudience

// ClientOptions are the choices of a Client. The zero value, or nil, is right for a registry in any Azure cloud.
type ClientOptions struct {
	// Cloud, Retry, Telemetry, TracingProvider, Transport, Logging and policies, as in every Azure client. Of Cloud only the Audience of
	// Services[ServiceName] is used. Transport may be any *http.Client; what it does of its own with redirects and cookies is turned off. Retry
	// governs requests that can be sent again (by default 4 times, waiting 250 ms and then twice as long each time, up to 30 s, and what
	// Retry-After asks for up to a minute); the body of an upload is sent again by the upload alone, after it asked what arrived. Telemetry
	// and policies see token requests too, whose bodies are credentials: a policy that records bodies should leave out paths under /oauth2/,
	// as Logging does. They do not see what comes from storage.
	azcore.ClientOptions

	// AllowedHosts names the registries outside the ACR domains ("localhost:5000", "registry.example.com") to which this client may send
	// its credential. Empty: ACR domains only.
	AllowedHosts []string

	// Logger receives one debug record for each HTTP exchange with the registry, redacted: no header, no query, no body. Nil: nothing.
	Logger *slog.Logger

	// ARMAudience is a second audience, such as "https://management.azure.com", for a credential that cannot get a token for the registry's
	// own. Registries can be told to refuse such tokens. Empty: no second try.
	ARMAudience string

	// RegistryWideToken asks for one access token for all repositories, where the registry grants wildcards (it does not where it grants by
	// repository, ABAC): one token request instead of one per repository and kind of operation. False: the narrowest scope each time.
	RegistryWideToken bool

	// StrictStorage lets blobs be read from Azure storage and the registry's data endpoints only. False: from any https host that the
	// registry redirects to, without the credential.
	StrictStorage bool

	// SourceClient names the service or tool on whose behalf requests are made, as "<cloud>/<service>[/<part>]"; it is sent as
	// X-Meta-Source-Client, which the registry's diagnostics keep. Empty: not sent.
	SourceClient string

	// Governor paces the requests of this client, token requests included, so that the registry does not refuse any with status
	// code 429. Each try of a request waits for its turn before its time limit begins. Default: requests are not paced.
	Governor *Governor

	// MaxPages bounds how many pages one list may have; a longer one ends in ErrListEndless. 0: 10,000.
	MaxPages int
}

// The limits of what is held in memory.
const (
	maxManifestSize = 4 << 20
	maxPageSize     = 8 << 20
	maxPropertySize = 4 << 20 // of a manifest with a hundred thousand tags
	defaultMaxPages = 10_000
	defaultPageSize = 1000      // the most that a registry gives
	maxPageEntries  = 1_000_000 // what a page size is cut to: the registry cuts it further
)

// settleTime bounds best-effort calls that run after the caller's context has ended.
const settleTime = 5 * time.Second

// audience is for whom Entra tokens are asked.
func (o *ClientOptions) audience() string {
	if a := o.Cloud.Services[ServiceName].Audience; a != "" {
		return a
	}
	return DefaultAudience
}

// maxPages is the option or its default.
func (o *ClientOptions) maxPages() int {
	if o.MaxPages > 0 {
		return o.MaxPages
	}
	return defaultMaxPages
}
