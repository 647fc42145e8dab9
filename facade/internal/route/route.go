// Package route records how a connection to a host was made: which name was looked up, which address was
// dialed, which certificate was shown. If the connection broke, it says where, and what to do about it.
package route

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"time"
)

// The parts of a connection. They are also the names of the doctor's steps.
const (
	Name       = "name"       // the host's name is resolved
	Connection = "connection" // an address, or the proxy, accepts a connection
	TLS        = "tls"        // the certificate is accepted
)

// Route is what a transport reports about a connection (net/http/httptrace). Transports that are
// not of net/http report nothing.
type Route struct {
	mu        sync.Mutex
	asked     string        // host:port of the connection; of the proxy if there is one
	Resolved  []string      // addresses of the name
	looking   bool          // a name was looked up
	Lookup    time.Duration // how long each phase took
	Connect   time.Duration
	Handshake time.Duration
	at        time.Time // when the current phase began
	dialErr   error
	Shook     bool                 // a handshake began
	State     *tls.ConnectionState // after a handshake
	tlsErr    error
	Got       bool   // a connection was used
	Reused    bool   // it was open before
	Remote    string // its address
}

// Trace returns the callbacks that fill in r.
func (r *Route) Trace() *httptrace.ClientTrace {
	note := func(what func()) {
		r.mu.Lock()
		defer r.mu.Unlock()
		what()
	}
	begin := func() { note(func() { r.at = time.Now() }) }
	return &httptrace.ClientTrace{
		GetConn:  func(hostPort string) { note(func() { r.asked = hostPort }) },
		DNSStart: func(httptrace.DNSStartInfo) { note(func() { r.looking, r.at = true, time.Now() }) },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			note(func() {
				r.Lookup = time.Since(r.at)
				for _, a := range info.Addrs {
					r.Resolved = append(r.Resolved, a.String())
				}
			})
		},
		ConnectStart: func(string, string) { begin() },
		ConnectDone: func(_, _ string, err error) {
			note(func() {
				r.Connect = time.Since(r.at)
				if r.dialErr == nil {
					r.dialErr = err
				}
			})
		},
		TLSHandshakeStart: func() { note(func() { r.Shook, r.at = true, time.Now() }) },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			note(func() {
				r.Handshake, r.tlsErr = time.Since(r.at), err
				if err == nil {
					r.State = &state
				}
			})
		},
		GotConn: func(info httptrace.GotConnInfo) {
			note(func() {
				r.Got, r.Reused = true, info.Reused
				if info.Conn != nil && info.Conn.RemoteAddr() != nil {
					r.Remote = info.Conn.RemoteAddr().String()
				}
			})
		},
	}
}

// Facts returns what has been reported so far; a transport may continue to dial in the background.
func (r *Route) Facts() *Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Route{
		asked: r.asked, Resolved: slices.Clone(r.Resolved), looking: r.looking, Lookup: r.Lookup, Connect: r.Connect, Handshake: r.Handshake,
		dialErr: r.dialErr, Shook: r.Shook, State: r.State, tlsErr: r.tlsErr, Got: r.Got, Reused: r.Reused, Remote: r.Remote,
	}
}

// Proxied reports whether the connection to host:port goes through a proxy, and which.
func (r *Route) Proxied(hostPort string) (string, bool) {
	return r.asked, r.asked != "" && !strings.EqualFold(r.asked, hostPort)
}

// BrokenAt returns the part of the connection in which an error occurred: Name, Connection, TLS, or
// "" for another one.
func (r *Route) BrokenAt(err error) string {
	_, dns := errors.AsType[*net.DNSError](err)
	op, network := errors.AsType[*net.OpError](err)
	switch {
	case dns:
		return Name
	case r.tlsErr != nil || isTLS(err):
		return TLS
	case network && (op.Op == "dial" || op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks")):
		return Connection
	case r.asked != "" && !r.Got && r.Shook:
		return TLS
	case r.asked != "" && !r.Got && r.looking && len(r.Resolved) == 0:
		return Name
	case r.asked != "" && !r.Got:
		return Connection
	}
	return ""
}

// isTLS reports whether an error belongs to a handshake. crypto/tls has no common type for them.
func isTLS(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return verification || unknown || host || invalid || record || alert || errors.Is(err, http.ErrSchemeMismatch)
}

// What to do if a connection cannot be established.
const (
	adviseResolver = "the resolver does not answer: check the machine's DNS settings, and that it can reach its DNS server"
	AdviseNoName   = "check the registry's name and cloud (azurecr.io, azurecr.cn, azurecr.us); with private link, that its DNS zone is linked to this network"
	adviseTrust    = "the certificate is not signed by a CA that this machine trusts; if a proxy inspects TLS, add its CA to the system's, or to RootCAs of the client's Transport"
	adviseDates    = "the certificate is out of date by the local clock: check the clock first"
	adviseOther    = "another server answers under this name: check DNS, proxy and private link"
	advisePlain    = "the server does not speak TLS: check the port, and look for a proxy or portal in between"
	adviseTLS      = "look for a proxy in between that inspects or breaks TLS"
)

// AdviseOn returns what to do about an error of the connection to a host; "" if the part is not one
// of those of BrokenAt.
func (r *Route) AdviseOn(err error, part, host string) string {
	switch part {
	case Name:
		if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
			return AdviseNoName
		}
		return adviseResolver
	case Connection:
		if proxy, ok := r.Proxied(host); ok {
			return "requests go through the proxy " + proxy + ": check that it is running and allows " + host + " (HTTPS_PROXY, NO_PROXY)"
		}
		return "allow https connections from this machine to " + host + " (firewall, network security group, proxy)"
	case TLS:
		return adviseCertificate(err)
	}
	return ""
}

func adviseCertificate(err error) string {
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return adviseDates
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return adviseTrust
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return adviseOther
	}
	if errors.Is(err, http.ErrSchemeMismatch) { // a tls.RecordHeaderError that net/http found HTTP in
		return advisePlain
	}
	return adviseTLS
}

// CertificateOf returns the certificate that an error is about, or nil.
func CertificateOf(err error) *x509.Certificate {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(e.UnverifiedCertificates) > 0 {
		return e.UnverifiedCertificates[0]
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return e.Cert
	}
	return nil
}

// DescribeCertificate returns subject, issuer and validity of a certificate.
func DescribeCertificate(cert *x509.Certificate) string {
	names := append([]string{}, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > 4 {
		names = append(names[:4], "...")
	}
	return fmt.Sprintf("certificate of %s by %s, from %s to %s", strings.Join(names, " "), cert.Issuer.String(), cert.NotBefore.UTC().Format(time.DateOnly), cert.NotAfter.UTC().Format(time.DateOnly))
}
