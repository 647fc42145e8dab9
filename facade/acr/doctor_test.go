package acr_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// allSteps are the steps of a report in their order.
var allSteps = []string{
	acr.DoctorName, acr.DoctorConnection, acr.DoctorTLS, acr.DoctorClock, acr.DoctorChallenge, acr.DoctorCredential, acr.DoctorExchange, acr.DoctorToken,
	acr.DoctorCatalog, acr.DoctorPull, acr.DoctorPush, acr.DoctorAnonymous, acr.DoctorStorage,
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// failingCredential gives no token.
type failingCredential struct{ err error }

func (c failingCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, c.err
}

const fakeJWT = "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.c2lnbmF0dXJl"

// sick is a registry, or a way to it, with something wrong, and what a report has to say.
type sick struct {
	id      string
	server  []acrtest.Option
	script  func(*acrtest.Server)
	client  func(*testing.T, *acrtest.Server) *acr.Client // nil: signs in with an Entra credential
	options *acr.DoctorOptions
	want    map[string]acr.DoctorStatus // of the steps that are not ok
	step    string                      // the step that says why
	cause   error
	says    []string // in that step
}

func via(change func(*http.Client)) func(*testing.T, *acrtest.Server) *acr.Client {
	return func(t *testing.T, srv *acrtest.Server) *acr.Client {
		hc := checked(t, srv)
		change(hc)
		return newClientVia(t, srv, hc)
	}
}

func withPassword(user, password string) func(*testing.T, *acrtest.Server) *acr.Client {
	return func(t *testing.T, srv *acrtest.Server) *acr.Client {
		c, err := acr.NewClientWithPassword(srv.Endpoint(), user, password, clientOptions(srv, checked(t, srv)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
}

var (
	onApp       = &acr.DoctorOptions{Repository: "samples/app", Reference: "v1"}
	unreachable = map[string]acr.DoctorStatus{
		acr.DoctorConnection: acr.DoctorSkipped, acr.DoctorTLS: acr.DoctorSkipped, acr.DoctorClock: acr.DoctorSkipped, acr.DoctorChallenge: acr.DoctorSkipped,
		acr.DoctorExchange: acr.DoctorSkipped, acr.DoctorToken: acr.DoctorSkipped, acr.DoctorCatalog: acr.DoctorSkipped, acr.DoctorPull: acr.DoctorSkipped,
		acr.DoctorPush: acr.DoctorSkipped, acr.DoctorAnonymous: acr.DoctorSkipped, acr.DoctorStorage: acr.DoctorSkipped,
	}
	notSignedIn = map[string]acr.DoctorStatus{
		acr.DoctorToken: acr.DoctorSkipped, acr.DoctorCatalog: acr.DoctorSkipped, acr.DoctorPull: acr.DoctorSkipped, acr.DoctorPush: acr.DoctorSkipped, acr.DoctorStorage: acr.DoctorSkipped,
	}
)

// but is a copy of the map with one step changed.
func but(m map[string]acr.DoctorStatus, step string, status acr.DoctorStatus, without ...string) map[string]acr.DoctorStatus {
	m = maps.Clone(m)
	m[step] = status
	for _, w := range without {
		delete(m, w)
	}
	return m
}

var sicknesses = []sick{
	{id: "healthy", options: onApp},
	{
		id: "nothing named", want: map[string]acr.DoctorStatus{acr.DoctorPull: acr.DoctorSkipped, acr.DoctorPush: acr.DoctorSkipped, acr.DoctorStorage: acr.DoctorSkipped},
		step: acr.DoctorPull, says: []string{"DoctorOptions.Repository"},
	},
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
			return newClientVia(t, srv, &http.Client{Transport: tr})
		},
	},
	{
		id: "the CA is not trusted", options: onApp, want: but(unreachable, acr.DoctorTLS, acr.DoctorFailed, acr.DoctorConnection), step: acr.DoctorTLS,
		says: []string{"unknown authority", "by CN=acrtest CA", "RootCAs"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			tr := &http.Transport{DialContext: srv.DialContext, TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}}
			t.Cleanup(tr.CloseIdleConnections)
			return newClientVia(t, srv, &http.Client{Transport: tr})
		},
	},
	{
		id: "the certificate is out of date", options: onApp, want: but(unreachable, acr.DoctorTLS, acr.DoctorFailed, acr.DoctorConnection), step: acr.DoctorTLS,
		says: []string{"expired", "check the clock"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			tr, _ := hc.Transport.(*http.Transport)
			tr.TLSClientConfig.Time = func() time.Time { return time.Now().Add(10 * 365 * 24 * time.Hour) }
			return newClientVia(t, srv, hc)
		},
	},
	{
		id: "a server without TLS", options: onApp, want: but(unreachable, acr.DoctorTLS, acr.DoctorFailed, acr.DoctorConnection), step: acr.DoctorTLS, says: []string{"speaks no TLS"},
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
			return newClientVia(t, srv, &http.Client{Transport: tr})
		},
	},
	{
		id: "the proxy is not there", options: onApp, want: but(unreachable, acr.DoctorConnection, acr.DoctorFailed), step: acr.DoctorConnection, says: []string{"the proxy 127.0.0.1:1", "HTTPS_PROXY"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			tr, _ := hc.Transport.(*http.Transport)
			tr.Proxy = func(r *http.Request) (*url.URL, error) { return r.URL.Parse("http://user:swordfish@127.0.0.1:1") }
			return newClientVia(t, srv, hc)
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
			return newClientVia(t, srv, hc)
		},
	},
	{
		id: "A01 the challenge leads elsewhere", options: onApp, step: acr.DoctorChallenge, says: []string{"https://attacker.example/token", "not obeyed"},
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
			return newClientVia(t, srv, hc)
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
			return newClientVia(t, srv, hc)
		},
	},
	{
		id: "the credential gives no token", options: onApp, step: acr.DoctorCredential, says: []string{"GetEntraToken", "az login", "REDACTED"},
		want: but(but(notSignedIn, acr.DoctorExchange, acr.DoctorSkipped), acr.DoctorCredential, acr.DoctorFailed),
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			c, err := acr.NewClient(srv.Endpoint(), failingCredential{errors.New("no account\nclient_secret=hunter2hunter2 " + fakeJWT)}, clientOptions(srv, checked(t, srv)))
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
	},
	{
		id: "the ARM audience is disabled", server: []acrtest.Option{acrtest.WithoutARMAudience()}, options: onApp, step: acr.DoctorExchange, cause: acr.ErrARMAudienceDisabled,
		says: []string{"authentication-as-arm"}, want: but(notSignedIn, acr.DoctorExchange, acr.DoctorFailed),
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			return newClient(t, srv, func(o *acr.ClientOptions) {
				o.Cloud.Services = map[cloud.ServiceName]cloud.ServiceConfiguration{acr.ServiceName: {Audience: "https://management.azure.com"}}
			})
		},
	},
	{
		id: "the firewall refuses the exchange", options: onApp, step: acr.DoctorExchange, cause: acr.ErrFirewall, says: []string{"403 DENIED", "203.0.113.9", "network-rule"},
		script: func(s *acrtest.Server) {
			s.On("ExchangeEntraToken").Always().Status(http.StatusForbidden).Code("DENIED", "client with IP '203.0.113.9' is not allowed access. Refer https://aka.ms/acr/firewall")
		},
		want: but(notSignedIn, acr.DoctorExchange, acr.DoctorFailed),
	},
	{
		id: "no role", server: []acrtest.Option{acrtest.WithEntraActions()}, options: onApp, step: acr.DoctorExchange, cause: acr.ErrNoRole, says: []string{"AcrPull"},
		want: but(notSignedIn, acr.DoctorExchange, acr.DoctorFailed),
	},
	{
		id: "the exchange breaks off", options: onApp, script: func(s *acrtest.Server) { s.On("ExchangeEntraToken").Always().DropReply() }, step: acr.DoctorExchange,
		want: but(notSignedIn, acr.DoctorExchange, acr.DoctorFailed),
	},
	{
		id: "no catalog role", server: []acrtest.Option{acrtest.WithEntraActions("samples/* content/read,content/write,metadata/read")}, options: onApp,
		step: acr.DoctorCatalog, cause: acr.ErrCatalogRole, says: []string{"Catalog Lister"}, want: map[string]acr.DoctorStatus{acr.DoctorCatalog: acr.DoctorWarn},
	},
	{
		id: "may pull, not push", server: []acrtest.Option{acrtest.WithEntraActions("* content/read,metadata/read")}, options: onApp,
		step: acr.DoctorPush, cause: acr.ErrMissingAction, says: []string{"not granted on samples/app", "AcrPush"}, want: map[string]acr.DoctorStatus{acr.DoctorPush: acr.DoctorWarn},
	},
	{
		id: "is to push and may not", server: []acrtest.Option{acrtest.WithEntraActions("* content/read,metadata/read")},
		options: &acr.DoctorOptions{Repository: "samples/app", TryPush: true}, step: acr.DoctorPush, cause: acr.ErrMissingAction, says: []string{"AcrPush"},
		want: map[string]acr.DoctorStatus{acr.DoctorPush: acr.DoctorFailed, acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "is to push and may", options: &acr.DoctorOptions{Repository: "samples/app", TryPush: true}, step: acr.DoctorPush, says: []string{"started and cancelled"},
		want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "may not pull", server: []acrtest.Option{acrtest.WithEntraActions("others/* content/read")}, options: onApp, step: acr.DoctorPull, cause: acr.ErrMissingAction, says: []string{"pull on samples/app"},
		want: map[string]acr.DoctorStatus{acr.DoctorCatalog: acr.DoctorWarn, acr.DoctorPull: acr.DoctorFailed, acr.DoctorPush: acr.DoctorWarn, acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "no such repository", options: &acr.DoctorOptions{Repository: "not/there"}, step: acr.DoctorPull, cause: acr.ErrNotFound, says: []string{"there is no repository not/there"},
		want: map[string]acr.DoctorStatus{acr.DoctorPull: acr.DoctorWarn, acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "grants by repository", server: []acrtest.Option{acrtest.WithABAC()}, options: onApp, step: acr.DoctorExchange, says: []string{"ABAC"},
	},
	{
		id: "anonymous pull is off", server: []acrtest.Option{acrtest.WithoutAnonymousPull()}, options: onApp, step: acr.DoctorAnonymous, says: []string{"off: callers must sign in"},
	},
	{
		id: "anonymous pull is on", options: onApp, step: acr.DoctorAnonymous, says: []string{"on: anyone may read"},
	},
	{
		id: "an anonymous client", options: onApp, step: acr.DoctorCredential, says: []string{"anonymous"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client { return newAnonymousClient(t, srv) },
		want: map[string]acr.DoctorStatus{
			acr.DoctorCredential: acr.DoctorSkipped, acr.DoctorExchange: acr.DoctorSkipped, acr.DoctorAnonymous: acr.DoctorSkipped, acr.DoctorPush: acr.DoctorWarn,
		},
	},
	{
		id: "an anonymous client that must sign in", server: []acrtest.Option{acrtest.WithoutAnonymousPull()}, options: onApp, step: acr.DoctorToken, cause: acr.ErrAnonymous, says: []string{"sign in"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client { return newAnonymousClient(t, srv) },
		want: but(but(but(but(notSignedIn, acr.DoctorToken, acr.DoctorFailed), acr.DoctorCredential, acr.DoctorSkipped),
			acr.DoctorExchange, acr.DoctorSkipped), acr.DoctorAnonymous, acr.DoctorSkipped),
	},
	{
		id: "a repository token", server: []acrtest.Option{acrtest.WithRepositoryToken("ci", "swordfish-swordfish", "samples/* content/read,metadata/read")}, options: onApp,
		client: withPassword("ci", "swordfish-swordfish"), step: acr.DoctorPull, says: []string{"granted: metadata_read pull"},
		want: map[string]acr.DoctorStatus{
			acr.DoctorCredential: acr.DoctorSkipped, acr.DoctorExchange: acr.DoctorSkipped, acr.DoctorCatalog: acr.DoctorWarn, acr.DoctorPush: acr.DoctorWarn,
		},
	},
	{
		id: "a wrong password", server: []acrtest.Option{acrtest.WithRepositoryToken("ci", "swordfish-swordfish", "samples/* content/read")}, options: onApp,
		client: withPassword("ci", "wrong-wrong-wrong"), step: acr.DoctorToken, says: []string{"password is wrong"},
		want: but(but(but(notSignedIn, acr.DoctorToken, acr.DoctorFailed), acr.DoctorCredential, acr.DoctorSkipped), acr.DoctorExchange, acr.DoctorSkipped),
	},
	{
		id: "storage cannot be reached", options: onApp, step: acr.DoctorStorage, says: []string{"localhost:", "no route to host", "firewall"},
		want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorFailed},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			tr, _ := hc.Transport.(*http.Transport)
			next := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address == srv.StorageHost() {
					return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no route to host")}
				}
				return next(ctx, network, address)
			}
			return newClientVia(t, srv, hc)
		},
	},
	{
		id: "storage refuses the link", options: onApp, script: func(s *acrtest.Server) { s.On("GetBlobContent").Always().Status(http.StatusForbidden) },
		step: acr.DoctorStorage, says: []string{"answers 403"}, want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorFailed},
	},
	{
		id: "the registry serves blobs itself", server: []acrtest.Option{acrtest.WithInlineBlobs()}, options: onApp, step: acr.DoctorStorage, says: []string{"from the registry itself"},
	},
	{
		id: "an index", options: &acr.DoctorOptions{Repository: "samples/app", Reference: "index"}, step: acr.DoctorStorage, says: []string{"blobs come from localhost:"},
	},
	{
		id: "no such tag", options: &acr.DoctorOptions{Repository: "samples/app", Reference: "missing"}, step: acr.DoctorStorage, cause: acr.ErrManifestUnknown,
		want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorFailed},
	},
}

