package attack_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestAttacksOnEmulator: what a mistake in a test must not lead to.
func TestAttacksOnEmulator(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A63 emulator for everybody", func(t *testing.T) {
		for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
			srv, err := acrtest.Start(acrtest.WithListen(address))
			if err == nil {
				srv.Close()
			}
			if !errors.Is(err, acrtest.ErrRemoteAccess) {
				t.Errorf("%s: %v", address, err)
			}
		}
		srv, err := acrtest.Start(acrtest.WithListen("0.0.0.0:0"), acrtest.WithRemoteAccess())
		if err != nil {
			t.Fatal(err)
		}
		srv.Close()
	})
	acrsuite.Row(t, "A64 real token", func(t *testing.T) {
		var logged bytes.Buffer
		srv := acrsuite.NewServer(t, acrtest.WithLogger(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		part := base64.RawURLEncoding.EncodeToString
		token := part([]byte(`{"alg":"RS256"}`)) + "." + part([]byte(`{"aud":"https://management.azure.com","iss":"https://sts.windows.net/x/","exp":9999999999}`)) + "." + part([]byte("a signature of somebody"))
		acrsuite.Secrets.Learn(acrsuite.EntraSecret, token, "")
		form := url.Values{"grant_type": {"access_token"}, "service": {srv.Host()}, "access_token": {token}}
		client := srv.HTTPClient()
		defer client.CloseIdleConnections()
		resp, err := client.PostForm(srv.Endpoint()+"/oauth2/exchange", form)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || logged.Len() == 0 {
			t.Errorf("status %d, logged %q", resp.StatusCode, &logged)
		}
		if acrsuite.Secrets.LookHard("the log of the emulator", logged.String()) || acrsuite.Secrets.LookHard("its ledger", fmt.Sprintf("%+v", srv.Ledger().Requests())) {
			t.Error("the token is kept")
		}
	})
}

// TestFaultsOfProxies: what stands between the client and the registry, and says no.
func TestFaultsOfProxies(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F75 proxy that refuses the tunnel", func(t *testing.T) {
		for _, status := range []int{http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusBadGateway} {
			w := acrsuite.NewWorld(t)
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) }))
			t.Cleanup(server.Close)
			at, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			tr := named(t, w.Srv, "", "")
			tr.Proxy = http.ProxyURL(at)
			w.Transport, w.Spy = &http.Client{Transport: tr}, nil
			w.Options = []acrsuite.Option{acrsuite.Once}
			w.Over([]acrsuite.Call{acrsuite.CallNamed(t, "Repository.GetManifest"), acrsuite.CallNamed(t, "Repository.GetBlob")}, func(f *acrsuite.Fixture) {
				err := f.Run()
				if err == nil || errors.Is(err, acr.ErrNotFound) {
					f.Errorf("%v", err)
					return
				}
				acrsuite.OneLine(t, err)
				if text := strings.ToLower(err.Error()); !strings.Contains(text, "proxy") && !strings.Contains(text, strings.ToLower(http.StatusText(status))) {
					f.Errorf("the error does not say what the proxy said: %v", err)
				}
			})
		}
	})
}
