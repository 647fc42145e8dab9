package acr

import (
	"context"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// ServiceName is the key of this service in cloud.Configuration.Services, whose Audience is the
// audience of Entra tokens. It is the name that the Azure SDK for Go uses, so one cloud
// configuration serves both.
const ServiceName cloud.ServiceName = "azcontainerregistry"

// DefaultAudience is the audience of Entra tokens if the cloud configuration does not name one. It
// is valid in every Azure cloud.
const DefaultAudience = auth.DefaultAudience

// ClientOptions are the options of a [Client]. The zero value (or nil) is right for a registry in
// any Azure cloud.
type ClientOptions struct {
	// ClientOptions are the options of every Azure client, with these differences:
	//
	//   - Cloud: only Services[ServiceName].Audience is used.
	//   - Transport: redirects and cookies of an *http.Client are ignored. Its Timeout limits each
	//     request with its body: set a long one or none, so that large chunks can be sent on a slow
	//     line.
	//   - Retry: by default a request is retried up to 4 times. The first wait is up to 250 ms and
	//     doubles up to 30 s. A Retry-After of up to one minute replaces it; after a longer one the
	//     request is not retried. Chunks of an upload are never sent again by the retry policy; the
	//     upload first asks the registry what has arrived.
	//   - Telemetry, PerCallPolicies, PerRetryPolicies: also apply to token requests, whose bodies
	//     contain credentials. A policy that records bodies should skip paths under /oauth2/, as
	//     azcore's logging does. They do not apply to downloads from storage.
	azcore.ClientOptions

	// AllowedHosts are registries outside the ACR domains, such as "localhost:5000" or
	// "registry.example.com", to which this client may send its credential. Each is written as
	// HOST, HOST:PORT or https://HOST:PORT; without a port it is 443. They have to offer the token
	// endpoints of ACR, /oauth2/token and (for Entra credentials) /oauth2/exchange. Default: ACR
	// domains only.
	AllowedHosts []string

	// FallbackEndpoints are other endpoints of the same registry, such as those of its regions
	// ("myregistry.westeurope.geo.azurecr.io"). A request goes to the next endpoint if
	// the one before it
	//
	//   - cannot be reached or does not respond in time,
	//   - responds with a 5xx status code twice in a row, or once if Retry-After is more than a
	//     second, or
	//   - redirects a download to storage that fails or stalls.
	//
	// For a minute, or until the failed endpoint has served a request, the client tries that
	// endpoint after all others. A request that got status code 429 is retried at the same
	// endpoint.
	//
	// Only requests that change nothing use the fallbacks, including those of a running download.
	// Writes, and the reads that a write needs, use the client's own endpoint only, and so do all
	// calls with a context of [Client.PinAddress]. A replica may lag behind another one, so new
	// content may be missing in a response.
	//
	// The client signs in to an endpoint when it first uses it. A token of one endpoint is never
	// sent to another one. Each endpoint must be valid as the endpoint of [NewClient]. Default:
	// none.
	FallbackEndpoints []string

	// Logger receives a debug record for each request, without headers, query and bodies. It
	// receives info records for retries, for waits of more than a second for a Governor, for
	// transfers that start again from the first byte, for changes to a fallback endpoint, and for a
	// RegistryWideToken that cannot be used. It receives a warning for a challenge that names
	// another service or realm than the registry's. Default: no records.
	Logger *slog.Logger

	// OnRequest, if not nil, is called for each request, including token and storage requests, when
	// its response has been read or the request has failed. The goroutine of the request calls it,
	// so it must return soon; several goroutines may call it at the same time. ctx has the values
	// of the call's context. Default: nil.
	OnRequest func(ctx context.Context, m RequestMetrics)

	// ARMAudience is a second audience, such as "https://management.azure.com", for credentials
	// that cannot get a token for the registry's own audience. Registries can be configured to
	// refuse such tokens. Default: no second attempt.
	ARMAudience string

	// RegistryWideToken requests one access token for all repositories, which saves a token request
	// for each repository and kind of operation. It has no effect on registries with ABAC, which do
	// not issue such tokens. Default: the narrowest scope for each request.
	RegistryWideToken bool

	// StrictStorage restricts downloads to the domains of Azure storage and the registry's data
	// endpoints. Default: downloads follow redirects of the registry to any https host, without the
	// credential.
	StrictStorage bool

	// SourceClient names the service or tool that makes the requests, as
	// "<cloud>/<service>[/<part>]". It is sent in the header X-Meta-Source-Client, which the
	// registry's diagnostics record. Default: not sent.
	SourceClient string

	// Governor delays the requests of this client, including token requests, so that the registry
	// does not refuse any with status code 429. The delay does not count against Retry.TryTimeout.
	// Default: requests are not delayed.
	Governor *Governor

	// ResponseTimeouts is how long the registry may take to begin a response. Default: the defaults
	// of its fields.
	ResponseTimeouts ResponseTimeouts

	// MaxPages is the maximum number of pages of one list. A longer list fails with
	// [ErrListEndless]. Default: 10,000.
	MaxPages int
}

// ResponseTimeouts are how long a response may take to begin, counted from the end of the request.
// If no response begins in time, a request that only reads is sent once more, and fails with
// [ErrStalled] if that one times out too. Any other request, except a token request (see Token),
// fails with [ErrStalled] at the first timeout. An upload or download then tries again several
// times. Zero means the default. A negative value means no limit, except for Token, where it means
// the default.
//
// Some limits are not options. A request fails if no byte of its body can be sent for two minutes.
// A response fails if no byte of its body arrives for 30 seconds. A response other than a blob also
// fails if less than 60 KiB of its body arrive in a minute, unless it ends in that minute.
type ResponseTimeouts struct {
	// Read is the limit of requests that change nothing: for manifests, lists, properties, blobs
	// and the status of an upload. Default: 3 minutes.
	Read time.Duration

	// Chunk is the limit of the chunks of an upload and of the request that opens it. It includes
	// the time that a buffering proxy needs to pass the chunk on: 16 MiB take four minutes on a
	// line of 64 KiB/s. Default: 10 minutes.
	Chunk time.Duration

	// Write is the limit of all other requests: those that commit an upload, upload a small blob,
	// put a manifest, delete, restore or update. A registry may take many minutes to complete a
	// large blob or to delete a large repository. If the connection breaks while the registry
	// completes an upload, the client checks for the blob, for up to this time, before it sends
	// anything again. Default: 30 minutes.
	Write time.Duration

	// Token is the limit of one try of a token request, including its response body. All tries of a
	// token request together have twice that time plus 30 seconds. A whole sign-in, including the
	// credential, has 90 seconds more. Default: 1 minute, also for a negative value.
	Token time.Duration
}

// audience returns the audience of Entra tokens.
func (o *ClientOptions) audience() string {
	if a := o.Cloud.Services[ServiceName].Audience; a != "" {
		return a
	}
	return DefaultAudience
}
