package route_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptrace"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBrokenAt: the part in which a connection broke follows from the error, and from what the transport has reported if
// the error does not tell.
func TestBrokenAt(t *testing.T) {
	t.Parallel()
	op := func(name string) error { return &net.OpError{Op: name, Net: "tcp", Err: errors.New("broken")} }
	asked := func(c *httptrace.ClientTrace) { c.GetConn("registry.azurecr.io:443") }
	looked := func(c *httptrace.ClientTrace) { asked(c); c.DNSStart(httptrace.DNSStartInfo{}) }
	found := func(c *httptrace.ClientTrace) {
		looked(c)
		c.DNSDone(httptrace.DNSDoneInfo{Addrs: []net.IPAddr{{IP: net.IPv4(10, 0, 0, 1)}}})
	}
	shook := func(c *httptrace.ClientTrace) { found(c); c.TLSHandshakeStart() }
	failed := func(c *httptrace.ClientTrace) {
		shook(c)
		c.TLSHandshakeDone(tls.ConnectionState{}, errors.New("broken"))
		c.GotConn(httptrace.GotConnInfo{})
	}
	got := func(c *httptrace.ClientTrace) { shook(c); c.GotConn(httptrace.GotConnInfo{}) }
	for name, test := range map[string]struct {
		reported func(*httptrace.ClientTrace)
		err      error
		want     string
	}{
		"no such name":                     {looked, dialing(&net.DNSError{Err: "no such host", IsNotFound: true}), route.Name},
		"a handshake that failed":          {failed, errors.New("broken"), route.TLS},
		"an unknown authority":             {nil, x509.UnknownAuthorityError{}, route.TLS},
		"a certificate of another host":    {nil, x509.HostnameError{Certificate: &x509.Certificate{}}, route.TLS},
		"an expired certificate":           {nil, x509.CertificateInvalidError{Reason: x509.Expired}, route.TLS},
		"a certificate that does not hold": {nil, &tls.CertificateVerificationError{Err: errors.New("x")}, route.TLS},
		"no TLS":                           {nil, tls.RecordHeaderError{Msg: "x"}, route.TLS},
		"an alert":                         {nil, tls.AlertError(40), route.TLS},
		"nobody accepts":                   {nil, op("dial"), route.Connection},
		"the proxy does not accept":        {nil, op("proxyconnect"), route.Connection},
		"a SOCKS proxy does not accept":    {nil, op("socks connect"), route.Connection},
		"silence while a name is resolved": {looked, context.DeadlineExceeded, route.Name},
		"silence while it is dialed":       {found, context.DeadlineExceeded, route.Connection},
		"silence of a transport":           {asked, context.DeadlineExceeded, route.Connection},
		"silence in the handshake":         {shook, context.DeadlineExceeded, route.TLS},
		"silence behind the handshake":     {got, context.DeadlineExceeded, ""},
		"a read that failed":               {got, op("read"), ""},
		"a transport that reports nothing": {nil, context.DeadlineExceeded, ""},
	} {
		r := &route.Route{}
		if test.reported != nil {
			test.reported(r.Trace())
		}
		if part := r.Facts().BrokenAt(test.err); part != test.want {
			t.Errorf("%s: broken at %q, want %q", name, part, test.want)
		}
	}
}

// dialing is an error as the dialer wraps it.
func dialing(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