// TestDoctor walks through registries with one thing wrong each, and holds the report to what it has to say of it, to what it must not
// say, and to its form.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, tt := range sicknesses {
		t.Run(tt.id, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, tt.server...)
			srv.SeedImage(t, "samples/app:v1")
			srv.SeedIndex(t, "samples/app:index", "amd64", "arm64")
			if tt.script != nil {
				tt.script(srv)
			}
			if tt.client == nil {
				tt.client = func(t *testing.T, srv *acrtest.Server) *acr.Client { return newClient(t, srv) }
			}
			report, err := tt.client(t, srv).Doctor(t.Context(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			got, want := map[string]acr.DoctorStatus{}, map[string]acr.DoctorStatus{}
			var names []string
			failed := false
			for _, s := range report.Steps {
				names = append(names, s.Name)
				got[s.Name] = s.Status
				failed = failed || s.Status == acr.DoctorFailed
				if (s.Status == acr.DoctorFailed) != (s.Err != nil && s.Status != acr.DoctorWarn) {
					t.Errorf("%s: %s with the error %v", s.Name, s.Status, s.Err)
				}
				if s.Status == acr.DoctorFailed && s.Advice == "" && tt.step == s.Name && !errors.Is(s.Err, acr.ErrManifestUnknown) {
					t.Errorf("%s failed, and no advice is given", s.Name)
				}
			}
			for _, name := range allSteps {
				want[name] = acr.DoctorOK
				if status, ok := tt.want[name]; ok {
					want[name] = status
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s\n%s", diff, report)
			}
			if !slices.Equal(names, allSteps) {
				t.Errorf("the order of the steps is %q", names)
			}
			if (report.Err() != nil) != failed {
				t.Errorf("Err is %v", report.Err())
			}
			step := report.Step(tt.step)
			if tt.cause != nil && !errors.Is(step.Err, tt.cause) {
				t.Errorf("%s: got %v, want %v", step.Name, step.Err, tt.cause)
			}
			for _, text := range tt.says {
				if !strings.Contains(step.Seen+"\n"+step.Advice, text) {
					t.Errorf("%s does not say %q: %q, do: %q", step.Name, text, step.Seen, step.Advice)
				}
			}
			healthyText(t, report)
			if n := srv.Ledger().Count(); n > 16 {
				t.Errorf("it took %d requests", n)
			}
			for _, r := range srv.Ledger().Requests() {
				if r.Method == http.MethodPut || r.Method == http.MethodPatch || (r.Operation == "StartUpload" && !tt.options.TryPush) {
					t.Errorf("it sent %s %s", r.Method, r.Path)
				}
			}
			if srv.Ledger().Count("StartUpload") != srv.Ledger().Count("CancelUpload") && step.Err == nil {
				t.Error("an upload was left behind")
			}
		})
	}
}

