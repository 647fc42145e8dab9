package acrtest_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A refusal reaches a client that sends its whole body before it reads: the front end of the service reads on, as some SDKs need
// that send the first request of an upload without a token.
func TestRefusalReachesAClientThatSendsItsBodyFirst(t *testing.T) {
	t.Parallel()
	s := acrtest.New(t, acrtest.WithMaxBody(32<<20))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA())
	for _, test := range []struct {
		name, method, path string
		size               int
		status             int
	}{
		{"no token", "PATCH", "/v2/app/blobs/uploads/some-session", 16 << 20, http.StatusUnauthorized},
		{"no token, in one request", "POST", "/v2/app/blobs/uploads/?digest=sha256:" + zeroDigest, 4 << 20, http.StatusUnauthorized},
		{"no route", "POST", "/v3/app", 16 << 20, http.StatusNotFound},
		{"a method that is not allowed", "POST", "/v2/_catalog", 16 << 20, http.StatusMethodNotAllowed},
		{"too large", "PATCH", "/v2/app/blobs/uploads/some-session", 33 << 20, http.StatusRequestEntityTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				conn, err := tls.Dial("tcp", s.Host(), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", test.method, test.path, s.Host(), test.size)
				if _, err := conn.Write(bytes.Repeat([]byte("x"), test.size)); err != nil {
					t.Fatalf("the body: %v", err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatalf("the reply: %v", err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != test.status {
					t.Errorf("status %d, want %d", resp.StatusCode, test.status)
				}
			}
		})
	}
}
