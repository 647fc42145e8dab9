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

// route is what a transport tells of the way to a host (net/http/httptrace). One that is not of net/http tells nothing.
type route struct {
	mu        sync.Mutex
	asked     string // host:port that a connection was wanted to: a proxy's where there is one
	resolved  []string
	looking   bool // a name was looked up
	lookup    time.Duration
	connect   time.Duration
	handshake time.Duration
	at        time.Time // when what is going on began
	dialErr   error
	shook     bool                 // a handshake began
	state     *tls.ConnectionState // after a handshake
	tlsErr    error
	got       bool
	reused    bool
	remote    string
}

// trace listens.
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

// facts is what was heard so far; a transport may go on dialling in the background.
func (r *route) facts() *route {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &route{
		asked: r.asked, resolved: slices.Clone(r.resolved), looking: r.looking, lookup: r.lookup, connect: r.connect, handshake: r.handshake,
		dialErr: r.dialErr, shook: r.shook, state: r.state, tlsErr: r.tlsErr, got: r.got, reused: r.reused, remote: r.remote,
	}
}

// proxied tells whether the way to host:port leads through another, and which.
func (r *route) proxied(hostPort string) (string, bool) {
	return r.asked, r.asked != "" && !strings.EqualFold(r.asked, hostPort)
}

// brokenAt says which step an error ended: DoctorName, DoctorConnection, DoctorTLS, or none of these.
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

// isTLS tells whether an error is of a handshake. crypto/tls has no common type for them.
func isTLS(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return verification || unknown || host || invalid || record || alert || errors.Is(err, http.ErrSchemeMismatch)
}

// What to do about a way that is barred.
const (
	adviseResolver = "the resolver does not answer: check the machine's DNS settings, and that it may reach its DNS server"
	adviseNoName   = "check the registry's name and cloud (azurecr.io, azurecr.cn, azurecr.us); with private link, that its DNS zone is linked to this network"
	adviseNoHost   = "the name of the registry's storage is not known here: with private link, add its data endpoints (az acr show-endpoints) to the DNS zone"
	adviseTrust    = "it is signed by nobody this machine trusts; where a proxy inspects TLS, add its CA to the system's, or to the RootCAs of the client's Transport"
	adviseDates    = "the certificate is out of date by the local clock: check the clock first"
	adviseOther    = "another server answers under this name: check DNS, proxy and private link"
	advisePlain    = "what answers speaks no TLS: check the port, and for a proxy or portal in between"
	adviseTLS      = "look for a proxy in between that inspects or breaks TLS"
)

// adviseOn says what to do about an error on the way to a host; "" where it is of none of the steps there.
func (r *route) adviseOn(err error, step, host string) string {
	switch step {
	case DoctorName:
		if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
			return adviseNoName
		}
		return adviseResolver
	case DoctorConnection:
		if proxy, ok := r.proxied(host); ok {
			return "the way leads through the proxy " + proxy + ": check that it is there and lets " + host + " through (HTTPS_PROXY, NO_PROXY)"
		}
		return "let this machine open https connections to " + host + " (firewall, network security group, proxy)"
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

// certificateOf is the certificate that an error is about, or nil.
func certificateOf(err error) *x509.Certificate {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(e.UnverifiedCertificates) > 0 {
		return e.UnverifiedCertificates[0]
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return e.Cert
	}
	return nil
}
