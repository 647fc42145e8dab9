package acr_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// sickContacts are registries that do not get as far as a sign-in.
var sickContacts = []sick{
	{
		id: "the name is not known", options: onApp, want: but(unreachable, acr.DoctorName, acr.DoctorFailed), step: acr.DoctorName, says: []string{"no such host", "check the registry's name"},
		client: via(func(hc *http.Client) {
			hc.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "myregistry.azurecr.io", IsNotFound: true}}
			})
		}),
	},
	{
		id: "the resolver is silent", options: onApp, want: but(unreachable, acr.DoctorName, acr.DoctorFailed), step: acr.DoctorName, says: []string{"i/o timeout", "the resolver does not answer"},
		client: via(func(hc *http.Client) {
			hc.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "i/o timeout", Name: "myregistry.azurecr.io", IsTimeout: true}}
			})
		}),
	},
	{
		id: "connections are refused", options: onApp, want: but(unreachable, acr.DoctorConnection, acr.DoctorFailed), step: acr.DoctorConnection, says: []string{"no route", "firewall"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}
			}}
			return acrsuite.NewClientVia(t, srv, &http.Client{Transport: tr})
		},
	},
	{
		id: "the CA is not trusted", options: onApp, want: but(unreachable, acr.DoctorTLS, acr.DoctorFailed, acr.DoctorConnection), step: acr.DoctorTLS,
		says: []string{"unknown authority", "by CN=acrtest CA", "RootCAs"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			tr := &http.Transport{DialContext: srv.DialContext, TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}}
			t.Cleanup(tr.CloseIdleConnections)
			return acrsuite.NewClientVia(t, srv, &http.Client{Transport: tr})
		},
	},
	{
		id: "the certificate is out of date", options: onApp, want: but(unreachable, acr.DoctorTLS, acr.DoctorFailed, acr.DoctorConnection), step: acr.DoctorTLS,
		says: []string{"expired", "check the clock"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			tr, _ := hc.Transport.(*http.Transport)
			tr.TLSClientConfig.Time = func() time.Time { return time.Now().Add(10 * 365 * 24 * time.Hour) }
			return acrsuite.NewClientVia(t, srv, hc)
		},
	},
	{
		id: "a server without TLS", options: onApp, want: but(unreachable, acr.DoctorTLS, acr.DoctorFailed, acr.DoctorConnection), step: acr.DoctorTLS, says: []string{"does not speak TLS"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					_, _ = theirs.Read(make([]byte, 64<<10)) // the whole hello
					_, _ = io.WriteString(theirs, "HTTP/1.1 400 Bad Request\r\n\r\n")
					_, _ = io.Copy(io.Discard, theirs)
				}()
				t.Cleanup(func() { _ = theirs.Close() })
				return ours, nil
			}}
			return acrsuite.NewClientVia(t, srv, &http.Client{Transport: tr})
		},
	},
	{
		id: "the proxy is not there", options: onApp, want: but(unreachable, acr.DoctorConnection, acr.DoctorFailed), step: acr.DoctorConnection, says: []string{"the proxy 127.0.0.1:1", "HTTPS_PROXY"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			tr, _ := hc.Transport.(*http.Transport)
			tr.Proxy = func(r *http.Request) (*url.URL, error) { return r.URL.Parse("http://user:swordfish@127.0.0.1:1") }
			return acrsuite.NewClientVia(t, srv, hc)
		},
	},
	{
		id: "the clock is off", options: onApp, script: func(s *acrtest.Server) { s.Advance(time.Hour) },
		want: map[string]acr.DoctorStatus{acr.DoctorClock: acr.DoctorWarn}, step: acr.DoctorClock, cause: acr.ErrClockSkew, says: []string{"1h0m0s behind", "set the local clock"},
	},
	{
		id: "the firewall refuses the first request", options: onApp, step: acr.DoctorChallenge, cause: acr.ErrFirewall, says: []string{"203.0.113.9", "network-rule"},
		want: but(but(unreachable, acr.DoctorChallenge, acr.DoctorFailed, acr.DoctorConnection), acr.DoctorClock, acr.DoctorOK, acr.DoctorTLS, acr.DoctorClock),
		client: via(func(hc *http.Client) {
			next := hc.Transport
			hc.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if err == nil && r.URL.Path == "/v2/" {
					_ = resp.Body.Close()
					resp.StatusCode, resp.Status, resp.ContentLength = http.StatusForbidden, "403 Forbidden", -1
					resp.Body = io.NopCloser(strings.NewReader(`{"errors":[{"code":"DENIED","message":"client with IP '203.0.113.9' is not allowed access"}]}`))
				}
				return resp, err
			})
		}),
	},
	{
		id: "no registry", options: onApp, step: acr.DoctorChallenge, says: []string{"404", "may not be an Azure Container Registry"},
		want: but(unreachable, acr.DoctorChallenge, acr.DoctorFailed, acr.DoctorConnection, acr.DoctorTLS, acr.DoctorClock),
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			next := hc.Transport
			hc.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				elsewhere := r.Clone(r.Context())
				elsewhere.URL.Path = "/nothing"
				resp, err := next.RoundTrip(elsewhere)
				if err == nil {
					resp.Request = r
				}
				return resp, err
			})
			return acrsuite.NewClientVia(t, srv, hc)
		},
	},
	{
		id: "A01 the challenge leads elsewhere", options: onApp, step: acr.DoctorChallenge, says: []string{"https://attacker.example/token", "ignored"},
		want: map[string]acr.DoctorStatus{acr.DoctorChallenge: acr.DoctorWarn},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			next := hc.Transport
			hc.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "attacker.example" {
					t.Error("the challenge was obeyed")
				}
				resp, err := next.RoundTrip(r)
				if err == nil && resp.StatusCode == http.StatusUnauthorized {
					resp.Header["Www-Authenticate"] = []string{`Bearer realm="https://attacker.example/token",service="attacker.example"`}
				}
				return resp, err
			})
			return acrsuite.NewClientVia(t, srv, hc)
		},
	},
	{
		id: "A19 Basic alone", options: onApp, step: acr.DoctorChallenge, says: []string{"does not offer the sign-in"},
		want: but(unreachable, acr.DoctorChallenge, acr.DoctorFailed, acr.DoctorConnection, acr.DoctorTLS, acr.DoctorClock),
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			next := hc.Transport
			hc.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if err == nil && resp.StatusCode == http.StatusUnauthorized {
					resp.Header["Www-Authenticate"] = []string{`Basic realm="registry"`}
				}
				return resp, err
			})
			return acrsuite.NewClientVia(t, srv, hc)
		},
	},
}
