package acrtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// Server is an Azure Container Registry in this process. All its methods may be called at the same time.
type Server struct {
	backend // what the handlers keep: see handlers.go

	cfg    config
	offset atomic.Int64
	tb     testing.TB // nil for Start

	admin, client principal
	principals    map[string]*principal // by subject
	users         map[string]*principal // by user name
	tenant, rid   string

	entraTokens, refreshTokens, accessTokens *jwtSigner
	anonymousTokens                          tokenCache
	revoked                                  idSet
	strangerOnce                             sync.Once

	limiter *limiter
	script  script
	ledger  Ledger

	ca      *authority
	login   *origin
	storage *origin
	entra   *origin

	mu       sync.Mutex
	extra    []*origin // canaries
	clients  []*http.Transport
	connIDs  atomic.Int64
	closing  chan struct{}
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
	s := &Server{
		cfg: defaultConfig(), closing: make(chan struct{}),
		entraTokens: newJWTSigner(), refreshTokens: newJWTSigner(), accessTokens: newJWTSigner(),
	}
	for _, o := range opts {
		o(&s.cfg)
	}
	if err := s.cfg.check(); err != nil {
		return nil, err
	}
	s.ledger.limit, s.ledger.complain, s.script.complain = s.cfg.ledgerSize, s.complain, s.complain
	s.limiter = newLimiter(s.cfg)
	// First: what is kept in a directory is ours only when the lock on it is.
	if err := s.openBackend(); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		s.closeListeners()
		s.closeBackend()
		return nil, err
	}
	return s, nil
}

// begin makes the registry's principals and origins, and serves.
func (s *Server) begin() error {
	self, err := s.identity()
	if err != nil {
		return err
	}
	s.tenant, s.rid = self.Tenant, self.RegistryID
	if err := s.addPrincipals(self); err != nil {
		return err
	}
	if s.ca, err = processAuthority(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	certificate, err := s.ca.issue(s.hostNames()...)
	if err != nil {
		return err
	}
	s.serve(s.login, certificate, s.front(LoginOrigin, s.serveLogin))
	s.serve(s.storage, certificate, s.front(StorageOrigin, s.serveStorage))
	s.serve(s.entra, certificate, s.front(AuthorityOrigin, s.serveAuthority))
	return nil
}

// Close stops the registry, ends all connections to it and waits until every request has left. It may be called again.
func (s *Server) Close() {
	s.closeOne.Do(func() {
		close(s.closing)
		s.mu.Lock()
		origins := append([]*origin{s.login, s.storage, s.entra}, s.extra...)
		clients := s.clients
		s.mu.Unlock()
		for _, o := range origins {
			_ = o.server.Close() // an error of closing a listener helps nobody here
		}
		for _, c := range clients {
			c.CloseIdleConnections()
		}
		for _, o := range origins {
			<-o.done
			o.inside.close()
		}
		s.closeBackend()
	})
}

func (s *Server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
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
func (s *Server) Host() string { return s.login.host }

// StorageHost is the host, with its port, that blobs are served from: a name other than that of the login server.
func (s *Server) StorageHost() string { return s.storage.host }

// Authority is the URL of the Entra authority, without the tenant.
func (s *Server) Authority() string { return "https://" + s.entra.host }

// Admin gives the user name and password of the admin user, who may do everything.
func (s *Server) Admin() (user, password string) { return s.admin.user, s.admin.password }

// ServicePrincipal gives the tenant, client id and secret with which an application signs in at [Server.Authority].
func (s *Server) ServicePrincipal() (tenant, clientID, secret string) {
	return s.tenant, s.client.user, s.client.password
}

// EntraToken gives a fresh Entra access token of the service principal for the audience of the registry, good for a day.
func (s *Server) EntraToken() string {
	token, _ := s.issueEntra(acrAudience)
	return token
}

// EntraTokenFor gives a fresh Entra access token for another audience, such as https://management.azure.com.
func (s *Server) EntraTokenFor(audience string) string {
	token, _ := s.issueEntra(audience)
	return token
}

// Ledger gives the list of all requests so far.
func (s *Server) Ledger() *Ledger { return &s.ledger }

// CA gives the certificate of the authority that signs for every emulator of this process, as PEM.
func (s *Server) CA() []byte { return append([]byte{}, s.ca.pem...) }

// HTTPClient gives a client of its own on each call, which trusts the emulator's certificate and finds it by name. Its idle
// connections are closed with the emulator. It follows redirects as net/http does, and keeps no cookies.
func (s *Server) HTTPClient() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.cfg.http2)
	transport := &http.Transport{
		DialContext:         s.DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: s.ca.pool, MinVersion: tls.VersionTLS12},
		Protocols:           protocols,
		MaxIdleConnsPerHost: 64,
	}
	s.mu.Lock()
	s.clients = append(s.clients, transport)
	s.mu.Unlock()
	return &http.Client{Transport: transport}
}

// DialContext opens a connection to one of the emulator's origins by the host it goes by; for any other address it dials as usual,
// or refuses if the emulator's network is in memory. It is for transports made by hand.
func (s *Server) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	origins := append([]*origin{s.login, s.storage, s.entra}, s.extra...)
	s.mu.Unlock()
	for _, o := range origins {
		if o.host != address && o.host+":443" != address && o.listener.Addr().String() != address {
			continue
		}
		if l, ok := o.listener.(*memListener); ok {
			return l.dial(ctx)
		}
		address = o.listener.Addr().String()
		break
	}
	if s.cfg.memoryNetwork {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s is not of the emulator's network", address)}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
