package acrtest

import (
	"log/slog"
	"time"
)

// Option is a property of the registry that [New] and [Start] make. Without any it is a Standard registry with anonymous pull,
// an admin user, one service principal that may do everything, memory storage and no request limits.
type Option func(*config)

// SKU is the service tier of a registry.
type SKU string

// The three tiers. They differ in their request budgets and in that Basic has no anonymous pull.
const (
	Basic    SKU = "Basic"
	Standard SKU = "Standard"
	Premium  SKU = "Premium"
)

// WithoutAnonymousPull asks for a credential on every request, as a registry does until its owner allows anonymous pull.
func WithoutAnonymousPull() Option { return func(c *config) { c.anonymousPull = false } }

// WithSKU makes a registry of the given tier. The budgets of the tier show in the rate-limit headers; [WithLimits] enforces them.
func WithSKU(sku SKU) Option { return func(c *config) { c.sku = sku } }

// WithLimits enforces the five request budgets of the registry's SKU: over budget is a 429 with a Retry-After that counts down.
// They are off by default.
func WithLimits() Option { return func(c *config) { c.limits = true } }

// WithBudget sets one budget, in requests a minute and for each caller, and enforces it alone if [WithLimits] is not given.
func WithBudget(b Budget, perMinute int) Option {
	return func(c *config) {
		if c.budgets == nil {
			c.budgets = make(map[Budget]int)
		}
		c.budgets[b] = perMinute
	}
}

// WithABAC makes a registry whose permissions are attribute based ("RBAC Registry + ABAC Repository Permissions"): scopes with
// a wildcard repository are silently dropped from tokens, and the refresh token says so in its aad_identity claim.
func WithABAC() Option { return func(c *config) { c.abac = true } }

// WithoutARMAudience refuses Entra tokens for Azure Resource Manager, so that only those for
// https://containerregistry.azure.net are exchanged.
func WithoutARMAudience() Option { return func(c *config) { c.armAudience = false } }

// WithEntraActions restricts the service principal to the given actions, each "REPOSITORIES ACTIONS" as in
// [WithRepositoryToken]. Without any action it has no role at all, and the exchange of its token is denied with a 403.
func WithEntraActions(actions ...string) Option {
	return func(c *config) {
		c.entraActions = append([]string{}, actions...)
		c.noRole = len(actions) == 0
	}
}

// WithAdmin names the admin user and its password, which are made up otherwise.
func WithAdmin(user, password string) Option {
	return func(c *config) { c.adminUser, c.adminPassword = user, password }
}

// WithRepositoryToken adds a token with a scope map. Each action reads "REPOSITORY ACTION,ACTION", such as
// "samples/* content/read,metadata/read"; the actions are content/read, content/write, content/delete, metadata/read and
// metadata/write, the repository is a name, "*", or a prefix that ends in "/*". "* metadata/read" may list the catalog as well.
func WithRepositoryToken(name, password string, actions ...string) Option {
	return func(c *config) {
		c.tokens = append(c.tokens, repositoryToken{name: name, password: password, actions: actions})
	}
}

// WithSoftDelete keeps deleted manifests for the given number of days (1 to 90; 0 is the default: none), listed under /acr/v1/_deleted and restorable.
func WithSoftDelete(days int) Option { return func(c *config) { c.softDelete = days } }

// WithImmutableTags refuses to move a tag that exists.
func WithImmutableTags() Option { return func(c *config) { c.immutableTags = true } }

// WithInlineBlobs serves blobs from the login origin with a 200, as connected registries and some private links do, instead of
// sending the caller to the storage origin.
func WithInlineBlobs() Option { return func(c *config) { c.inlineBlobs = true } }

// WithTrailingEmptyPage gives a Link on every full page, the last one too, so that a list may end in an empty page.
func WithTrailingEmptyPage() Option { return func(c *config) { c.trailingEmptyPage = true } }

// WithMaxBody refuses a request body of more than n bytes, save those of token requests, with a 413 in plain text, as has been seen of Basic registries.
func WithMaxBody(n int64) Option { return func(c *config) { c.maxBody = n } }

