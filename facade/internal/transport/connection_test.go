package transport_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// A24: a proxy learns the host and nothing else.
func TestTransportProxy(t *testing.T) {
	t.Parallel()
	home, rec := serve(t, func(http.ResponseWriter, *http.Request) {})
	seen := &recorder{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.add(r)
		if r.Method != http.MethodConnect {
			return
		}
		up, err := net.Dial("tcp", home.Listener.Addr().String())
		if err != nil {
			return
		}
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(up, down); _ = up.Close() }()
		_, _ = io.Copy(down, up)
		_ = down.Close()
	}))
	defer proxy.Close()
	client := home.Client()
	client.Transport.(*http.Transport).Proxy = http.ProxyURL(parse(t, proxy.URL))
	tr := transport.New(parse(t, home.URL), client, nil)
	resp, err := tr.Do(request(t, call.API, http.MethodGet, home.URL+"/x", nil))
	if err != nil {
		t.Fatal(err)
	}
	wire.Drain(resp)
	client.CloseIdleConnections()
	if len(rec.requests()) != 1 || len(seen.requests()) != 1 {
		t.Fatalf("%d at home, %d at the proxy", len(rec.requests()), len(seen.requests()))
	}
	if r := seen.requests()[0]; r.Method != http.MethodConnect || r.Header.Get("Authorization") != "" || r.Header.Get("Proxy-Authorization") != "" {
		t.Error(r.Method, r.Header)
	}
}

// A25: a second reply on the connection is thrown away with it.
func TestTransportSecondReply(t *testing.T) {
	t.Parallel()
	home := httptest.NewUnstartedServer(nil)
	cert := func() *tls.Config { home.StartTLS(); return home.TLS.Clone() }()
	defer home.Close()
	cert.NextProtos = nil
	l, err := tls.Listen("tcp", "127.0.0.1:0", cert)
	if err != nil {
		t.Fatal(err)
	}
	done, dropped := make(chan struct{}), make(chan struct{}, 3)
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 4<<10)
				if _, err := c.Read(buf); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				_, _ = c.Read(buf) // the client closes what it cannot trust
				dropped <- struct{}{}
			}()
		}
	}()
	login := "https://" + l.Addr().String()
	tr := transport.New(parse(t, login), home.Client(), nil)
	for range 3 {
		resp, err := tr.Do(request(t, call.API, http.MethodGet, login, nil))
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != "good" {
			t.Errorf("%q", b)
		}
		_ = resp.Body.Close()
		// net/http finds the second reply when it looks at the idle connection, which a request in the same moment may be given.
		select {
		case <-dropped:
		case <-time.After(time.Minute):
			t.Fatal("the connection was kept")
		}
	}
	_ = l.Close()
	<-done
	home.Client().CloseIdleConnections()
}

// A33, F62: transports that are not ours are held to the header timeout too, from the end of the body on.
func TestTransportHeaderTimeout(t *testing.T) {
	t.Parallel()
	const own = 7 * time.Minute
	for _, row := range []struct {
		name     string
		kind     call.Kind
		method   string
		body     string
		timeouts transport.Timeouts
		want     time.Duration
	}{
		{"read", call.API, http.MethodGet, "", transport.Timeouts{}, 3 * time.Minute},
		{"blob", call.Blob, http.MethodGet, "", transport.Timeouts{}, 3 * time.Minute},
		{"status of an upload", call.Upload, http.MethodGet, "", transport.Timeouts{}, 3 * time.Minute},
		{"read, set", call.API, http.MethodHead, "", transport.Timeouts{Read: own}, own},
		{"open an upload", call.Upload, http.MethodPost, "", transport.Timeouts{}, 10 * time.Minute},
		{"small blob", call.Upload, http.MethodPost, "x", transport.Timeouts{}, 30 * time.Minute},
		{"chunk", call.Upload, http.MethodPatch, "x", transport.Timeouts{}, 10 * time.Minute},
		{"chunk, set", call.Upload, http.MethodPatch, "x", transport.Timeouts{Chunk: own}, own},
		{"commit", call.Upload, http.MethodPut, "", transport.Timeouts{}, 30 * time.Minute},
		{"commit with the last chunk", call.Upload, http.MethodPut, "x", transport.Timeouts{}, 30 * time.Minute},
		{"manifest", call.API, http.MethodPut, "x", transport.Timeouts{}, 30 * time.Minute},
		{"delete", call.API, http.MethodDelete, "", transport.Timeouts{}, 30 * time.Minute},
		{"update, set", call.API, http.MethodPatch, "x", transport.Timeouts{Write: own}, own},
		{"token", call.Token, http.MethodPost, "x", transport.Timeouts{}, 65 * time.Second},
		{"token, set", call.Token, http.MethodGet, "", transport.Timeouts{Token: own}, own + 5*time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sent time.Duration
				silent := transporterFunc(func(r *http.Request) (*http.Response, error) {
					if r.Body != nil && r.Body != http.NoBody {
						for buf := make([]byte, 1); ; sent += 100 * time.Second {
							if _, err := r.Body.Read(buf); err != nil {
								break
							}
							time.Sleep(100 * time.Second) // a slow connection is no silent server
						}
						_ = r.Body.Close()
					}
					<-r.Context().Done()
					return nil, r.Context().Err()
				})
				tr := transport.New(parse(t, "https://reg.azurecr.io"), silent, &transport.Options{Timeouts: row.timeouts})
				var body []byte
				if row.body != "" {
					body = bytes.Repeat([]byte(row.body), 100)
				}
				start := time.Now()
				_, err := tr.Do(request(t, row.kind, row.method, "https://reg.azurecr.io/", body))
				if took := time.Since(start) - sent; !errors.Is(err, transport.ErrHeaderTimeout) || !errors.Is(err, wait.ErrStalled) || took != row.want {
					t.Errorf("%v after %v, want %v", err, took, row.want)
				}
				var ne net.Error
				if !errors.As(err, &ne) || !ne.Timeout() {
					t.Error("not a timeout:", err)
				}
			})
		})
	}
	t.Run("no limit", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			slow := transporterFunc(func(r *http.Request) (*http.Response, error) {
				time.Sleep(48 * time.Hour)
				return &http.Response{StatusCode: http.StatusAccepted, Request: r}, nil
			})
			tr := transport.New(parse(t, "https://reg.azurecr.io"), slow, &transport.Options{Timeouts: transport.Timeouts{Write: -1}})
			resp, err := tr.Do(request(t, call.API, http.MethodDelete, "https://reg.azurecr.io/", nil))
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		})
	})
}

type transporterFunc func(*http.Request) (*http.Response, error)

func (f transporterFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// A thousand calls at once share a few connections.
func TestOwnTransportConnections(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	home := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	home.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	home.StartTLS()
	defer home.Close()
	tr := transport.New(parse(t, home.URL), nil, nil)
	defer tr.CloseIdleConnections()
	transport.TrustForTest(tr, home.Client())
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			resp, err := tr.Do(request(t, call.API, http.MethodGet, home.URL, nil))
			if err != nil {
				t.Error(err)
				return
			}
			if resp.ProtoMajor != 1 {
				t.Error(resp.Proto)
			}
			wire.Drain(resp)
		})
	}
	wg.Wait()
	if n := conns.Load(); n > 200 { // a hundred, and some that are dialled anew because the machine is slow to read a reply to its end
		t.Errorf("%d connections", n)
	}
}
