package acr_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// newTunnel is a proxy that leads every connection to the registry. It is at the URL that is returned.
func newTunnel(t *testing.T, srv *acrtest.Server) *url.URL {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get("Authorization") != "" {
			http.Error(w, "only tunnels", http.StatusBadRequest)
			return
		}
		there, err := srv.DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, "not there", http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		here, early, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = there.Close()
			return
		}
		go func() {
			_, _ = io.Copy(there, early) // which holds what came before the hijacking, too
			_ = there.Close()
		}()
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}))
	t.Cleanup(proxy.Close)
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("user", "swordfish")
	return u
}

// TestDoctorWay: what is said of the way to a registry, by how it is reached.
func TestDoctorWay(t *testing.T) {
	t.Parallel()
	const name = "myregistry.azurecr.io"
	for _, tt := range []struct {
		id     string
		named  bool // the registry has a name, not an address
		change func(*testing.T, *acrtest.Server, *http.Transport)
		host   func(*acrtest.Server) string // nil: the registry's
		name   string
		way    string
	}{
		{id: "an address", name: "127.0.0.1 is an address", way: "to 127.0.0.1:"},
		{id: "a transport that resolves", named: true, name: name + " is resolved by the client's transport", way: "to 127.0.0.1:"},
		{
			id: "a resolver", name: "localhost is ", way: "to ",
			host: func(srv *acrtest.Server) string {
				_, port, _ := net.SplitHostPort(srv.Host())
				return "localhost:" + port
			},
			change: func(_ *testing.T, _ *acrtest.Server, tr *http.Transport) {
				tr.DialContext = (&net.Dialer{}).DialContext
			},
		},
		{
			id: "a proxy", named: true, name: name + " is resolved by the proxy 127.0.0.1:", way: "through the proxy 127.0.0.1:",
			change: func(t *testing.T, srv *acrtest.Server, tr *http.Transport) {
				tr.Proxy, tr.DialContext = http.ProxyURL(newTunnel(t, srv)), (&net.Dialer{}).DialContext
			},
		},
	} {
		t.Run(tt.id, func(t *testing.T) {
			t.Parallel()
			var opts []acrtest.Option
			if tt.named {
				opts = append(opts, acrtest.WithLoginServer(name))
			}
			srv := acrsuite.NewServer(t, opts...)
			hc := srv.HTTPClient()
			tr, _ := hc.Transport.(*http.Transport)
			if tt.change != nil {
				tt.change(t, srv, tr)
			}
			host := srv.Host()
			if tt.host != nil {
				host = tt.host(srv)
			}
			o := acrsuite.ClientOptions(srv, hc)
			o.AllowedHosts = []string{host}
			c, err := acr.NewClient(host, srv.Credential(), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.CloseIdleConnections)
			report, err := c.Doctor(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if s := report.Step(acr.DoctorName); s.Status != acr.DoctorOK || !strings.HasPrefix(s.Seen, tt.name) {
				t.Errorf("name: %s: %s", s.Status, s.Seen)
			}
			if s := report.Step(acr.DoctorConnection); s.Status != acr.DoctorOK || !strings.HasPrefix(s.Seen, tt.way) {
				t.Errorf("connection: %s: %s", s.Status, s.Seen)
			}
			if s := report.Step(acr.DoctorTLS); s.Status != acr.DoctorOK {
				t.Errorf("tls: %s: %s", s.Status, s.Seen)
			}
			healthyText(t, report)
		})
	}
}
