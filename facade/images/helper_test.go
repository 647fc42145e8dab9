package images_test

import (
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// newClient is a client of a registry. Each of its exchanges is held against the API document.
func newClient(t testing.TB, srv *acrtest.Server) *acr.Client {
	t.Helper()
	transport := srv.HTTPClient()
	transport.Transport = contract.New(t, transport.Transport, contract.Allow(func(resp *http.Response) bool {
		return resp.Header.Get(acrtest.FaultHeader) != ""
	}))
	o := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
	o.Transport = transport
	c, err := acr.NewClient(srv.Endpoint(), srv.Credential(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// newRegistry is a registry with a client of it.
func newRegistry(t testing.TB, opts ...acrtest.Option) (*acrtest.Server, *acr.Client) {
	t.Helper()
	srv := acrtest.New(t, opts...)
	return srv, newClient(t, srv)
}

// pushLayout pushes an image of a layout.
func pushLayout(t testing.TB, dir, name string, to *acr.Repository, tag string, opts *images.CopyOptions) {
	t.Helper()
	if _, err := images.Push(t.Context(), dir, name, to, tag, opts); err != nil {
		t.Fatal(err)
	}
}

// hasQuery matches requests with a value in their query.
func hasQuery(key, value string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Query().Get(key) == value }
}

// declineMounts lets a registry begin uploads instead of mounting blobs of a repository.
func declineMounts(srv *acrtest.Server, from string) {
	srv.On("StartUpload").When(hasQuery("from", from)).Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.URL.RawQuery = ""
		next.ServeHTTP(w, r)
	})
}
