package retention_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/internal/contract"
	"github.com/acrkit/acrkit/facade/retention"
)

func TestMain(m *testing.M) { os.Exit(acrsuite.Main(m)) }

// newClient is a client of the emulator. Each of its exchanges is held against the document.
func newClient(t testing.TB, srv *acrtest.Server) *acr.Client {
	t.Helper()
	client := srv.HTTPClient()
	client.Transport = contract.New(t, client.Transport, contract.Allow(func(resp *http.Response) bool { return resp.Header.Get(acrtest.FaultHeader) != "" }))
	return newClientVia(t, srv, client)
}

func newClientVia(t testing.TB, srv *acrtest.Server, transport policy.Transporter) *acr.Client {
	t.Helper()
	o := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
	o.Transport = transport
	c, err := acr.NewClient(srv.Endpoint(), srv.Credential(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// rules parses rules, or fails the test.
func rules(t testing.TB, document string) *retention.Rules {
	t.Helper()
	r, err := retention.ParseRules([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// opener opens a text.
func opener(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

// trusting is a transport that trusts an authority.
func trusting(t testing.TB, ca []byte) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
}
