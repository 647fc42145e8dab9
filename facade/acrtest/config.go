package acrtest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// ErrInvalidOption is returned by [Start] if an option has an invalid value or is nil. The message
// names the option, or the position of a nil one.
var ErrInvalidOption = errors.New("acrtest: invalid option")

// optionError has a message of its own and matches ErrInvalidOption.
type optionError struct{ text string }

func invalid(format string, args ...any) error {
	return &optionError{"acrtest: " + fmt.Sprintf(format, args...)}
}

func (e *optionError) Error() string { return e.text }

func (e *optionError) Is(target error) bool { return target == ErrInvalidOption }

// config is what the options make of a registry. Fields are named after the options; the zero value
// of each, save those that defaultConfig sets, is the registry as Azure creates it.
type config struct {
	// Who may do what.
	anonymousPull bool
	armAudience   bool
	abac          bool
	entraActions  []string // what the service principal may do, as scope-map actions; nil is everything
	noRole        bool     // the service principal has no role at all
	tokens        []repositoryToken
	adminUser     string
	adminPassword string // "" is made up

	// What the registry is.
	sku           SKU
	limits        bool // enforce the request budgets of the SKU
	buckets       bool // as token buckets of one second's worth
	budgets       map[Budget]int
	softDelete    int // retention in days, 0 is off
	immutableTags bool
	loginServer   string // name of the login server, "" is 127.0.0.1 and its port

	// What it does on the wire.
	inlineBlobs       bool  // blobs are served by the login origin itself, no redirect
	trailingEmptyPage bool  // a full last page carries a Link to an empty one
	maxBody           int64 // bytes in one request body, 0 is without limit; more is a 413
	replicaLag        time.Duration
	keepEmpty         bool // repositories stay without manifests
	times             ManifestTimes
	replicas          []string      // regions, nil is one registry without replicas
	blobLinkLife      time.Duration // life of the signed link to the storage origin
	sessionLife       time.Duration // life of an upload session
	skipBlobCheck     bool          // a manifest may name blobs that are not there
	latency           time.Duration // before each request is looked at
	bandwidth         int64         // bytes per second and connection, each way; 0 is without limit
	http2             bool

	// Where it lives.
	dir           string // "" is memory
	sync          bool   // wait for the disk
	memoryNetwork bool
	listen        string
	allowRemote   bool
	ledgerSize    int
	logger        *slog.Logger // for warnings
	mistakes      *slog.Logger // for errors of the caller that cannot be returned; nil: slog.Default
}

// repositoryToken is a token with a scope map: a name, a password, and what they may do.
type repositoryToken struct {
	name, password string
	actions        []string
}

// check rejects values that make no sense, and names their option. The registry would start with
// them, but behave differently from what was meant.
func (c config) check() error {
	bad := func(option string, value any, want string) error {
		return invalid("%s(%v): must be %s", option, value, want)
	}
	for budget, n := range c.budgets {
		if quotas(Standard)[budget] == (quota{}) {
			return bad("WithBudget", budget, "one of the five budgets")
		}
		if n < 1 {
			return bad("WithBudget", fmt.Sprintf("%s, %d", budget, n), "at least one request per minute")
		}
	}
	for _, number := range []struct {
		option string
		n      int64
	}{{"WithMaxBody", c.maxBody}, {"WithBandwidth", c.bandwidth}, {"WithLedgerSize", int64(c.ledgerSize)}} {
		if number.n < 0 {
			return bad(number.option, number.n, "0 (no limit) or more")
		}
	}
	for _, span := range []struct {
		option string
		d      time.Duration
		least  time.Duration
		want   string
	}{
		{"WithLatency", c.latency, 0, "0 or more"}, {"WithReplicaLag", c.replicaLag, 0, "0 or more"},
		{"WithSessionLife", c.sessionLife, 1, "more than 0"}, {"WithBlobLinkLife", c.blobLinkLife, 1, "more than 0"},
	} {
		if span.d < span.least {
			return bad(span.option, span.d, span.want)
		}
	}
	for i, name := range c.replicas {
		if !regionGrammar.MatchString(name) || slices.Contains(c.replicas[:i], name) {
			return invalid("WithReplicas(%s): a region must be a name such as \"eastus\", and different from the others", name)
		}
	}
	u, err := url.Parse("https://" + c.loginServer)
	switch {
	case !slices.Contains([]SKU{Basic, Standard, Premium}, c.sku):
		return bad("WithSKU", c.sku, "Basic, Standard or Premium")
	case !slices.Contains([]ManifestTimes{ManifestTimesPush, ManifestTimesFixed, ManifestTimesTags}, c.times):
		return bad("WithManifestTimes", c.times, "ManifestTimesPush, ManifestTimesFixed or ManifestTimesTags")
	case c.softDelete < 0 || c.softDelete > 90:
		return bad("WithSoftDelete", c.softDelete, "1 to 90 days, or 0 for no soft delete")
	case err != nil || u.Host != c.loginServer:
		return bad("WithLoginServer", c.loginServer, "a host name with an optional port")
	case c.sync && c.dir == "":
		return invalid("WithSync(): needs WithDirectory")
	}
	return nil
}

// mistake logs a mistake in the use of the registry where there is no test that could fail. The
// default logger is that of the moment: a program may set it after it has started the registry.
func (c *config) mistake(text string) { cmp.Or(c.mistakes, slog.Default()).Error(text) }

func defaultConfig() config {
	return config{
		anonymousPull: true,
		armAudience:   true,
		adminUser:     "acrtest",
		sku:           Standard,
		times:         ManifestTimesPush,
		blobLinkLife:  20 * time.Minute,
		sessionLife:   7 * 24 * time.Hour,
		listen:        "127.0.0.1:0",
		ledgerSize:    1 << 20,
		logger:        slog.New(slog.DiscardHandler),
	}
}

var regionGrammar = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// allowsAnonymous tells whether callers without a credential may list and pull.
func (c config) allowsAnonymous() bool { return c.anonymousPull && c.sku != Basic }