// WithReplicaLag shows every write to reads only after d, on the registry's clock, as a geo-replica does. What is seeded is
// written in that moment: [Server.Advance] by d shows it.
func WithReplicaLag(d time.Duration) Option { return func(c *config) { c.replicaLag = d } }

// WithoutBlobCheck accepts manifests that name blobs the repository does not hold.
func WithoutBlobCheck() Option { return func(c *config) { c.skipBlobCheck = true } }

// WithBlobLinkLife sets how long the signed links to the storage origin are good for; 20 minutes by default.
func WithBlobLinkLife(d time.Duration) Option { return func(c *config) { c.blobLinkLife = d } }

// WithSessionLife sets how long an upload session lives; 7 days by default.
func WithSessionLife(d time.Duration) Option { return func(c *config) { c.sessionLife = d } }

// WithLatency adds d to every request, on all origins.
func WithLatency(d time.Duration) Option { return func(c *config) { c.latency = d } }

// WithBandwidth caps every connection at the given number of bytes per second in each direction.
func WithBandwidth(bytesPerSecond int64) Option {
	return func(c *config) { c.bandwidth = bytesPerSecond }
}

// WithHTTP2 offers HTTP/2 as well. The service speaks HTTP/1.1, and so does the emulator by default. Over HTTP/2 the fault
// Header("Connection", "close") sends a GOAWAY, and [Fault.Raw] does not work.
func WithHTTP2() Option { return func(c *config) { c.http2 = true } }

// WithDirectory keeps everything the registry stores in dir, which is made if need be and survives a restart, with the passwords that
// the registry makes up. What was acknowledged survives a process that is killed, but not the loss of power: see [WithSync]. One
// registry at a time has the directory. A blob whose file is found missing or too short at the start is taken out of all
// repositories, with a warning to [WithLogger], and can be pushed again. Without the option all is in memory.
//
// [Start] refuses a directory that another registry has, one with files of somebody else under the names that the registry uses,
// such as an OCI image layout ([Server.SeedLayout] reads those), and one whose journal is damaged.
func WithDirectory(dir string) Option { return func(c *config) { c.dir = dir } }

// WithSync waits for the disk before a write to the directory of [WithDirectory] is acknowledged, so that it survives the loss of
// power too. It costs some milliseconds for each blob, and less for a manifest, a tag or a change of attributes. Upload sessions are
// not waited for: one that was under way may be lost.
func WithSync() Option { return func(c *config) { c.sync = true } }

// WithMemoryNetwork replaces the sockets by connections in memory, so that the registry and its clients can live inside a
// bubble of [testing/synctest]. Only clients of [Server.HTTPClient] and [Server.DialContext] reach it.
func WithMemoryNetwork() Option { return func(c *config) { c.memoryNetwork = true } }

// WithLoginServer names the login server, for instance "myregistry.azurecr.io": challenges, tokens, certificate and
// [Server.Endpoint] speak of that host, and clients of [Server.HTTPClient] and [Server.DialContext] find it.
func WithLoginServer(host string) Option { return func(c *config) { c.loginServer = host } }

// WithListen sets the address of the login origin instead of a free port of 127.0.0.1. An address that is not of the loopback
// interface is refused unless [WithRemoteAccess] is given too.
func WithListen(address string) Option { return func(c *config) { c.listen = address } }

// WithRemoteAccess allows [WithListen] to name an address that other machines reach. The registry's passwords are then as good
// as public. The storage origin and the authority listen on other ports of the same address. On 0.0.0.0 all three go by localhost,
// which is no use to other machines: give the login server a name by [WithLoginServer], and have blobs come from it by
// [WithInlineBlobs].
func WithRemoteAccess() Option { return func(c *config) { c.allowRemote = true } }

// WithLedgerSize bounds the ledger to the last n requests; about a million by default, all when n is 0.
func WithLedgerSize(n int) Option { return func(c *config) { c.ledgerSize = n } }

// WithLogger writes the warnings of the registry to l, such as one for a credential that looks real. By default they are dropped.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		c.logger = l
	}
}
