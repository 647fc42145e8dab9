package acrtest

import (
	"log/slog"
	"time"
)

// config is what the options make of a registry. Fields are named after the options; the zero value of each, save those that
// defaultConfig sets, is the registry as Azure creates it.
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
	budgets       map[Budget]int
	softDelete    int // retention in days, 0 is off
	immutableTags bool
	loginServer   string // name of the login server, "" is 127.0.0.1 and its port

	// What it does on the wire.
	inlineBlobs       bool  // blobs come from the login origin itself, no redirect
	trailingEmptyPage bool  // a full last page carries a Link to an empty one
	maxBody           int64 // bytes in one request body, 0 is without limit; more is a 413
	replicaLag        time.Duration
	blobLinkLife      time.Duration // life of the signed link to the storage origin
	sessionLife       time.Duration // life of an upload session
	skipBlobCheck     bool          // a manifest may name blobs that are not there
	latency           time.Duration // before each request is looked at
	bandwidth         int64         // bytes per second and connection, each way; 0 is without limit
	http2             bool

	// Where it lives.
	dir           string // "" is memory
	memoryNetwork bool
	listen        string
	allowRemote   bool
	ledgerSize    int
	logger        *slog.Logger
}

// repositoryToken is a token with a scope map: a name, a password, and what they may do.
type repositoryToken struct {
	name, password string
	actions        []string
}

func defaultConfig() config {
	return config{
		anonymousPull: true,
		armAudience:   true,
		adminUser:     "acrtest",
		sku:           Standard,
		blobLinkLife:  20 * time.Minute,
		sessionLife:   7 * 24 * time.Hour,
		listen:        "127.0.0.1:0",
		ledgerSize:    1 << 20,
		logger:        slog.New(slog.DiscardHandler),
	}
}
