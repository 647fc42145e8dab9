package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// fetch makes the road of a blob GET: ask the registry, check the link, ask storage.
func fetch(t testing.TB, tr *transport.Transport, method, at string, header http.Header) (*http.Response, error) {
	t.Helper()
	resp, err := tr.Do(request(t, call.Blob, method, at, nil))
	if err != nil {
		return nil, err
	}
	link, err := tr.BlobLink(resp)
	if err != nil {
		return nil, err
	}
	return tr.Fetch(t.Context(), link, header)
}

func redirectTo(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// A04, A06, A18: what goes to storage is bare, and what it answers is not acted upon.
func TestFetchIsBare(t *testing.T) {
	t.Parallel()
	storage, seen := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Www-Authenticate", `Bearer realm="https://evil.invalid/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	home, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "canary"})
		redirectTo(w, storage.URL+"/container//blob?sig=a%2Bb%3D&x")
	})
	tr := transportOf(t, home, nil)
	resp, err := fetch(t, tr, http.MethodGet, home.URL+"/v2/a/blobs/d", http.Header{
		"Range": {"bytes=1-2"}, "Authorization": {"Bearer canary"}, "Cookie": {"c=canary"}, "Referer": {"https://canary"}, "X-Ms-Client-Request-Id": {"canary"}, "User-Agent": {"ua"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wire.Drain(resp)
	if resp.StatusCode != http.StatusUnauthorized || len(seen.requests()) != 1 {
		t.Fatalf("A04: %d after %d requests", resp.StatusCode, len(seen.requests()))
	}
	r := seen.requests()[0]
	if text := fmt.Sprint(r.Header); strings.Contains(text, "canary") || r.Header.Get("Authorization") != "" {
		t.Error("A06", text)
	}
	if r.RequestURI != "/container//blob?sig=a%2Bb%3D&x" || r.Header.Get("Range") != "bytes=1-2" || r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("User-Agent") != "ua" {
		t.Error(r.RequestURI, r.Header)
	}
}

func TestFetchKeepsMethod(t *testing.T) {
	t.Parallel()
	storage, seen := serve(t, func(http.ResponseWriter, *http.Request) {})
	home, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { redirectTo(w, storage.URL) })
	tr := transportOf(t, home, nil)
	req := request(t, call.Blob, http.MethodHead, home.URL, nil)
	req.Header.Set("User-Agent", "their-app")
	resp, err := tr.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	link, err := tr.BlobLink(resp)
	if err != nil {
		t.Fatal(err)
	}
	resp, err = tr.Fetch(t.Context(), link, nil)
	if err != nil {
		t.Fatal(err)
	}
	wire.Drain(resp)
	if r := seen.requests()[0]; r.Method != http.MethodHead || r.Header.Get("User-Agent") != "their-app" {
		t.Error(r.Method, r.Header)
	}
}

// A16: home to elsewhere and back; A36: for ever.
func TestFetchChains(t *testing.T) {
	t.Parallel()
	var home, away *httptest.Server
	away, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) { redirectTo(w, home.URL+"/end") })
	home, seen := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/start":
			redirectTo(w, away.URL)
		case "/inside":
			redirectTo(w, "/end")
		case "/loop":
			redirectTo(w, "/loop")
		}
	})
	tr := transportOf(t, home, nil)
	last := func() *http.Request { all := seen.requests(); return all[len(all)-1] }

	resp, err := fetch(t, tr, http.MethodGet, home.URL+"/start", nil)
	if err != nil {
		t.Fatal(err)
	}
	wire.Drain(resp)
	if r := last(); r.URL.Path != "/end" || r.Header.Get("Authorization") != "" {
		t.Error("A16", r.URL, r.Header)
	}

	resp, err = fetch(t, tr, http.MethodGet, home.URL+"/inside", nil)
	if err != nil {
		t.Fatal(err)
	}
	wire.Drain(resp)
	if r := last(); r.Header.Get("Authorization") != "Bearer canary" {
		t.Error("a redirect at home lost the token")
	}

	before := len(seen.requests())
	if _, err := fetch(t, tr, http.MethodGet, home.URL+"/loop", nil); !wire.IsUntrusted(err, wire.BadRedirect) {
		t.Error("A36", err)
	}
	if n := len(seen.requests()) - before; n != 4 {
		t.Errorf("A36: %d requests, want the first and 3 hops", n)
	}
}

func TestBlobLinkRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, to string
		strict   bool
		want     wire.Matter
	}{
		{"A05", "https://evil.reg.azurecr.io/x", true, wire.ForeignOrigin},
		{"A07", "http://reg.azurecr.io/x", false, wire.ForeignOrigin},
		{"A08 link-local", "https://169.254.169.254/x", false, wire.ForbiddenAddress},
		{"A08 host agent", "https://168.63.129.16/x", false, wire.ForbiddenAddress},
		{"A08 loopback", "https://127.0.0.1/x", false, wire.ForbiddenAddress},
		{"A17", "https://reg.azurecr.io@evil.com/x", false, wire.ForeignOrigin},
		{"missing", "", false, wire.BadRedirect},
		{"two", "https://a.blob.core.windows.net/x https://a.blob.core.windows.net/y", false, wire.BadRedirect},
		{"file", "file:///etc/passwd", false, wire.BadRedirect},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int32
			tr := transport.New(parse(t, "https://reg.azurecr.io"), transporterFunc(func(r *http.Request) (*http.Response, error) {
				sent.Add(1)
				h := http.Header{}
				for to := range strings.FieldsSeq(row.to) {
					h.Add("Location", to)
				}
				return &http.Response{StatusCode: 307, Header: h, Body: http.NoBody}, nil
			}), &transport.Options{StrictStorage: row.strict})
			_, err := fetch(t, tr, http.MethodGet, "https://reg.azurecr.io/v2/a/blobs/d", nil)
			if !wire.IsUntrusted(err, row.want) || sent.Load() != 1 {
				t.Errorf("%v after %d requests; want %v", err, sent.Load(), row.want)
			}
		})
	}
}

// elsewhere is a login origin that has no part in a test.
var elsewhere = wire.Origin{Scheme: "https", Host: "reg.azurecr.io", Port: "443"}

// A08, the second half: a harmless name that resolves to a forbidden address.
func TestDialHook(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()

	own := transport.NewStorageTransport()
	own.Proxy = nil
	transport.GuardDial(own, elsewhere, false)
	if _, err := own.DialContext(t.Context(), "tcp", l.Addr().String()); !wire.IsUntrusted(err, wire.ForbiddenAddress) {
		t.Error("own dialer:", err)
	}
	open := transport.NewStorageTransport()
	transport.GuardDial(open, elsewhere, true)
	c, err := open.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal("loopback login:", err)
	}
	_ = c.Close()

	callers := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String()) // "resolves" every name to loopback
	}}}
	guarded := transport.StorageClone(callers.Transport.(*http.Transport))
	transport.GuardDial(guarded, elsewhere, false)
	_, err = (&http.Client{Transport: guarded}).Get("https://storage.example.com/")
	if !wire.IsUntrusted(err, wire.ForbiddenAddress) {
		t.Error("caller's dialer:", err)
	}

	home, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	toHome := func(string, string) (net.Conn, error) {
		return tls.Dial("tcp", home.Listener.Addr().String(), home.Client().Transport.(*http.Transport).TLSClientConfig)
	}
	guarded = transport.StorageClone(&http.Transport{DialTLS: toHome}) //nolint:staticcheck // a caller may still use it
	transport.GuardDial(guarded, elsewhere, false)
	if _, err = (&http.Client{Transport: guarded}).Get("https://storage.example.com/"); !wire.IsUntrusted(err, wire.ForbiddenAddress) { //nolint:bodyclose // there is none
		t.Error("caller's TLS dialer of old:", err)
	}
}

// The registry is the caller's choice as well, behind a tunnel for one: the blobs that it sends itself come from wherever its name leads to, and storage still may not be there.
func TestDialHookLetsTheRegistryBe(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "blob") })
	base := s.Client().Transport.(*http.Transport).Clone()
	base.TLSClientConfig.ServerName = "example.com"
	base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}
	t.Cleanup(base.CloseIdleConnections)
	tr := transport.New(parse(t, "https://reg.azurecr.io"), &http.Client{Transport: base}, nil)
	t.Cleanup(tr.CloseIdleConnections)
	for i := range 3 { // from the second on over the connections for storage
		resp, err := tr.Do(request(t, call.Blob, http.MethodGet, "https://reg.azurecr.io/v2/a/blobs/sha256:x", nil))
		if err != nil {
			t.Fatalf("blob %d: %v", i, err)
		}
		wire.Drain(resp)
	}
	resp := &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"https://storage.example.com/x"}}, Body: http.NoBody}
	resp.Request = request(t, call.Blob, http.MethodGet, "https://reg.azurecr.io/v2/a/blobs/sha256:x", nil)
	link, err := tr.BlobLink(resp)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Fetch(t.Context(), link, nil); !wire.IsUntrusted(err, wire.ForbiddenAddress) { //nolint:bodyclose // there is none
		t.Error("storage on this machine:", err)
	}
}

