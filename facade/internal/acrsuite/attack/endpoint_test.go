package attack_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// fixedToken is a credential with one token.
type fixedToken string

// GetToken implements azcore.TokenCredential.
func (f fixedToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(f)}, nil
}

// TestAttacksOnEndpoint: names that look like a registry's, and what lies between it and the client.
func TestAttacksOnEndpoint(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A20 endpoint that is no registry", func(t *testing.T) {
		for _, host := range []string{
			"evil.azurecr.io.attacker.com", "azurecr.io", "azurecr.io.", "registry.azurecr.io.", "registry.azurecr.io..", "evilazurecr.io", "evil-azurecr.io", "x.y.azurecr.io",
			"registry.azurecr.io:8443", "registry.azurecr.io:80", "EVIL.AZURECR.IO.ATTACKER.COM", "registry.azurecr.iо", "régistry.azurecr.io", "xn--rgistry-bya.azurecr.io",
			"127.0.0.1", "10.0.0.4:5000", "[::1]", "localhost", "169.254.169.254", "2130706433", "registry.azurecr.io@attacker.com", "attacker.com#.azurecr.io", "attacker.com?.azurecr.io",
			"attacker.com/.azurecr.io", `attacker.com\.azurecr.io`, "attacker.com%2f.azurecr.io", "registry.azurecr.io\n.attacker.com", "registry.azurecr.io.attacker.com:443", ".azurecr.io", "-.azurecr.io",
			"registry.geo.azurecr.io", "a.b.c.geo.azurecr.io", "registry.azurecr.com", "",
		} {
			for _, endpoint := range []string{host, "https://" + host} {
				for with, err := range construct(endpoint, nil) {
					if !errors.Is(err, acr.ErrInvalidArgument) {
						t.Errorf("%s: NewClient %s: %v", endpoint, with, err)
					}
					acrsuite.Secrets.LookError("the error of a constructor", err)
				}
			}
		}
		// Upper case is the same registry, and goes on as lower case.
		c, err := acr.NewClient("https://MyRegistry.AzureCR.io", nil, nil)
		if err != nil || c.Endpoint() != "https://myregistry.azurecr.io" {
			t.Errorf("%v, %v", c, err)
		}
		// What is named may be used, by that very name and port.
		for host, ok := range map[string]bool{"10.0.0.4:5000": true, "10.0.0.4": false, "10.0.0.4:5001": false, "10.0.0.40:5000": false} {
			for with, err := range construct(host, []string{"10.0.0.4:5000"}) {
				if (err == nil) != ok {
					t.Errorf("%s: NewClient %s with 10.0.0.4:5000 allowed: %v", host, with, err)
				}
			}
		}
	})
	acrsuite.Row(t, "A23 endpoint without TLS", func(t *testing.T) {
		for _, endpoint := range []string{"http://registry.azurecr.io", "HTTP://registry.azurecr.io", "http://localhost:5000", "ftp://registry.azurecr.io", "//registry.azurecr.io", "unix:///registry.azurecr.io"} {
			for with, err := range construct(endpoint, []string{"localhost:5000"}) {
				if !errors.Is(err, acr.ErrInvalidArgument) {
					t.Errorf("%s: NewClient %s: %v", endpoint, with, err)
				}
			}
		}
	})
	acrsuite.Row(t, "A24 proxy of an attacker", hostileProxy)
	acrsuite.Row(t, "A25 two replies to one request", smuggledReply)
}

// construct makes a client with each kind of credential.
func construct(endpoint string, allowed []string) map[string]error {
	o := &acr.ClientOptions{AllowedHosts: allowed}
	out := map[string]error{}
	_, out["with an Entra credential"] = acr.NewClient(endpoint, fixedToken("x"), o)
	_, out["without"] = acr.NewClient(endpoint, nil, o)
	_, out["with a password"] = acr.NewClientWithPassword(endpoint, "user", "password", o)
	_, out["with a refresh token"] = acr.NewClientWithRefreshToken(endpoint, "token", o)
	return out
}

// proxyVariable tells a child of the test to sign in by the proxy of its environment.
const proxyVariable = "ACR_SUITE_PROXY_CHILD"

