package acrtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// origin is one of the servers behind an emulator.
type origin struct {
	host     string // host:port, or the name of a login server
	listener net.Listener
	server   *http.Server
	done     chan struct{} // closed when the server has stopped
	inside   *gate         // the requests under way
}

// listen opens the listeners of the three origins.
func (s *Server) listen() error {
	host, _, err := net.SplitHostPort(s.cfg.listen)
	if err != nil {
		return fmt.Errorf("acrtest: the address to listen on: %w", err)
	}
	if !isLoopback(host) && !s.cfg.allowRemote {
		return fmt.Errorf("acrtest: %s is not of the loopback interface: %w", s.cfg.listen, ErrRemoteAccess)
	}
	other := "localhost" // the other origins go by another name, so that host-bound rules of a client show
	if !isLoopback(host) {
		other = host
	}
	for _, o := range []struct {
		origin  **origin
		address string
		name    string
	}{
		{&s.login, s.cfg.listen, ""},
		{&s.storage, net.JoinHostPort(host, "0"), other},
		{&s.entra, net.JoinHostPort(host, "0"), other},
	} {
		if *o.origin, err = s.open(o.address, o.name); err != nil {
			return err
		}
	}
	if s.cfg.loginServer != "" {
		s.login.host = s.cfg.loginServer
	}
	return nil
}

// ErrRemoteAccess is the error of [Start] for an address that other machines reach, without [WithRemoteAccess].
var ErrRemoteAccess = errors.New("remote access to the emulator is not allowed")

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// open makes an origin that listens on the address and goes by the given name, or by the address when that is "".
func (s *Server) open(address, name string) (*origin, error) {
	var l net.Listener
	if s.cfg.memoryNetwork {
		// A port of its own for each, as a socket would have.
		l = newMemListener(fmt.Sprintf("127.0.0.1:%d", firstMemPort+memPorts.Add(1)))
	} else {
		var err error
		if l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address); err != nil {
			return nil, fmt.Errorf("acrtest: listening: %w", err)
		}
	}
	o := &origin{listener: l, done: make(chan struct{}), inside: newGate()}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("acrtest: the address listened on: %w", err)
	}
	if name != "" {
		host = name
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	o.host = net.JoinHostPort(host, port)
	return o, nil
}

// memPorts numbers the listeners in memory, from above those of privileged services.
var memPorts atomic.Int64

const firstMemPort = 4430

func (s *Server) serve(o *origin, certificate tls.Certificate, handler http.Handler) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.cfg.http2)
	o.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// What had been read ahead of a connection that was then closed has not come.
			closed := connOf(r.Context())
			if closed != nil && closed.closeIdle.Load() || !o.inside.enter() {
				panic(http.ErrAbortHandler)
			}
			defer o.inside.leave()
			handler.ServeHTTP(w, r)
		}),
		Protocols:         protocols,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ConnContext:       withConn,
		ConnState:         connState,
		ErrorLog:          log.New(io.Discard, "", 0), // handshakes that fail are the client's to report
		ReadHeaderTimeout: time.Minute,
		MaxHeaderBytes:    1 << 20,
	}
	listener := connListener{Listener: o.listener, next: &s.connIDs, rate: s.cfg.bandwidth, stop: s.closing}
	go func() {
		defer close(o.done)
		_ = o.server.ServeTLS(listener, "", "") // returns when the server is closed
	}()
}

func (s *Server) closeListeners() {
	for _, o := range []*origin{s.login, s.storage, s.entra} {
		if o != nil {
			_ = o.listener.Close()
		}
	}
}

func (s *Server) hostNames() []string {
	var names []string
	for _, o := range []*origin{s.login, s.storage, s.entra} {
		host, _, err := net.SplitHostPort(o.host)
		if err != nil {
			host = o.host
		}
		names = append(names, host)
	}
	return names
}
