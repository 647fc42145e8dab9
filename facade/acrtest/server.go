package acrtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// Server is an emulated Azure Container Registry in this process. All its methods may be called
// concurrently.
type Server struct {
	cfg   config
	tb    testing.TB // nil for Start
	clock clock

	store   *store.Store
	network *network
	tokens  *tokens
	script  script
	ledger  Ledger
	front   *front
	seeder  *seeder

	closing  chan struct{} // ends all waiting
	closeOne sync.Once
}

// New starts a registry and closes it when the test ends. If the registry cannot start, New fails
// the test.
func New(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	s.tb = t
	t.Cleanup(s.Close)
	return s
}

// Start starts a registry with three servers on free ports of the loopback interface: the login
// server, the storage account that serves blob content, and the Entra authority. It takes about a
// millisecond. The caller must call [Server.Close].
//
// Errors:
//   - [ErrInvalidOption] if an option has an invalid value or is nil; the message names the option,
//     or the position of a nil one
//   - [ErrRemoteAccess] if the address of [WithListen] is not a loopback address and
//     [WithRemoteAccess] is not given
//   - any other error if that address cannot be listened on
//   - any other error if the directory of [WithDirectory] cannot be used
func Start(opts ...Option) (*Server, error) {
	s := &Server{cfg: defaultConfig(), closing: make(chan struct{})}
	for i, o := range opts {
		if o == nil {
			return nil, invalid("option %d of %d is nil: leave it out", i+1, len(opts))
		}
		o(&s.cfg)
	}
	if err := s.cfg.check(); err != nil {
		return nil, err
	}
	s.ledger.limit, s.ledger.complain, s.script.complain = s.cfg.ledgerSize, s.complain, s.complain
	// First: what is kept in a directory is ours only when the lock on it is.
	if err := s.openStore(); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		s.closeStore()
		return nil, err
	}
	return s, nil
}

func (s *Server) openStore() (err error) {
	s.store, err = store.Open(store.Options{
		Dir:        s.cfg.dir,
		Sync:       s.cfg.sync,
		Now:        s.clock.now,
		SoftDelete: time.Duration(s.cfg.softDelete) * 24 * time.Hour,
		ReplicaLag: s.cfg.replicaLag,
		Replicas:   len(s.cfg.replicas),
		Times:      s.cfg.times.ofStore(),
		KeepEmpty:  s.cfg.keepEmpty,
		UploadTTL:  s.cfg.sessionLife,
	})
	if err != nil {
		return fmt.Errorf("acrtest: open the directory %s: %w", s.cfg.dir, err)
	}
	if lost := s.store.Lost(); len(lost) > 0 {
		s.cfg.logger.Warn("removed blobs with missing or damaged files from all repositories; they can be pushed again", "blobs", lost)
	}
	return nil
}

// closeStore is called when no request is under way any more.
func (s *Server) closeStore() {
	if err := s.store.Close(); err != nil {
		s.cfg.logger.Warn("closing the store failed", "error", err)
	}
}

// begin makes the parts of the registry, and serves.
func (s *Server) begin() error {
	self, err := keptIdentity(s.store, s.cfg.dir)
	if err != nil {
		return err
	}
	who, err := newPrincipals(&s.cfg, self)
	if err != nil {
		return err
	}
	if s.network, err = newNetwork(&s.cfg, s.closing); err != nil {
		return err
	}
	s.tokens = newTokens(&s.cfg, s.clock.now, s.network.hosts(), self, who)
	s.seeder = &seeder{store: s.store, now: s.clock.now, allowMissing: s.cfg.skipBlobCheck}
	s.front = s.newFront()
	authority := &entra{tokens: s.tokens, player: s.front.player}
	certificate, err := s.network.certificate()
	if err != nil {
		s.network.abandon()
		return err
	}
	for i, o := range s.network.replicas() {
		s.network.serve(o, certificate, s.front.handler(LoginOrigin, s.newRegion(i), s.front.serveLogin))
	}
	s.network.serve(s.network.storage, certificate, s.front.handler(StorageOrigin, nil, s.front.serveStorage))
	s.network.serve(s.network.entra, certificate, s.front.handler(AuthorityOrigin, nil, authority.serve))
	return nil
}