// TestThroughProxy is the child of A24; by itself it does nothing.
func TestThroughProxy(t *testing.T) {
	t.Parallel()
	token := os.Getenv(proxyVariable)
	if token == "" {
		t.Skip("only as a child")
	}
	c, err := acr.NewClient("suite.azurecr.io", fixedToken(token), &acr.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if err := c.Ping(t.Context()); err == nil {
		t.Error("there is no such registry behind this proxy")
	}
}

// hostileProxy puts a proxy between client and registry: it gets to see CONNECT and ciphertext.
func hostileProxy(t *testing.T) {
	w := acrsuite.NewWorld(t)
	p := &proxy{dial: w.Srv.DialContext}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	tr := named(t, w.Srv, "", "")
	tr.Proxy = http.ProxyURL(at)
	w.Transport, w.Spy = &http.Client{Transport: tr}, nil
	w.Over([]acrsuite.Call{acrsuite.CallNamed(t, "Repository.GetManifest"), acrsuite.CallNamed(t, "Repository.GetBlob"), acrsuite.CallNamed(t, "Repository.UploadBlob in chunks")}, func(f *acrsuite.Fixture) {
		f.MustWork(f.Run())
		f.Client.CloseIdleConnections()
	})
	tr.CloseIdleConnections()
	p.wait()
	for _, r := range p.requests() {
		acrsuite.Secrets.LookHard("a request at a proxy", r)
		if !strings.HasPrefix(r, "CONNECT ") || strings.Contains(strings.ToLower(r), "authorization:") {
			t.Errorf("the proxy saw %q", strings.SplitN(r, "\n", 2)[0])
		}
	}
	acrsuite.Secrets.LookHard("what goes through a proxy", p.traffic())
	if len(p.requests()) == 0 || p.traffic() == "" {
		t.Error("nothing went through the proxy")
	}

	// The library's own transport goes by the environment, which a process reads once.
	closed := &proxy{}
	server = httptest.NewServer(closed)
	t.Cleanup(server.Close)
	token := w.Srv.EntraToken()
	acrsuite.Secrets.Learn(acrsuite.EntraSecret, token, "")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestThroughProxy$") // ourselves
	child.Env = append(os.Environ(), "HTTPS_PROXY="+server.URL, "HTTP_PROXY="+server.URL, "NO_PROXY=", "no_proxy=", "REQUEST_METHOD=", proxyVariable+"="+token)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	acrsuite.Secrets.LookHard("the output of a process behind a proxy", string(out))
	seen := closed.requests()
	if len(seen) == 0 {
		t.Error("the proxy of the environment was not used")
	}
	for _, r := range seen {
		acrsuite.Secrets.LookHard("a request at a proxy", r)
		if !strings.HasPrefix(r, "CONNECT suite.azurecr.io:443") {
			t.Errorf("the proxy saw %q", r)
		}
	}
}

// proxy is an http proxy that writes down everything. Without dial it refuses.
type proxy struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	open sync.WaitGroup

	mu   sync.Mutex
	seen []string
	sent bytes.Buffer
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.RequestURI+"\n"+acrsuite.Dump(r))
	p.mu.Unlock()
	if p.dial == nil || r.Method != http.MethodConnect {
		http.Error(w, "no way", http.StatusBadGateway)
		return
	}
	far, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = far.Close()
		return
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n") // a client that is gone is seen below
	p.open.Go(func() {
		_, _ = io.Copy(io.MultiWriter(far, p), buffered)
		_ = far.Close()
	})
	p.open.Go(func() {
		_, _ = io.Copy(near, far)
		_ = near.Close()
	})
}

// Write keeps what a client sends through the tunnel.
func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent.Write(b)
}

func (p *proxy) wait() { p.open.Wait() }

func (p *proxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.seen...)
}

func (p *proxy) traffic() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent.String()
}

// smuggledReply answers a request with two replies: the second must not be taken for the answer to the next request.
func smuggledReply(t *testing.T) {
	// A registry of one page of names, whose first reply is followed by another one that nobody asked for.
	evil := `{"repositories":["smuggled"]}`
	good := `{"repositories":["good"]}`
	reply := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	donor := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	config := &tls.Config{Certificates: donor.TLS.Certificates, MinVersion: tls.VersionTLS12}
	donor.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var asked atomic.Int64
	dropped := make(chan struct{}, 1)
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return
					}
					switch {
					case strings.HasPrefix(r.URL.Path, "/oauth2/"):
						_, err = io.WriteString(conn, reply(`{"access_token":"opaque"}`))
					case asked.Add(1) == 1:
						if _, err = io.WriteString(conn, reply(good)+reply(evil)); err == nil {
							_, err = conn.Read(make([]byte, 1)) // the client closes what it cannot trust
							dropped <- struct{}{}
						}
					default:
						_, err = io.WriteString(conn, reply(good))
					}
					if err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // a certificate of another test's
	t.Cleanup(tr.CloseIdleConnections)
	o := &acr.ClientOptions{AllowedHosts: []string{l.Addr().String()}}
	o.Transport = &http.Client{Transport: tr}
	c, err := acr.NewClient(l.Addr().String(), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		names, err := acr.Collect(c.Repositories(t.Context(), nil))
		if err != nil || len(names) != 1 || names[0] != "good" {
			t.Errorf("list %d: %q, %v", i, names, err)
		}
		if i == 0 {
			select {
			case <-dropped:
			case <-t.Context().Done():
				t.Fatal("the connection was kept")
			}
		}
	}
}
