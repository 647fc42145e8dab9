package acrtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"syscall"
)

// HTTPClient returns a new client that trusts the certificate of the registry and resolves its host
// names. It follows redirects as net/http does and keeps no cookies. [Server.Close] closes its idle
// connections.
func (s *Server) HTTPClient() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.network.cfg.http2)
	transport := &http.Transport{
		DialContext:         s.DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: s.network.ca.pool, MinVersion: tls.VersionTLS12},
		Protocols:           protocols,
		MaxIdleConnsPerHost: 64,
	}
	s.network.mu.Lock()
	s.network.clients = append(s.network.clients, transport)
	s.network.mu.Unlock()
	return &http.Client{Transport: transport}
}

// DialContext connects to the server of this registry that has the given address, without resolving
// its host name. With [WithReplicas], the name of the login server leads to each replica in turn.
// Addresses that do not belong to the registry are dialed as usual; a registry created with
// [WithMemoryNetwork] refuses to dial them. After [Server.Close] the connection is refused, even if
// another program listens on the port by then. Use DialContext in a transport of your own.
func (s *Server) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if o := s.network.find(address); o != nil {
		if l, ok := o.listener.(*memListener); ok {
			return l.dial(ctx)
		}
		select {
		case <-s.closing:
			return nil, &net.OpError{Op: "dial", Net: network, Addr: o.listener.Addr(), Err: syscall.ECONNREFUSED}
		default:
			address = o.listener.Addr().String()
		}
	}
	if s.network.cfg.memoryNetwork {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("no server of this emulator listens on %s", address)}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
