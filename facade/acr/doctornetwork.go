package acr

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/route"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

const (
	maxClockSkew    = 5 * time.Minute     // Entra's tolerance
	certificateSoon = 14 * 24 * time.Hour // a certificate that expires sooner is worth a warning
)

// contact is what one request without a credential shows: the results of five steps.
type contact struct {
	hostPort string
	way      *route.Route
	answer   *http.Response // its body is closed; nil if there was none
	at       time.Time      // when it arrived
	took     time.Duration  // after the connection was established
	err      error
	broken   string // the step that err ended
}

// network runs the steps from the registry's name to its challenge.
func (d *doctor) network(ctx context.Context) {
	var c *contact
	d.step(ctx, DoctorName, nil, func(ctx context.Context, s *DoctorStep) {
		c = d.knock(ctx)
		c.name(s)
	})
	d.step(ctx, DoctorConnection, []string{DoctorName}, func(_ context.Context, s *DoctorStep) { c.connection(s) })
	d.step(ctx, DoctorTLS, []string{DoctorConnection}, func(_ context.Context, s *DoctorStep) { c.tls(s) })
	d.step(ctx, DoctorClock, []string{DoctorTLS}, func(_ context.Context, s *DoctorStep) { c.clock(s) })
	d.step(ctx, DoctorChallenge, []string{DoctorTLS}, func(_ context.Context, s *DoctorStep) { c.challenge(s, d.client.login.Host) })
}

// knock sends the request and traces the transport.
func (d *doctor) knock(ctx context.Context) *contact {
	origin := wire.OriginOf(d.client.login)
	c := &contact{hostPort: net.JoinHostPort(origin.Host, origin.Port)}
	d.client.CloseIdleConnections()
	way, began := &route.Route{}, time.Now()
	c.err = d.ask(httptrace.WithClientTrace(ctx, way.Trace()), opChallenge, nil, nil, func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		answer, err := d.client.gen.CheckSupport(ctx, edit)
		c.answer, c.at = answer, time.Now()
		return answer, err
	}, func(*http.Response) error { return nil })
	c.way = way.Facts()
	c.took = c.at.Sub(began) - c.way.Lookup - c.way.Connect - c.way.Handshake
	if c.answer == nil {
		c.broken = c.way.BrokenAt(c.err)
	}
	return c
}

// brokeOff reports an error of the connection if it belongs to the step.
func (c *contact) brokeOff(s *DoctorStep) bool {
	if c.broken != s.Name {
		return false
	}
	s.fail(opChallenge, c.err)
	s.Advice = c.way.AdviseOn(c.err, s.Name, c.hostPort)
	return true
}

func (c *contact) name(s *DoctorStep) {
	s.Duration, s.timed = c.way.Lookup, true
	host, _, _ := net.SplitHostPort(c.hostPort)
	_, literal := netip.ParseAddr(host)
	proxy, proxied := c.way.Proxied(c.hostPort)
	switch {
	case c.brokeOff(s):
	case literal == nil:
		s.Seen = host + " is an address"
	case proxied:
		s.Seen = host + " is resolved by the proxy " + proxy
	case len(c.way.Resolved) > 0:
		s.Seen = host + " is " + strings.Join(c.way.Resolved, ", ")
		if addr, err := netip.ParseAddr(c.way.Resolved[0]); err == nil && addr.IsPrivate() {
			s.Seen += " (private: private link)"
		}
	case c.way.Reused:
		s.Seen = "not looked up: a connection was open already"
	case c.way.Got:
		s.Seen = host + " is resolved by the client's transport"
	default:
		s.skip("not reported by the client's transport")
	}
}

func (c *contact) connection(s *DoctorStep) {
	s.Duration, s.timed = c.way.Connect, true
	proxy, proxied := c.way.Proxied(c.hostPort)
	switch {
	case c.brokeOff(s):
	case proxied:
		s.Seen = "through the proxy " + proxy
	case c.way.Reused:
		s.Seen = "one that was open already, to " + c.way.Remote
	case c.way.Got:
		s.Seen = "to " + c.way.Remote
	case c.way.Shook:
		s.Seen = "open"
	default:
		s.skip("not reported by the client's transport")
	}
}

func (c *contact) tls(s *DoctorStep) {
	s.Duration, s.timed = c.way.Handshake, true
	if c.brokeOff(s) {
		if cert := route.CertificateOf(c.err); cert != nil {
			s.Seen += "; " + route.DescribeCertificate(cert)
		}
		return
	}
	state := c.way.State
	if c.answer != nil && c.answer.TLS != nil {
		state = c.answer.TLS
	}
	if state == nil {
		s.skip("not reported by the client's transport")
		return
	}
	s.Seen = tls.VersionName(state.Version)
	if len(state.PeerCertificates) == 0 {
		return
	}
	cert := state.PeerCertificates[0]
	s.Seen += ", " + route.DescribeCertificate(cert)
	if left := cert.NotAfter.Sub(c.at); left < certificateSoon {
		s.warn("the certificate expires in " + left.Round(time.Hour).String() + ": a registry's certificate is renewed earlier; look for a proxy in between, and check the clock")
	}
}

func (c *contact) clock(s *DoctorStep) {
	s.timed = true
	if c.answer == nil {
		s.skip("there was no response")
		return
	}
	date, err := http.ParseTime(c.answer.Header.Get("Date"))
	if err != nil {
		s.skip("the response has no Date")
		return
	}
	skew := c.at.Sub(date).Round(time.Second)
	if skew.Abs() > time.Minute { // Date has whole seconds, and the response took some time
		skew = skew.Round(10 * time.Second)
	}
	switch {
	case skew.Abs() <= 2*time.Second:
		s.Seen = "agrees with the registry's"
	case skew > 0:
		s.Seen = skew.String() + " ahead of the registry's"
	default:
		s.Seen = skew.Abs().String() + " behind the registry's"
	}
	if skew.Abs() > maxClockSkew {
		s.Err = ErrClockSkew
		s.warn("set the local clock: Entra and other clients refuse tokens at more than " + maxClockSkew.String())
	}
}

// challenge compares the challenge with that of a registry. It is only reported; the client does
// not obey it.
func (c *contact) challenge(s *DoctorStep, host string) {
	s.Duration, s.timed = max(c.took, 0), true
	if c.err != nil {
		s.fail(opChallenge, c.err)
		return
	}
	s.CorrelationID = correlationOf(c.answer)
	realm, service, asked := auth.Challenged(c.answer.Header)
	expected := "https://" + host + "/oauth2/token"
	switch {
	case !asked && c.answer.StatusCode == http.StatusOK:
		s.Seen = "200 without a credential"
		s.warn("an Azure Container Registry requires a token here: check the endpoint, and look for a proxy that signs in by itself")
	case !asked:
		s.fail(opChallenge, fmt.Errorf("%w: 401 without a Bearer challenge", auth.ErrNoBearer))
		s.Advice = "check that the endpoint is an Azure Container Registry, and that no proxy answers in its place"
	case !strings.EqualFold(realm, expected) || !strings.EqualFold(service, host):
		s.Seen = fmt.Sprintf("realm %q, service %q, which do not belong to this registry and are ignored", realm, service)
		s.warn("the client uses " + expected + "; other clients follow the challenge: look for a proxy or custom name in between")
	default:
		s.Seen = "realm and service are this registry's"
	}
}
