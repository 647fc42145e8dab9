package acrtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
)

// HTTPClient gives a client of its own on each call, which trusts the emulator's certificate and finds it by name. Its idle
// connections are closed with the emulator. It follows redirects as net/http does, and keeps no cookies.
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

// DialContext opens a connection to one of the emulator's origins by the host it goes by; for any other address it dials as usual,
// or refuses if the emulator's network is in memory. It is for transports made by hand.
func (s *Server) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	for _, o := range s.network.origins() {
		if o.host != address && o.host+":443" != address && o.listener.Addr().String() != address {
			continue
		}
		if l, ok := o.listener.(*memListener); ok {
			return l.dial(ctx)
		}
		address = o.listener.Addr().String()
		break
	}
	if s.network.cfg.memoryNetwork {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s is not of the emulator's network", address)}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