// healthyText holds the forms of a report to what may be in them.
func healthyText(t *testing.T, report *acr.DoctorReport) {
	t.Helper()
	var text bytes.Buffer
	if n, err := report.WriteTo(&text); err != nil || n != int64(text.Len()) {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
	encoded, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{text.String(), string(encoded)} {
		for _, secret := range []string{"eyJ", "sig=", "swordfish", "hunter2", "wrong-wrong"} {
			if strings.Contains(form, secret) {
				t.Errorf("%q is in the report:\n%s", secret, form)
			}
		}
		if i := strings.IndexFunc(form, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
			t.Errorf("control character %q", form[i])
		}
	}
	var decoded struct {
		Result acr.DoctorStatus
		Steps  []struct {
			Name          string
			Status        acr.DoctorStatus
			Duration      float64 `json:"duration_ms"`
			Seen, Advice  string
			CorrelationID string `json:"correlation_id"`
		}
	}
	if err := json.Unmarshal(encoded, &decoded); err != nil || decoded.Result != report.Status() || len(decoded.Steps) != len(report.Steps) {
		t.Errorf("%v: %s", err, encoded)
	}
	for i, s := range decoded.Steps {
		if want := report.Steps[i]; s.Name != want.Name || s.Status != want.Status || s.Seen != want.Seen || s.CorrelationID != want.CorrelationID {
			t.Errorf("%+v", s)
		}
	}
}

// TestDoctorArguments: what could not be asked for is refused before anything is sent.
func TestDoctorArguments(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	c := newClient(t, srv)
	for _, tt := range []struct {
		options acr.DoctorOptions
		want    error
	}{
		{acr.DoctorOptions{Repository: ".."}, acr.ErrInvalidName},
		{acr.DoctorOptions{Repository: "a", Reference: ".."}, acr.ErrInvalidReference},
		{acr.DoctorOptions{Repository: "a", Reference: "sha256:ABC"}, acr.ErrInvalidDigest},
		{acr.DoctorOptions{Reference: "v1"}, acr.ErrInvalidArgument},
		{acr.DoctorOptions{TryPush: true}, acr.ErrInvalidArgument},
	} {
		if _, err := c.Doctor(t.Context(), &tt.options); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt.options, err)
		}
	}
	srv.Ledger().AtMost(t, 0)
}