// A24: a proxy is the caller's choice and may be on this machine, whoever dials.
func TestDialHookLetsProxiesBe(t *testing.T) {
	t.Parallel()
	seen := &recorder{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.add(r)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	for name, base := range map[string]*http.Transport{
		"our dialer": {}, "the caller's": {DialContext: (&net.Dialer{}).DialContext},
	} {
		base.Proxy = http.ProxyURL(parse(t, proxy.URL))
		guarded := transport.StorageClone(base)
		transport.GuardDial(guarded, elsewhere, false)
		before := len(seen.requests())
		_, err := (&http.Client{Transport: guarded}).Get("https://storage.example.com/") //nolint:bodyclose // there is none
		if n := len(seen.requests()) - before; err == nil || wire.IsUntrusted(err, wire.ForbiddenAddress) || n != 1 {
			t.Errorf("%s: %v after %d requests", name, err, n)
		}
	}
}

// Storage gets connections of its own however few the caller allows the registry, and bytes as they are.
func TestStorageClone(t *testing.T) {
	t.Parallel()
	c := transport.StorageClone(&http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1})
	if c.MaxConnsPerHost != 0 || c.MaxIdleConnsPerHost < 64 || !c.DisableCompression {
		t.Error(c.MaxConnsPerHost, c.MaxIdleConnsPerHost, c.DisableCompression)
	}
}

// Ranges at the same time go over connections of their own, though the server would speak HTTP/2.
func TestFetchOpensConnections(t *testing.T) {
	t.Parallel()
	const n = 8
	var conns atomic.Int32
	gate := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(n)
	storage := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		<-gate
		_, _ = io.WriteString(w, r.Proto)
	}))
	storage.EnableHTTP2 = true
	storage.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	storage.StartTLS()
	defer storage.Close()
	const login = "https://127.0.0.1:1"
	tr := transport.New(parse(t, login), storage.Client(), nil)
	defer tr.CloseIdleConnections()
	link, err := tr.BlobLink(&http.Response{StatusCode: 307, Header: http.Header{"Location": {storage.URL}},
		Request: request(t, call.Blob, http.MethodGet, login, nil), Body: http.NoBody})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			resp, err := tr.Fetch(t.Context(), link, nil)
			if err != nil {
				t.Error(err)
				arrived.Done()
				return
			}
			if b, _ := io.ReadAll(resp.Body); string(b) != "HTTP/1.1" {
				t.Errorf("%s", b)
			}
			_ = resp.Body.Close()
		})
	}
	arrived.Wait()
	close(gate)
	wg.Wait()
	if conns.Load() != n {
		t.Errorf("%d connections for %d ranges", conns.Load(), n)
	}
}

// A55, A58: no verb shows the signature.
func TestLinkPrintsBare(t *testing.T) {
	t.Parallel()
	tr := transport.New(parse(t, "https://reg.azurecr.io"), transporterFunc(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("connection reset")
	}), nil)
	link, err := tr.BlobLink(&http.Response{StatusCode: 307, Header: http.Header{"Location": {"https://a.blob.core.windows.net/c//d?sig=canary"}},
		Request: request(t, call.Blob, http.MethodGet, "https://reg.azurecr.io/", nil), Body: http.NoBody})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "link", link)
	_, err = tr.Fetch(t.Context(), link, nil)
	for _, text := range []string{link.String(), fmt.Sprintf("%v %+v %#v %s %q %x", link, link, link, link, link, link), log.String(), err.Error()} {
		if strings.Contains(text, "canary") || !strings.Contains(text, "blob.core.windows.net/c//d") {
			t.Error(text)
		}
	}
}
