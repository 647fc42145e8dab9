package acr

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/route"
	"github.com/acrkit/acrkit/facade/internal/transport"
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

// contact runs the first five steps.
func (d *doctor) contact(ctx context.Context) {
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

// maxIndexDepth limits how deep the search for a blob follows indexes.
const maxIndexDepth = 3

// adviseNoHost is what to do if the name of storage is not known.
const adviseNoHost = "the name of the registry's storage cannot be resolved: with private link, add its data endpoints (az acr show-endpoints) to the DNS zone"

var errNoBlob = errors.New("the manifest refers to no blob")

// storage reads one byte of a blob, from where the registry redirects readers.
func (d *doctor) storage(ctx context.Context, s *DoctorStep) {
	name := d.options.Repository
	if d.options.Reference == "" {
		s.skip("no tag or digest was given (DoctorOptions.Reference)")
		return
	}
	grant, err := d.granted(ctx)
	if err != nil {
		s.fail(opGetBlob, err)
		return
	}
	dgst, err := d.blob(ctx, &grant)
	if errors.Is(err, errNoBlob) {
		s.skip(err.Error())
		return
	}
	if err != nil {
		s.fail(opGetManifest, err)
		if errors.Is(err, ErrNotFound) {
			s.Advice = "check the tag or digest that was given (DoctorOptions.Reference)"
		}
		return
	}
	var link *transport.Link // nil if the registry serves blobs itself
	err = d.ask(ctx, opGetBlob, &grant, opGetBlob.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.GetBlob(ctx, name, dgst, &gen.GetBlobParams{}, edit)
	}, func(resp *http.Response) (err error) {
		s.CorrelationID = correlationOf(resp)
		if !wire.IsRedirect(resp.StatusCode) {
			return readByte(resp.Body)
		}
		link, err = d.client.transport.BlobLink(resp)
		return err
	})
	switch {
	case err != nil:
		s.fail(opGetBlob, err)
	case link == nil:
		s.Seen = "blobs are served by the registry itself"
	default:
		d.fetch(ctx, s, link)
	}
}

// fetch reads one byte from a storage link.
func (d *doctor) fetch(ctx context.Context, s *DoctorStep, link *transport.Link) {
	host := "storage"
	if u, err := url.Parse(link.String()); err == nil {
		o := wire.OriginOf(u)
		host = net.JoinHostPort(o.Host, o.Port)
	}
	way := &route.Route{}
	resp, err := d.client.transport.Fetch(httptrace.WithClientTrace(ctx, way.Trace()), link, http.Header{"Range": {"bytes=0-0"}})
	status := 0
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		if status = resp.StatusCode; status < http.StatusMultipleChoices {
			err = readByte(resp.Body)
		}
	}
	switch {
	case err != nil:
		facts := way.Facts()
		broken := facts.BrokenAt(err)
		s.fail(opGetBlob, fmt.Errorf("blobs are served by %s: %w", host, err))
		s.Advice = cmp.Or(facts.AdviseOn(err, broken, host), s.Advice)
		if s.Advice == route.AdviseNoName {
			s.Advice = adviseNoHost
		}
	case status < http.StatusMultipleChoices, status == http.StatusRequestedRangeNotSatisfiable: // the latter: the blob is empty
		s.Seen = "blobs are served by " + host
	default:
		answer := host + ", which serves blobs, returned " + resp.Status
		if id := resp.Header.Get("X-Ms-Request-Id"); id != "" {
			answer += " (request id " + id + ")"
		}
		s.fail(opGetBlob, errors.New(answer))
		s.Advice = "storage does not accept the registry's link: look for a proxy or service endpoint policy in between, and check the registry's state in the portal"
	}
}

// readByte reads one byte of a body, which may be empty.
func readByte(body io.Reader) error {
	if _, err := io.ReadFull(body, make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// blob finds a blob of the reference: the config or first layer of the manifest, or of the first
// manifest of an index. A digest that does not belong to a manifest is treated as that of a blob.
func (d *doctor) blob(ctx context.Context, grant *auth.Grant) (digest.Digest, error) {
	name, reference := d.options.Repository, d.options.Reference
	_, given, _ := parseReference(reference)
	for range maxIndexDepth {
		var body []byte
		err := d.ask(ctx, opGetManifest, grant, opGetManifest.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
			return d.client.gen.GetManifest(ctx, name, reference, &gen.GetManifestParams{Accept: acceptManifests}, edit)
		}, func(resp *http.Response) (err error) {
			body, err = readBody(resp, nil, maxManifestSize)
			return err
		})
		if errors.Is(err, ErrNotFound) && given != "" && reference == d.options.Reference {
			return given, nil
		}
		if err != nil {
			return "", err
		}
		var m struct {
			Config    ocispec.Descriptor   `json:"config"`
			Layers    []ocispec.Descriptor `json:"layers"`
			Blobs     []ocispec.Descriptor `json:"blobs"`
			Manifests []ocispec.Descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return "", fmt.Errorf("%w: %w", ErrMalformedReply, err)
		}
		for _, next := range append(append([]ocispec.Descriptor{m.Config}, m.Layers...), m.Blobs...) {
			if checkDigest(next.Digest) == nil {
				return next.Digest, nil
			}
		}
		if len(m.Manifests) == 0 || checkDigest(m.Manifests[0].Digest) != nil {
			return "", errNoBlob
		}
		reference = m.Manifests[0].Digest.String()
	}
	return "", errNoBlob
}
