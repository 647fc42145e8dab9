package acrsuite

import (
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// Option changes the options of a test's client.
type Option func(*acr.ClientOptions)

// PolicyFunc is a policy that is a function.
type PolicyFunc func(*policy.Request) (*http.Response, error)

// Do implements policy.Policy.
func (f PolicyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }

// NewServer starts a registry for one test.
func NewServer(t testing.TB, opts ...acrtest.Option) *acrtest.Server {
	t.Helper()
	return acrtest.New(t, opts...)
}

// NewClient is a client of the registry that signs in with an Entra credential. Each of its exchanges is held against the document.
func NewClient(t testing.TB, srv *acrtest.Server, opts ...Option) *acr.Client {
	t.Helper()
	return NewClientVia(t, srv, Checked(t, srv), opts...)
}

// NewClientVia is newClient over a transport of the test's choice.
func NewClientVia(t testing.TB, srv *acrtest.Server, transport policy.Transporter, opts ...Option) *acr.Client {
	t.Helper()
	o := ClientOptions(srv, transport, opts...)
	c, err := acr.NewClient(srv.Endpoint(), srv.Credential(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// NewAnonymousClient is newClient without a credential.
func NewAnonymousClient(t testing.TB, srv *acrtest.Server, opts ...Option) *acr.Client {
	t.Helper()
	c, err := acr.NewClient(srv.Endpoint(), nil, ClientOptions(srv, Checked(t, srv), opts...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// ClientOptions are those that reach the emulator.
func ClientOptions(srv *acrtest.Server, transport policy.Transporter, opts ...Option) *acr.ClientOptions {
	o := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
	o.Transport = transport
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// Checked is a transport to the registry that holds every exchange against the document.
func Checked(t testing.TB, srv *acrtest.Server) *http.Client {
	t.Helper()
	client := srv.HTTPClient()
	client.Transport = contract.New(t, client.Transport, contract.Allow(func(resp *http.Response) bool { return resp.Header.Get(acrtest.FaultHeader) != "" }))
	return client
}
