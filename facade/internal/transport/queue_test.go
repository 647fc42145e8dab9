package transport_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// Calls that wait for a connection behind others do not wait for the server: however long that takes, none of them is timed out.
func TestQueueForConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var servers sync.WaitGroup
		slow := func(conn net.Conn) { // answers each request after two minutes
			defer func() { _ = conn.Close() }()
			for r := bufio.NewReader(conn); ; {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				time.Sleep(2 * time.Minute)
				if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
					return
				}
			}
		}
		client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			servers.Go(func() { slow(there) })
			return here, nil
		}}}
		tr := transport.New(parse(t, "https://reg.azurecr.io"), client, nil)
		var calls sync.WaitGroup
		began := time.Now()
		for range 4 { // the last of them has its answer after eight minutes; a read may take three
			calls.Go(func() {
				resp, err := tr.Do(request(t, call.API, http.MethodGet, "https://reg.azurecr.io/x", nil))
				if err != nil {
					t.Errorf("after %v: %v", time.Since(began), err)
					return
				}
				wire.Drain(resp)
			})
		}
		calls.Wait()
		client.CloseIdleConnections()
		servers.Wait()
	})
}

// A token is fetched although calls hold every connection that they may have, pinned or not, and each request is reported.
func TestTokensDoNotQueue(t *testing.T) {
	t.Parallel()
	for _, pinned := range []bool{false, true} {
		held, release := make(chan struct{}, 100), make(chan struct{})
		s, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				held <- struct{}{}
				<-release
			}
		})
		var told atomic.Int64
		tr := transport.New(parse(t, s.URL), nil, &transport.Options{OnRequest: func(context.Context, observe.Request) { told.Add(1) }})
		transport.TrustForTest(tr, s.Client())
		t.Cleanup(tr.CloseIdleConnections)
		var pin *transport.Pin
		if pinned {
			pin = tr.NewPin(false)
			t.Cleanup(pin.Close)
		}
		var calls sync.WaitGroup
		send := func(kind call.Kind, path string) {
			r := request(t, kind, http.MethodGet, s.URL+path, nil)
			resp, err := tr.Do(r.WithContext(pin.With(r.Context())))
			if err != nil {
				t.Error(err)
				return
			}
			wire.Drain(resp)
		}
		for range cap(held) {
			calls.Go(func() { send(call.API, "/slow") })
		}
		for range cap(held) {
			<-held
		}
		send(call.Token, "/oauth2/token")
		close(release)
		calls.Wait()
		if n := told.Load(); n != 101 {
			t.Errorf("pinned %v: %d of 101 requests were reported", pinned, n)
		}
	}
}
