package acrtest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// The whole of it, TLS and all, lives in a bubble: time passes at once, and in step for both sides.
func TestMemoryNetworkInSynctest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, acrtest.WithMemoryNetwork(), acrtest.WithLatency(time.Hour))
		began := time.Now()
		c.token("repository:a:pull")
		if took := time.Since(began); took != 2*time.Hour {
			t.Errorf("two requests with an hour's latency took %v", took)
		}
		c.s.On("GetAccessToken").Stall()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		req := c.request(http.MethodGet, "/oauth2/token?service="+c.s.Host(), "", nil).WithContext(ctx)
		c.s.On("GetAccessTokenWithBasic").Stall()
		if _, err := c.http.Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
		c.http.CloseIdleConnections()
		c.s.Close()
	})
}

func TestMemoryNetworkRefusesOthers(t *testing.T) {
	t.Parallel()
	c := newClient(t, acrtest.WithMemoryNetwork())
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, other.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := c.http.Do(req); err == nil {
		resp.Body.Close()
		t.Error("a client of the memory network reached a socket")
	}
}

func TestLoginServerByName(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]acrtest.Option{
		{acrtest.WithLoginServer("myregistry.azurecr.io")},
		{acrtest.WithLoginServer("myregistry.azurecr.io"), acrtest.WithMemoryNetwork()},
	} {
		c := newClient(t, opts...)
		if got := c.s.Endpoint(); got != "https://myregistry.azurecr.io" {
			t.Errorf("endpoint %s", got)
		}
		c.token("repository:a:pull")
	}
}

func TestBandwidth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, acrtest.WithMemoryNetwork(), acrtest.WithBandwidth(1000))
		began := time.Now()
		c.token("repository:a:pull")
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("some 3 kB at 1 kB/s took %v", took)
		}
		c.s.Close()
	})
}

func TestCanary(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	url, err := c.s.Canary(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.s.On("GetAccessToken").Redirect(http.StatusTemporaryRedirect, url+"/steal")
	// net/http replays the body of a POST on a 307: just what a careful client must not allow.
	a := c.form("/oauth2/token", "grant_type", "refresh_token", "service", c.s.Host(), "refresh_token", "secret")
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d", a.StatusCode)
	}
	var failed recordingT
	c.s.Ledger().NoCredentialLeaked(&failed)
	if !failed.failed {
		t.Error("the canary did not notice the token")
	}
	if n := c.s.Ledger().Count("Canary"); n != 1 {
		t.Errorf("%d requests at the canary", n)
	}
}

// recordingT is a testing.TB that only remembers that it failed.
type recordingT struct {
	testing.TB

	failed bool
}

func (*recordingT) Helper()                 {}
func (r *recordingT) Errorf(string, ...any) { r.failed = true }
func (r *recordingT) Error(...any)          { r.failed = true }

func TestHTTP2(t *testing.T) {
	t.Parallel()
	c := newClient(t, acrtest.WithHTTP2())
	c.s.SeedImage(t, "a:v1")
	a := c.call(http.MethodGet, "/v2/a/manifests/v1", c.token("repository:a:pull"))
	if a.ProtoMajor != 2 || a.StatusCode != http.StatusOK {
		t.Errorf("%s %d", a.Proto, a.StatusCode)
	}
	c.s.On("CheckSupport").Header("Connection", "close") // a GOAWAY
	token := c.token("repository:a:pull")
	for range 3 {
		if a := c.call(http.MethodGet, "/v2/", token); a.StatusCode != http.StatusOK {
			t.Errorf("status %d", a.StatusCode)
		}
	}
	calls := c.s.Ledger().Requests("CheckSupport")
	if calls[0].Connection == calls[2].Connection {
		t.Error("the connection outlived its GOAWAY")
	}
}
