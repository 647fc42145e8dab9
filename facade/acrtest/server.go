package acrtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// Server is an Azure Container Registry in this process. All its methods may be called at the same time.
//
// It is made of parts, each a type of its own: the network that its origins listen on, the front door that every request comes
// through, the gatekeeper and the tokens, the fault script and its player, the operations over a store, and the seeder.
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

// New starts a registry and closes it at the end of the test. It fails the test if the registry cannot start.
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

// Start starts a registry: three servers on free ports of the loopback interface, the login server, the storage account that blobs
// come from, and the Entra authority. It takes about a millisecond. The caller closes it.
//
// Errors: an option that makes no sense, an address that cannot be listened on or is not of the loopback interface, a
// directory that cannot be used.
func Start(opts ...Option) (*Server, error) {
	s := &Server{cfg: defaultConfig(), closing: make(chan struct{})}
	for _, o := range opts {
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
		UploadTTL:  s.cfg.sessionLife,
	})
	if err != nil {
		return fmt.Errorf("acrtest: opening the directory %s: %w", s.cfg.dir, err)
	}
	if lost := s.store.Lost(); len(lost) > 0 {
		s.cfg.logger.Warn("blobs whose files are missing or damaged were taken out of all repositories", "blobs", lost)
	}
	return nil
}

// closeStore is called when no request is under way any more.
func (s *Server) closeStore() {
	if err := s.store.Close(); err != nil {
		s.cfg.logger.Warn("close the store", "error", err)
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
	s.network.serve(s.network.login, certificate, s.front.handler(LoginOrigin, s.front.serveLogin))
	s.network.serve(s.network.storage, certificate, s.front.handler(StorageOrigin, s.front.serveStorage))
	s.network.serve(s.network.entra, certificate, s.front.handler(AuthorityOrigin, authority.serve))
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
		cfg: &s.cfg, clock: &s.clock, ledger: &s.ledger, limiter: newLimiter(s.cfg), gatekeeper: keeper,
		player:     &player{script: &s.script, tokens: s.tokens, gatekeeper: keeper, complain: s.complain},
		operations: &operations{cfg: &s.cfg, store: s.store, storage: account, seals: seals, host: at.login, logger: s.cfg.logger},
		oauth:      &oauth{tokens: s.tokens},
		storage:    account,
		complain:   s.complain, closing: s.closing,
	}
}

// Close stops the registry, ends all connections to it and waits until every request has left. It may be called again.
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
	s.cfg.logger.Error(text)
}

// Endpoint is the URL of the registry, such as https://127.0.0.1:40123.
func (s *Server) Endpoint() string { return "https://" + s.Host() }

// Host is the name of the login server with its port: what stands before the first slash of an image name.
func (s *Server) Host() string { return s.network.login.host }

// StorageHost is the host, with its port, that blobs are served from: a name other than that of the login server.
func (s *Server) StorageHost() string { return s.network.storage.host }

// Authority is the URL of the Entra authority, without the tenant.
func (s *Server) Authority() string { return s.network.hosts().authorityURL() }

// Admin gives the user name and password of the admin user, who may do everything.
func (s *Server) Admin() (user, password string) {
	return s.tokens.principals.admin.user, s.tokens.principals.admin.password
}

// ServicePrincipal gives the tenant, client id and secret with which an application signs in at [Server.Authority].
func (s *Server) ServicePrincipal() (tenant, clientID, secret string) {
	return s.tokens.self.Tenant, s.tokens.principals.client.user, s.tokens.principals.client.password
}

// EntraToken gives a fresh Entra access token of the service principal for the audience of the registry, good for a day.
func (s *Server) EntraToken() string {
	token, _ := s.tokens.issueEntra(acrAudience)
	return token
}

// EntraTokenFor gives a fresh Entra access token for another audience, such as https://management.azure.com.
func (s *Server) EntraTokenFor(audience string) string {
	token, _ := s.tokens.issueEntra(audience)
	return token
}

// Ledger gives the list of all requests so far.
func (s *Server) Ledger() *Ledger { return &s.ledger }

// CA gives the certificate of the authority that signs for every emulator of this process, as PEM.
func (s *Server) CA() []byte { return append([]byte{}, s.network.ca.pem...) }
