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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// origin is one of the servers behind an emulator.
type origin struct {
	host     string // host:port, or the name of a login server
	regional string // the same of a replica's regional endpoint; "" without replicas
	listener net.Listener
	server   *http.Server
	done     chan struct{} // closed when the server has stopped
	inside   *gate         // the requests under way
}

// hosts are the names that the origins go by, each with its port where it has one.
type hosts struct {
	login, storage, authority string
	regional                  []string // of the replicas
}

// asked returns the name of the login server that a request was sent to: a regional endpoint names
// itself in its challenges, and any other name stands for the login server.
func (h hosts) asked(host string) string {
	if slices.Contains(h.regional, host) {
		return host
	}
	return h.login
}

// isLogin reports whether a name is that of the login server or of a regional endpoint.
func (h hosts) isLogin(name string) bool {
	return strings.EqualFold(name, h.login) || slices.ContainsFunc(h.regional, func(own string) bool { return strings.EqualFold(name, own) })
}

func (h hosts) authorityURL() string { return "https://" + h.authority }

// network is the origins of an emulator and how clients find them.
type network struct {
	cfg     *config
	ca      *authority
	login   *origin // with replicas, that of the first
	storage *origin
	entra   *origin
	others  []*origin    // the other replicas
	turns   atomic.Int64 // how often the login server's name was resolved
	closing <-chan struct{}
	connIDs atomic.Int64

	mu      sync.Mutex
	extra   []*origin // canaries
	clients []*http.Transport
}

// newNetwork opens the listeners of the three origins. They serve once [network.serve] is called
// for them.
func newNetwork(cfg *config, closing <-chan struct{}) (*network, error) {
	n := &network{cfg: cfg, closing: closing}
	var err error
	if n.ca, err = processAuthority(); err != nil {
		return nil, err
	}
	if err := n.listen(); err != nil {
		n.abandon()
		return nil, err
	}
	return n, nil
}

func (n *network) hosts() hosts {
	h := hosts{login: n.login.host, storage: n.storage.host, authority: n.entra.host}
	for _, o := range n.replicas() {
		if o.regional != "" {
			h.regional = append(h.regional, o.regional)
		}
	}
	return h
}

// replicas are the origins of the login server: one, or one for each region.
func (n *network) replicas() []*origin { return append([]*origin{n.login}, n.others...) }

// origins are those that are open, canaries included.
func (n *network) origins() []*origin {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Concat(n.replicas(), []*origin{n.storage, n.entra}, n.extra)
}

// find returns the origin that an address stands for, or nil. The name of the login server stands
// for each replica in turn, as it does where a traffic manager resolves it.
func (n *network) find(address string) *origin {
	if replicas := n.replicas(); n.login.named(address) {
		return replicas[int((n.turns.Add(1)-1)%int64(len(replicas)))]
	}
	for _, o := range n.origins() {
		if o != n.login && o.named(address) || o.regional != "" && (o.regional == address || o.regional+":443" == address) ||
			o.listener.Addr().String() == address {
			return o
		}
	}
	return nil
}

func (o *origin) named(address string) bool { return o.host == address || o.host+":443" == address }

// listen opens the listeners of the three origins.
func (n *network) listen() error {
	host, _, err := net.SplitHostPort(n.cfg.listen)
	if err != nil {
		return invalid("WithListen(%s): %v", n.cfg.listen, err)
	}
	if !isLoopback(host) && !n.cfg.allowRemote {
		return fmt.Errorf("acrtest: %s is not a loopback address: %w", n.cfg.listen, ErrRemoteAccess)
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
		{&n.login, n.cfg.listen, ""},
		{&n.storage, net.JoinHostPort(host, "0"), other},
		{&n.entra, net.JoinHostPort(host, "0"), other},
	} {
		if *o.origin, err = n.open(o.address, o.name); err != nil {
			return err
		}
	}
	if n.cfg.loginServer != "" {
		n.login.host = n.cfg.loginServer
	}
	return n.listenReplicas(host)
}

// listenReplicas opens the other replicas and names all of them.
func (n *network) listenReplicas(host string) error {
	for range len(n.cfg.replicas) - 1 {
		o, err := n.open(net.JoinHostPort(host, "0"), "")
		if err != nil {
			return err
		}
		n.others = append(n.others, o)
	}
	for i, region := range n.cfg.replicas {
		o := n.replicas()[i]
		address := o.listener.Addr().String()
		o.regional = address
		if name, domain, ok := strings.Cut(n.cfg.loginServer, "."); ok {
			o.regional = name + "." + region + ".geo." + domain
		}
		if l, ok := o.listener.(*memListener); ok {
			l.tcp = true
		}
		if i == 0 && n.cfg.loginServer == "" {
			// The address is that of one replica, so the registry needs a name.
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return fmt.Errorf("acrtest: listen: %w", err)
			}
			o.host = net.JoinHostPort("localhost", port)
		}
		if i > 0 {
			o.host = o.regional
		}
	}
	return nil
}

// ErrRemoteAccess is returned by [Start] if [WithListen] names an address that other machines can
// reach and [WithRemoteAccess] is not given.
var ErrRemoteAccess = errors.New("remote access to the emulator needs WithRemoteAccess")

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// open makes an origin that listens on the address and goes by the given name, or by the address
// when that is "".
func (n *network) open(address, name string) (*origin, error) {
	var l net.Listener
	if n.cfg.memoryNetwork {
		// A port of its own for each, as a socket would have.
		l = newMemListener(fmt.Sprintf("127.0.0.1:%d", firstMemPort+memPorts.Add(1)))
	} else {
		var err error
		if l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address); err != nil {
			if errors.As(err, new(*net.AddrError)) || errors.As(err, new(*net.DNSError)) {
				return nil, invalid("WithListen(%s): %v", address, err)
			}
			return nil, fmt.Errorf("acrtest: listen: %w", err)
		}
	}
	o := &origin{listener: l, done: make(chan struct{}), inside: newGate()}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("acrtest: listen: %w", err)
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

func (n *network) serve(o *origin, certificate tls.Certificate, handler http.Handler) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(n.cfg.http2)
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
	listener := connListener{Listener: o.listener, next: &n.connIDs, rate: n.cfg.bandwidth, stop: n.closing}
	go func() {
		defer close(o.done)
		_ = o.server.ServeTLS(listener, "", "") // returns when the server is closed
	}()
}

// abandon closes the listeners of a network that never served.
func (n *network) abandon() {
	for _, o := range append([]*origin{n.login, n.storage, n.entra}, n.others...) {
		if o != nil {
			_ = o.listener.Close()
		}
	}
}

// certificate is one for the names of all origins.
func (n *network) certificate() (tls.Certificate, error) {
	var names []string
	at := n.hosts()
	for _, name := range append([]string{at.login, at.storage, at.authority}, at.regional...) {
		host, _, err := net.SplitHostPort(name)
		if err != nil {
			host = name
		}
		names = append(names, host)
	}
	return n.ca.issue(names...)
}

// add keeps an origin that was opened later.
func (n *network) add(o *origin) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.extra = append(n.extra, o)
}

// close ends all origins and waits until every request has left.
func (n *network) close() {
	origins := n.origins()
	for _, o := range origins {
		_ = o.server.Close() // an error of closing a listener helps nobody here
	}
	n.mu.Lock()
	clients := n.clients
	n.mu.Unlock()
	for _, c := range clients {
		c.CloseIdleConnections()
	}
	for _, o := range origins {
		<-o.done
		o.inside.close()
	}
}
