package acr

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"time"
)

// route is what a transport reports about a connection (net/http/httptrace). Transports that are
// not of net/http report nothing.
type route struct {
	mu        sync.Mutex
	asked     string // host:port of the connection; of the proxy if there is one
	resolved  []string
	looking   bool // a name was looked up
	lookup    time.Duration
	connect   time.Duration
	handshake time.Duration
	at        time.Time // when the current phase began
	dialErr   error
	shook     bool                 // a handshake began
	state     *tls.ConnectionState // after a handshake
	tlsErr    error
	got       bool
	reused    bool
	remote    string
}

// trace returns the callbacks that fill in r.
func (r *route) trace() *httptrace.ClientTrace {
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
				r.lookup = time.Since(r.at)
				for _, a := range info.Addrs {
					r.resolved = append(r.resolved, a.String())
				}
			})
		},
		ConnectStart: func(string, string) { begin() },
		ConnectDone: func(_, _ string, err error) {
			note(func() {
				r.connect = time.Since(r.at)
				if r.dialErr == nil {
					r.dialErr = err
				}
			})
		},
		TLSHandshakeStart: func() { note(func() { r.shook, r.at = true, time.Now() }) },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			note(func() {
				r.handshake, r.tlsErr = time.Since(r.at), err
				if err == nil {
					r.state = &state
				}
			})
		},
		GotConn: func(info httptrace.GotConnInfo) {
			note(func() {
				r.got, r.reused = true, info.Reused
				if info.Conn != nil && info.Conn.RemoteAddr() != nil {
					r.remote = info.Conn.RemoteAddr().String()
				}
			})
		},
	}
}

// facts returns what has been reported so far; a transport may continue to dial in the background.
func (r *route) facts() *route {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &route{
		asked: r.asked, resolved: slices.Clone(r.resolved), looking: r.looking, lookup: r.lookup, connect: r.connect, handshake: r.handshake,
		dialErr: r.dialErr, shook: r.shook, state: r.state, tlsErr: r.tlsErr, got: r.got, reused: r.reused, remote: r.remote,
	}
}

// proxied reports whether the connection to host:port goes through a proxy, and which.
func (r *route) proxied(hostPort string) (string, bool) {
	return r.asked, r.asked != "" && !strings.EqualFold(r.asked, hostPort)
}

// brokenAt returns the step in which an error occurred: DoctorName, DoctorConnection, DoctorTLS, or
// "" for another one.
func (r *route) brokenAt(err error) string {
	_, dns := errors.AsType[*net.DNSError](err)
	op, network := errors.AsType[*net.OpError](err)
	switch {
	case dns:
		return DoctorName
	case r.tlsErr != nil || isTLS(err):
		return DoctorTLS
	case network && (op.Op == "dial" || op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks")):
		return DoctorConnection
	case r.asked != "" && !r.got && r.shook:
		return DoctorTLS
	case r.asked != "" && !r.got && r.looking && len(r.resolved) == 0:
		return DoctorName
	case r.asked != "" && !r.got:
		return DoctorConnection
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
	adviseNoName   = "check the registry's name and cloud (azurecr.io, azurecr.cn, azurecr.us); with private link, that its DNS zone is linked to this network"
	adviseNoHost   = "the name of the registry's storage cannot be resolved: with private link, add its data endpoints (az acr show-endpoints) to the DNS zone"
	adviseTrust    = "the certificate is not signed by a CA that this machine trusts; if a proxy inspects TLS, add its CA to the system's, or to RootCAs of the client's Transport"
	adviseDates    = "the certificate is out of date by the local clock: check the clock first"
	adviseOther    = "another server answers under this name: check DNS, proxy and private link"
	advisePlain    = "the server does not speak TLS: check the port, and look for a proxy or portal in between"
	adviseTLS      = "look for a proxy in between that inspects or breaks TLS"
)

// adviseOn returns what to do about an error of the connection to a host; "" if the step is none of
// these.
func (r *route) adviseOn(err error, step, host string) string {
	switch step {
	case DoctorName:
		if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
			return adviseNoName
		}
		return adviseResolver
	case DoctorConnection:
		if proxy, ok := r.proxied(host); ok {
			return "requests go through the proxy " + proxy + ": check that it is running and allows " + host + " (HTTPS_PROXY, NO_PROXY)"
		}
		return "allow https connections from this machine to " + host + " (firewall, network security group, proxy)"
	case DoctorTLS:
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

// certificateOf returns the certificate that an error is about, or nil.
func certificateOf(err error) *x509.Certificate {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(e.UnverifiedCertificates) > 0 {
		return e.UnverifiedCertificates[0]
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return e.Cert
	}
	return nil
}
