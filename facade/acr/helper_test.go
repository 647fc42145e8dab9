package acr_test

import (
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// option changes the options of a test's client.
type option func(*acr.ClientOptions)

// newServer starts a registry for one test.
func newServer(t testing.TB, opts ...acrtest.Option) *acrtest.Server {
	t.Helper()
	return acrtest.New(t, opts...)
}

// newClient is a client of the registry that signs in with an Entra credential. Each of its exchanges is held against the document.
func newClient(t testing.TB, srv *acrtest.Server, opts ...option) *acr.Client {
	t.Helper()
	return newClientVia(t, srv, checked(t, srv), opts...)
}

// newClientVia is newClient over a transport of the test's choice.
func newClientVia(t testing.TB, srv *acrtest.Server, transport policy.Transporter, opts ...option) *acr.Client {
	t.Helper()
	o := clientOptions(srv, transport, opts...)
	c, err := acr.NewClient(srv.Endpoint(), srv.Credential(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// newAnonymousClient is newClient without a credential.
func newAnonymousClient(t testing.TB, srv *acrtest.Server, opts ...option) *acr.Client {
	t.Helper()
	c, err := acr.NewClient(srv.Endpoint(), nil, clientOptions(srv, checked(t, srv), opts...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// clientOptions are those that reach the emulator.
func clientOptions(srv *acrtest.Server, transport policy.Transporter, opts ...option) *acr.ClientOptions {
	o := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
	o.Transport = transport
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// checked is a transport to the registry that holds every exchange against the document.
func checked(t testing.TB, srv *acrtest.Server) *http.Client {
	t.Helper()
	client := srv.HTTPClient()
	client.Transport = contract.New(t, client.Transport, contract.Allow(func(resp *http.Response) bool { return resp.Header.Get(acrtest.FaultHeader) != "" }))
	return client
}