// TestDoctorContext: an ended context ends the walk; the error says so, and the report how far it got.
func TestDoctorContext(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	c := newClient(t, srv)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := c.Doctor(ctx, nil)
	if !errors.Is(err, context.Canceled) || len(report.Steps) != len(allSteps) || !strings.Contains(report.Step(acr.DoctorName).Seen, "context") {
		t.Errorf("%v\n%s", err, report)
	}
	srv.Ledger().AtMost(t, 0)
}

// TestDoctorStepTimeout: a step that gets no answer ends by itself, and so do those after it.
func TestDoctorStepTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, acrtest.WithMemoryNetwork())
		srv.On("ExchangeEntraToken").Always().Stall()
		c := newClient(t, srv)
		began := time.Now()
		report, err := c.Doctor(t.Context(), nil)
		if step := report.Step(acr.DoctorExchange); err != nil || step.Status != acr.DoctorFailed || !errors.Is(step.Err, context.DeadlineExceeded) || step.Advice == "" {
			t.Errorf("%v\n%s", err, report)
		}
		if took := time.Since(began).Round(time.Second); took != 30*time.Second {
			t.Errorf("it took %s", took)
		}
		c.CloseIdleConnections()
		srv.Close()
	})
}

// TestDoctorLeavesTokens: the client's own tokens are neither used nor lost.
func TestDoctorLeavesTokens(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	c := newClient(t, srv)
	for range 2 {
		if _, err := acr.Collect(c.Repositories(t.Context(), nil)); err != nil {
			t.Fatal(err)
		}
		report, err := c.Doctor(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		// The transport is the test's own, and so are its open connections.
		if s := report.Step(acr.DoctorConnection); s.Status != acr.DoctorOK || !strings.Contains(s.Seen, "open already, to 127.0.0.1:") {
			t.Errorf("%s: %s", s.Status, s.Seen)
		}
	}
	if n := srv.Ledger().Count("ExchangeEntraToken"); n != 3 {
		t.Errorf("%d exchanges, want one of the client and one of each report", n)
	}
}

// TestDoctorForeignTransport: a transport that is not of net/http tells nothing of the way, and the rest is found out all the same.
func TestDoctorForeignTransport(t *testing.T) {
	t.Parallel()
	s := &scripted{answer: func(r *http.Request) *http.Response {
		if r.Header.Get("Authorization") == "" {
			return answer(http.StatusUnauthorized, "", "Www-Authenticate", `Bearer realm="https://r.azurecr.io/oauth2/token",service="r.azurecr.io"`)
		}
		return answer(http.StatusOK, `{}`)
	}}
	c, err := acr.NewClientWithPassword("r.azurecr.io", "user", "swordfish", &acr.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: s}})
	if err != nil {
		t.Fatal(err)
	}
	report, err := c.Doctor(t.Context(), &acr.DoctorOptions{Repository: "a"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]acr.DoctorStatus{
		acr.DoctorName: acr.DoctorSkipped, acr.DoctorConnection: acr.DoctorSkipped, acr.DoctorTLS: acr.DoctorSkipped, acr.DoctorClock: acr.DoctorSkipped, acr.DoctorChallenge: acr.DoctorOK,
		acr.DoctorToken: acr.DoctorOK, acr.DoctorCatalog: acr.DoctorOK, acr.DoctorPull: acr.DoctorOK, acr.DoctorPush: acr.DoctorSkipped, acr.DoctorAnonymous: acr.DoctorOK,
	}
	for name, status := range want {
		if s := report.Step(name); s.Status != status {
			t.Errorf("%s is %s: %s", name, s.Status, s.Seen)
		}
	}
	healthyText(t, report)
}
