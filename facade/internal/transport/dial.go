package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

const (
	dialTimeout = 10 * time.Second
	tlsTimeout  = 10 * time.Second
	// maxConns is how many connections to the registry serve any number of calls: a thousand calls at once need no thousand handshakes. Measured with a thousand small calls at
	// once and 20 ms of latency: 64 take 0.50 s; 100 take 0.39 s, for 12 ms more of CPU time and 3.5 MB more; 128 and 256 are no more than 4 % faster, for 8 and 20 MB more.
	maxConns = 100
	// writeBuffer takes a request's header and a small blob whole; larger bodies pass it by after its first filling. Measured with chunks of 16 MiB: 4 to 256 KiB are the same
	// within noise; with blobs of 64 KiB the smaller ones are some per cent slower.
	writeBuffer = 64 << 10
	// readBuffer is one TLS record, which is what a read of the connection gives at most. Measured with 64 MiB: 4 KiB is some per cent slower, 64 and 256 KiB are no faster, and
	// they stand between the network and readers with larger buffers of their own. Neither is a buffer below TLS, nor one write for several records (10 % at best, on
	// loopback), worth a dialer that takes TLS out of net/http's hands.
	readBuffer = 16 << 10
)

// newTransport speaks HTTP/1.1 alone: over HTTP/2 all calls to a host share one TCP connection, which caps what parallel chunks and ranges can carry, and
// its flow control costs uploads more than a handshake does. It is built afresh, for a clone of http.DefaultTransport would still offer HTTP/2.
func newTransport() *http.Transport {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(maxConns),
			// Records of full size from the first byte on: else a blob of 64 KiB goes out in 46 writes.
			DynamicRecordSizingDisabled: true,
		},
		TLSHandshakeTimeout:    tlsTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    maxConns,
		MaxResponseHeaderBytes: maxHeader,
		WriteBufferSize:        writeBuffer,
		ReadBufferSize:         readBuffer,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	if hasSockets {
		t.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	return t
}

func newRegistryTransport() *http.Transport {
	t := newTransport()
	t.MaxConnsPerHost = maxConns
	return t
}

// newStorageTransport has no cap on connections: a caller may hold any number of blobs open at a time, and each is one.
func newStorageTransport() *http.Transport {
	t := newTransport()
	t.DialContext = nil // guardDial's
	t.DisableCompression = true
	return t
}

// storageClone is the caller's transport for storage: same proxy, trust and dialing, but HTTP/1.1, and neither compression nor fewer idle connections than ranges.
func storageClone(tr *http.Transport) *http.Transport {
	c := tr.Clone()
	c.Protocols = new(http.Protocols)
	c.Protocols.SetHTTP1(true)
	c.ForceAttemptHTTP2 = false
	c.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if c.TLSClientConfig != nil {
		c.TLSClientConfig.NextProtos = nil
	}
	c.DisableCompression = true
	c.MaxIdleConnsPerHost = max(c.MaxIdleConnsPerHost, maxConns)
	c.MaxConnsPerHost = 0
	c.MaxResponseHeaderBytes = maxHeader
	c.ReadBufferSize = readBuffer
	return c
}

// guardDial makes tr refuse forbidden addresses after name resolution, so that a name that resolves to one (or to one the second time it is asked) is caught too.
// Under fetch only the name or literal address in a link is checked, by wire: what a name resolves to nobody sees there, and a dial function would turn fetch off.
func guardDial(tr *http.Transport, login wire.Origin, loopback bool) {
	if usesFetch(tr) {
		return
	}
	g := &dialGuard{home: net.JoinHostPort(login.Host, login.Port), loopback: loopback}
	if tr.Proxy != nil {
		tr.Proxy = g.noteProxies(tr.Proxy)
	}
	switch {
	case tr.DialContext != nil:
		tr.DialContext = g.checked(tr.DialContext)
	case tr.Dial != nil: //nolint:staticcheck // a caller may still use it
		old := tr.Dial //nolint:staticcheck // as above
		tr.DialContext = g.checked(func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) })
	default:
		tr.DialContext = g.dial
	}
	if old := tr.DialTLS; old != nil && tr.DialTLSContext == nil { //nolint:staticcheck // as above
		tr.DialTLSContext = func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) }
	}
	if tr.DialTLSContext != nil {
		tr.DialTLSContext = g.checked(tr.DialTLSContext)
	}
}

// dialGuard decides which addresses the connections of a transport may lead to. Proxies are the caller's choice and may be anywhere, and so may the registry itself: blobs that
// it sends without a redirect come over these connections too.
type dialGuard struct {
	home     string   // host:port of the registry
	loopback bool     // loopback addresses are allowed
	proxies  sync.Map // host:port of each proxy that was used
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// noteProxies returns proxy, and notes what it returns.
func (g *dialGuard) noteProxies(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		if u != nil {
			g.proxies.Store(proxyAddr(u), true)
		}
		return u, err
	}
}

// exempt reports whether host:port may have any address.
func (g *dialGuard) exempt(addr string) bool {
	_, proxy := g.proxies.Load(addr)
	return proxy || strings.EqualFold(addr, g.home)
}

// checked returns the caller's dial, which closes a connection to a forbidden address.
func (g *dialGuard) checked(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil || g.exempt(addr) {
			return conn, err
		}
		if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			if err := checkAddr(tcp.String(), g.loopback); err != nil {
				_ = conn.Close()
				return nil, err
			}
		}
		return conn, nil
	}
}

// dial is the dial function of a transport that has none. It does not even connect to a forbidden address.
func (g *dialGuard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if !g.exempt(addr) {
		d.Control = func(_, address string, _ syscall.RawConn) error { return checkAddr(address, g.loopback) }
	}
	return d.DialContext(ctx, network, addr)
}

// checkAddr refuses a forbidden "ip:port".
func checkAddr(address string, loopback bool) error {
	if ap, err := netip.ParseAddrPort(address); err == nil && wire.IsForbidden(ap.Addr(), loopback) {
		return wire.Untrusted(wire.ForbiddenAddress, ap.Addr().String())
	}
	return nil // another network has no such addresses
}

// proxyAddr is the address net/http dials for a proxy.
func proxyAddr(u *url.URL) string {
	port := u.Port()
	if port == "" {
		switch u.Scheme {
		case "https":
			port = "443"
		case "socks5", "socks5h":
			port = "1080"
		default:
			port = "80"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}
