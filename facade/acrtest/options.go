package acrtest

import (
	"log/slog"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// Option configures the registry that [New] or [Start] creates. Without options it is a Standard
// registry in memory with anonymous pull, an admin user and one service principal with all
// permissions, and it enforces no request limits.
//
// Options are functions rather than fields of a struct because the zero value of some of them is
// not their default: WithLedgerSize(0), for example, means no limit.
type Option func(*config)

// SKU is the service tier of a registry.
type SKU string

// The service tiers. They differ in their request budgets, and Basic has neither anonymous pull nor
// artifact streaming. The service offers artifact streaming in the Premium tier only; the emulator
// offers it in Standard too.
const (
	Basic    SKU = "Basic"
	Standard SKU = "Standard"
	Premium  SKU = "Premium"
)

// WithoutAnonymousPull requires a credential for every request. This is how Azure creates
// registries.
func WithoutAnonymousPull() Option { return func(c *config) { c.anonymousPull = false } }

// WithSKU sets the service tier. Default: [Standard]. The rate-limit headers show the budgets of
// the tier; [WithLimits] enforces them.
func WithSKU(sku SKU) Option { return func(c *config) { c.sku = sku } }

// WithLimits enforces the five request budgets of the service tier. [OAuthBudget] is a limit for
// all callers together. Each of the others is a limit for one caller, and all callers together have
// twice as much. A request over budget is answered with status 429 and a Retry-After with the
// seconds until the budget is whole again, at most 60. Default: not enforced.
func WithLimits() Option { return func(c *config) { c.limits = true } }

// WithBudget sets one budget, in requests per minute, and enforces it even without [WithLimits].
// [OAuthBudget] is a limit for all callers together. Each of the others is a limit for one caller;
// the number that the service tier has for all callers together stays as it is, and is enforced
// too.
func WithBudget(b Budget, perMinute int) Option {
	return func(c *config) {
		if c.budgets == nil {
			c.budgets = make(map[Budget]int)
		}
		c.budgets[b] = perMinute
	}
}

// WithTokenBuckets enforces the five request budgets as token buckets that hold the requests of one
// second, instead of counting the requests of a minute: a burst is answered with status 429 even if
// the client stays within its budget per minute. The documentation of the service mentions token
// buckets but not their size; one second is the strictest reading.
func WithTokenBuckets() Option { return func(c *config) { c.limits, c.buckets = true, true } }

// WithABAC creates a registry with attribute-based permissions ("RBAC Registry + ABAC Repository
// Permissions"). Wildcard repository scopes are removed from access tokens without an error, and
// refresh tokens carry the aad_identity claim.
func WithABAC() Option { return func(c *config) { c.abac = true } }

// WithoutARMAudience rejects Entra tokens for Azure Resource Manager. Only tokens for
// https://containerregistry.azure.net are exchanged.
func WithoutARMAudience() Option { return func(c *config) { c.armAudience = false } }

// WithEntraActions restricts the service principal to the given actions, each in the form
// "REPOSITORY ACTION,ACTION" of [WithRepositoryToken]. Without actions it has no role at all, and
// the exchange of its Entra token is answered with status 403.
func WithEntraActions(actions ...string) Option {
	return func(c *config) {
		c.entraActions = append([]string{}, actions...)
		c.noRole = len(actions) == 0
	}
}

// WithAdmin sets the name and password of the admin user. Default: the name "acrtest" and a random
// password.
func WithAdmin(user, password string) Option {
	return func(c *config) { c.adminUser, c.adminPassword = user, password }
}

// WithRepositoryToken adds a repository token with a scope map. Each action has the form
// "REPOSITORY ACTION,ACTION", such as "samples/* content/read,metadata/read". The repository is a
// name, "*", or a prefix that ends in "/*". The actions are content/read, content/write,
// content/delete, metadata/read and metadata/write. "* metadata/read" includes the catalog: the
// documentation of the service says that no repository token can list it, but a user reported that
// such a token can.
func WithRepositoryToken(name, password string, actions ...string) Option {
	return func(c *config) {
		c.tokens = append(c.tokens, repositoryToken{name: name, password: password, actions: actions})
	}
}

// WithSoftDelete keeps deleted manifests for the given number of days, from 1 to 90. They are
// listed under /acr/v1/_deleted and can be restored. Default: 0, they are deleted at once.
func WithSoftDelete(days int) Option { return func(c *config) { c.softDelete = days } }

// WithImmutableTags rejects a push that would move an existing tag.
func WithImmutableTags() Option { return func(c *config) { c.immutableTags = true } }

// WithInlineBlobs serves blobs from the login server with status 200 instead of redirecting to the
// storage account, as connected registries and some private links do.
func WithInlineBlobs() Option { return func(c *config) { c.inlineBlobs = true } }

// WithTrailingEmptyPage adds a Link to every full page, including the last one, so that a list may
// end with an empty page.
func WithTrailingEmptyPage() Option { return func(c *config) { c.trailingEmptyPage = true } }

// WithMaxBody rejects request bodies of more than n bytes with a plain-text 413, as Basic
// registries have been seen to do. Token requests are exempt. Default: 0, no limit.
func WithMaxBody(n int64) Option { return func(c *config) { c.maxBody = n } }

// WithReplicaLag makes each write visible to reads only after d on the registry's clock, as if
// another replica served the reads. Content seeded by the Seed methods is delayed as well;
// [Server.Advance] by d makes it visible.
func WithReplicaLag(d time.Duration) Option { return func(c *config) { c.replicaLag = d } }

// ManifestTimes says which requests move the lastUpdateTime of a manifest.
type ManifestTimes string

// The settings of [WithManifestTimes]. A change of attributes never moves the time, as on the
// service. The service does not document which other requests do.
const (
	// ManifestTimesPush moves the time when the manifest is pushed again, by digest or by tag.
	ManifestTimesPush ManifestTimes = "push"
	// ManifestTimesFixed never moves the time: it stays that of the first push.
	ManifestTimesFixed ManifestTimes = "fixed"
	// ManifestTimesTags moves the time when the manifest is pushed again, and when a tag is put on
	// it, moves away from it or is deleted.
	ManifestTimesTags ManifestTimes = "tags"
)

// WithManifestTimes sets which requests move the lastUpdateTime of a manifest. Default:
// [ManifestTimesPush]. A job that relies on that time should pass its tests with all settings.
func WithManifestTimes(moved ManifestTimes) Option { return func(c *config) { c.times = moved } }

// ofStore returns the setting in the words of the store.
func (t ManifestTimes) ofStore() store.Times {
	switch t {
	case ManifestTimesFixed:
		return store.TimesFixed
	case ManifestTimesTags:
		return store.TimesTags
	default:
		return store.TimesPush
	}
}

// WithEmptyRepositories keeps a repository whose last manifest has been deleted: it stays in the
// catalog, with empty lists, until it is deleted itself. Such repositories have been seen on the
// service. By default a repository disappears with its last manifest.
func WithEmptyRepositories() Option { return func(c *config) { c.keepEmpty = true } }

// WithReplicas creates a geo-replicated registry with one replica for each of the given regions,
// such as "eastus" and "westeurope". A replica sees its own writes at once and those of the others
// after the time of [WithReplicaLag]; it knows only the upload sessions that were started at it,
// and has request budgets of its own. Content seeded by the Seed methods reaches all replicas after
// that time.
//
// [Server.Endpoint] names the registry: clients that use [Server.HTTPClient] or
// [Server.DialContext] connect to each replica in turn, beginning with the first, as they would
// through a traffic manager. Each replica also has a network address of its own, which always leads
// to that replica. [Server.RegionalEndpoint] names a single replica, and [Request.Replica] says
// which one served a request.
func WithReplicas(regions ...string) Option {
	return func(c *config) { c.replicas = append([]string{}, regions...) }
}

// WithoutBlobCheck accepts manifests that refer to blobs the repository does not have.
func WithoutBlobCheck() Option { return func(c *config) { c.skipBlobCheck = true } }

// WithBlobLinkLife sets how long signed links to the storage account are valid. Default: 20
// minutes.
func WithBlobLinkLife(d time.Duration) Option { return func(c *config) { c.blobLinkLife = d } }

// WithSessionLife sets how long an upload session lives. Default: 7 days.
func WithSessionLife(d time.Duration) Option { return func(c *config) { c.sessionLife = d } }

// WithLatency delays every request to every origin by d.
func WithLatency(d time.Duration) Option { return func(c *config) { c.latency = d } }

// WithBandwidth limits every connection to the given number of bytes per second in each direction.
// Default: 0, no limit.
func WithBandwidth(bytesPerSecond int64) Option {
	return func(c *config) { c.bandwidth = bytesPerSecond }
}

// WithHTTP2 offers HTTP/2 in addition to HTTP/1.1. The service speaks HTTP/1.1 only, and so does
// the emulator by default. Over HTTP/2 the fault Header("Connection", "close") sends a GOAWAY, and
// [Fault.Raw] does not work.
func WithHTTP2() Option { return func(c *config) { c.http2 = true } }

// WithDirectory stores the content of the registry and its generated passwords in dir, which is
// created if necessary. Without this option all content is in memory. Only one registry at a time
// can use a directory.
//
// Acknowledged writes survive a killed process; with [WithSync] they also survive a power failure.
// If the file of a blob turns out to be missing or too short when the registry starts, the blob is
// removed from all repositories, a warning is logged to [WithLogger], and the blob can be pushed
// again.
//
// [Start] fails if the directory is in use by another registry, if its journal is damaged, or if it
// has files of other programs under names that the registry uses. So it fails for an OCI image
// layout; read that with [Server.SeedLayout].
func WithDirectory(dir string) Option { return func(c *config) { c.dir = dir } }

// WithSync flushes each write to disk before it is acknowledged, so that it survives a power
// failure. It requires [WithDirectory], and adds some milliseconds to a blob and less to manifests,
// tags and attributes. Open upload sessions are exempt and may be lost.
func WithSync() Option { return func(c *config) { c.sync = true } }

// WithMemoryNetwork replaces sockets by connections in memory, so that the registry and its clients
// can run inside a bubble of testing/synctest. Only clients that use [Server.HTTPClient] or
// [Server.DialContext] can reach it.
func WithMemoryNetwork() Option { return func(c *config) { c.memoryNetwork = true } }

// WithLoginServer sets the host name of the login server, such as "myregistry.azurecr.io".
// Challenges, tokens, the certificate and [Server.Endpoint] use that name. Clients that use
// [Server.HTTPClient] or [Server.DialContext] can resolve it.
func WithLoginServer(host string) Option { return func(c *config) { c.loginServer = host } }

// WithListen sets the address of the login server. Default: a free port of 127.0.0.1. An address
// outside the loopback interface also needs [WithRemoteAccess].
func WithListen(address string) Option { return func(c *config) { c.listen = address } }

// WithRemoteAccess allows [WithListen] to use an address that other machines can reach. Treat the
// registry's passwords as public then. The storage account and the authority listen on other ports
// of the same address.
//
// On 0.0.0.0 all three servers call themselves localhost, which other machines cannot resolve to
// this one. In that case name the login server with [WithLoginServer] and serve blobs from it with
// [WithInlineBlobs].
func WithRemoteAccess() Option { return func(c *config) { c.allowRemote = true } }

// WithLedgerSize limits the ledger to the last n requests. Default: about one million. 0 means no
// limit.
func WithLedgerSize(n int) Option { return func(c *config) { c.ledgerSize = n } }

// WithLogger sets the logger for warnings of the registry, such as one about a credential that
// looks real, and for mistakes in its use where there is no test that could fail. Default: warnings
// are discarded, mistakes go to [slog.Default]. With nil both are discarded.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		c.logger, c.mistakes = l, l
	}
}
