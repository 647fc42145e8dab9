package acrtest

import (
	"net/http"
	"sync/atomic"
	"testing"
)

// Server is an Azure Container Registry in this process. All its methods may be called at the same time.
type Server struct {
	backend // what the handlers keep: see handlers.go

	cfg    config
	offset atomic.Int64
}

// New starts a registry and closes it at the end of the test. It fails the test if the registry cannot start.
func New(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a registry. The caller closes it.
func Start(opts ...Option) (*Server, error) {
	s := &Server{cfg: defaultConfig()}
	for _, o := range opts {
		o(&s.cfg)
	}
	if err := s.openBackend(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close stops the registry and ends all connections to it.
func (s *Server) Close() {
	s.closeBackend()
}

// Endpoint is the URL of the registry.
func (s *Server) Endpoint() string { return "https://" + s.Host() }

// Host is the name of the login server, with its port: what stands before the slash in an image name.
func (s *Server) Host() string { return s.cfg.listen }

// StorageHost is the host, with its port, that blobs are served from.
func (s *Server) StorageHost() string { return "" }

var _ http.Handler
