package transport_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
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

// speak serves TLS connections by a function each, until the test ends, and returns the server's URL, a client that
// trusts it, and how many connections were made.
func speak(t *testing.T, protocols []string, serve func(net.Conn)) (string, *http.Client, *atomic.Int32) {
	t.Helper()
	home := httptest.NewUnstartedServer(nil)
	home.StartTLS()
	config := home.TLS.Clone()
	config.NextProtos = protocols
	client := home.Client()
	home.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var made atomic.Int32
	var conns sync.Map
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			made.Add(1)
			conns.Store(conn, nil)
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = l.Close()
		conns.Range(func(conn, _ any) bool { _ = conn.(net.Conn).Close(); return true })
		wg.Wait()
	})
	return "https://" + l.Addr().String(), client, &made
}

// answers reads requests and answers each with the text that reply returns, until that is empty.
func answers(reply func(n int) string) func(net.Conn) {
	return func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for n := 0; ; n++ {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			text := reply(n)
			if text == "" {
				return
			}
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"

// Only what can have been spoken is taken for an answer.
func TestImpossibleVersions(t *testing.T) {
	t.Parallel()
	for version, taken := range map[string]bool{
		"HTTP/1.1": true, "HTTP/1.0": true,
		"HTTP/9.9": false, "HTTP/0.9": false, "HTTP/1.2": false, "HTTP/2.0": false, "HTTP/3.0": false, "HTTP/0.0": false,
	} {
		url, client, _ := speak(t, nil, answers(func(int) string {
			return version + " 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
		}))
		for name, base := range map[string]*http.Client{"ours": nil, "the caller's": client} {
			t.Run(version+", "+name, func(t *testing.T) {
				t.Parallel()
				var tr *transport.Transport
				if base == nil {
					tr = transport.New(parse(t, url), nil, nil)
					transport.TrustForTest(tr, client)
				} else {
					tr = transport.New(parse(t, url), base, nil)
				}
				defer tr.CloseIdleConnections()
				resp, err := tr.Do(request(t, call.API, http.MethodGet, url, nil))
				if err == nil {
					_ = resp.Body.Close()
				}
				if taken && err != nil || !taken && !wire.IsUntrusted(err, wire.BadVersion) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// Interim responses are bounded, over whatever transport.
func TestInterimFlood(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		count int
		text  string
		fails bool
	}{
		{"a few", 20, "HTTP/1.1 103 Early Hints\r\n\r\n", false},
		{"many", 1000, "HTTP/1.1 103 Early Hints\r\n\r\n", true},
		{"many, 102", 1000, "HTTP/1.1 102 Processing\r\nX: " + strings.Repeat("y", 1000) + "\r\n\r\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int32
			url, client, _ := speak(t, nil, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				for range row.count {
					if _, err := io.WriteString(conn, row.text); err != nil {
						return
					}
					sent.Add(1)
				}
				_, _ = io.WriteString(conn, fine)
			})
			tr := transport.New(parse(t, url), client, nil)
			defer tr.CloseIdleConnections()
			resp, err := tr.Do(request(t, call.API, http.MethodGet, url, nil))
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err != nil) != row.fails || row.fails && !strings.Contains(err.Error(), "interim response") {
				t.Errorf("%v after %d", err, sent.Load())
			}
		})
	}
}

// A connection that lay idle and breaks before a byte of an answer is told apart from one that breaks later, or was new.
func TestLostIdleConnection(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		first string // to the second request; "" closes the connection
		idle  bool
	}{
		{"closed", "", true},
		{"half a header", "HTTP/1.1 200 OK\r\nContent-", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			url, client, made := speak(t, nil, func(conn net.Conn) {
				answers(func(int) string {
					switch requests.Add(1) {
					case 2:
						if row.first != "" {
							_, _ = io.WriteString(conn, row.first)
						}
						return ""
					}
					return fine
				})(conn)
			})
			tr := transport.New(parse(t, url), nil, nil)
			transport.TrustForTest(tr, client)
			defer tr.CloseIdleConnections()
			for n := range 3 {
				resp, err := tr.Do(request(t, call.API, http.MethodPut, url, []byte("body")))
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				if n != 1 && err != nil || n == 1 && (err == nil || transport.IsLostIdle(err) != row.idle) {
					t.Errorf("request %d: %v", n, err)
				}
			}
			if made.Load() != 2 {
				t.Errorf("%d connections", made.Load())
			}
		})
	}
	t.Run("a new connection", func(t *testing.T) {
		t.Parallel()
		url, client, _ := speak(t, nil, answers(func(int) string { return "" }))
		tr := transport.New(parse(t, url), client, nil)
		defer tr.CloseIdleConnections()
		_, err := tr.Do(request(t, call.API, http.MethodPut, url, []byte("body"))) //nolint:bodyclose // there is none
		if err == nil || transport.IsLostIdle(err) || !errors.Is(err, io.EOF) {
			t.Errorf("%v", err)
		}
	})
}

// net/http makes one connection after the other where each is closed by an HTTP/2 GOAWAY; an attempt ends after a few.
func TestGoAwayOnEveryConnection(t *testing.T) {
	t.Parallel()
	url, client, made := speak(t, []string{"h2"}, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		_, _ = conn.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))                                 // SETTINGS
		_, _ = conn.Write([]byte("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) // GOAWAY
		_, _ = io.Copy(io.Discard, conn)
	})
	h2 := client.Transport.(*http.Transport).Clone()
	h2.ForceAttemptHTTP2 = true
	h2.TLSClientConfig.NextProtos = nil
	h2.Protocols = nil
	defer h2.CloseIdleConnections()
	tr := transport.New(parse(t, url), &http.Client{Transport: h2}, nil)
	_, err := tr.Do(request(t, call.API, http.MethodGet, url, nil)) //nolint:bodyclose // there is none
	if err == nil || made.Load() > 20 {
		t.Errorf("%v after %d connections", err, made.Load())
	}

}