// newFront builds the way of a request, from the store to the front door.
func (s *Server) newFront() *front {
	at := s.network.hosts()
	seals := newSealer(s.store.SigningKey())
	account := &storage{
		store: s.store, seals: seals, now: s.clock.now, host: at.storage, linkLife: s.cfg.blobLinkLife, logger: s.cfg.logger,
	}
	keeper := &gatekeeper{tokens: s.tokens}
	return &front{
		cfg: &s.cfg, clock: &s.clock, ledger: &s.ledger, gatekeeper: keeper,
		player:  &player{script: &s.script, tokens: s.tokens, gatekeeper: keeper, complain: s.complain},
		oauth:   &oauth{tokens: s.tokens},
		storage: account, streaming: newStreaming(),
		complain: s.complain, closing: s.closing,
	}
}

// newRegion builds replica i, or the whole registry if it has no replicas.
func (s *Server) newRegion(i int) *region {
	own := &region{limiter: newLimiter(s.cfg), operations: &operations{
		cfg: &s.cfg, store: s.store, storage: s.front.storage, seals: s.front.storage.seals, host: s.Host(), logger: s.cfg.logger,
		streaming: s.front.streaming,
	}}
	if len(s.cfg.replicas) > 0 {
		own.name, own.operations.store = s.cfg.replicas[i], s.store.Replica(i)
	}
	return own
}

// Close stops the registry, closes all connections to it and waits until all requests have ended.
// Calling it again does nothing.
func (s *Server) Close() {
	s.closeOne.Do(func() {
		close(s.closing)
		s.network.close()
		s.closeStore()
	})
}

// complain reports a mistake in the use of the emulator.
func (s *Server) complain(text string) {
	if s.tb != nil {
		s.tb.Helper()
		s.tb.Error(text)
		return
	}
	s.cfg.mistake(text)
}

// Endpoint returns the URL of the login server, such as https://127.0.0.1:40123.
func (s *Server) Endpoint() string { return "https://" + s.Host() }

// Host returns the host and port of the login server: the part of an image name before the first
// slash.
func (s *Server) Host() string { return s.network.login.host }

// RegionalEndpoint returns the URL of the regional endpoint of a replica; see [WithReplicas]. For
// an unknown region it returns an empty URL and fails the test that was passed to [New]; if the
// registry was created with [Start], it is logged; see [WithLogger].
func (s *Server) RegionalEndpoint(region string) string {
	i := slices.Index(s.cfg.replicas, region)
	if i < 0 {
		s.complain(fmt.Sprintf("acrtest: RegionalEndpoint(%q): unknown region; WithReplicas has %q", region, s.cfg.replicas))
		return ""
	}
	return "https://" + s.network.replicas()[i].regional
}

// StorageHost returns the host and port of the storage account that serves blob content. It differs
// from [Server.Host].
func (s *Server) StorageHost() string { return s.network.storage.host }

// Authority returns the URL of the Entra authority, without a tenant.
func (s *Server) Authority() string { return s.network.hosts().authorityURL() }

// Admin returns the user name and password of the admin user, who has all permissions.
func (s *Server) Admin() (user, password string) {
	return s.tokens.principals.admin.user, s.tokens.principals.admin.password
}

// ServicePrincipal returns the tenant, client ID and secret of the service principal, which signs
// in at [Server.Authority].
func (s *Server) ServicePrincipal() (tenant, clientID, secret string) {
	return s.tokens.self.Tenant, s.tokens.principals.client.user, s.tokens.principals.client.password
}

// EntraToken returns a new Entra access token of the service principal for the registry. It is
// valid for 24 hours.
func (s *Server) EntraToken() string {
	token, _ := s.tokens.issueEntra(acrAudience)
	return token
}

// EntraTokenFor returns a new Entra access token of the service principal for another audience,
// such as https://management.azure.com.
func (s *Server) EntraTokenFor(audience string) string {
	token, _ := s.tokens.issueEntra(audience)
	return token
}

// Ledger returns the list of all requests the registry has received.
func (s *Server) Ledger() *Ledger { return &s.ledger }

// CA returns the root certificate in PEM form. It has signed the certificates of all emulated
// registries of this process.
func (s *Server) CA() []byte { return append([]byte{}, s.network.ca.pem...) }
