package transport_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// F76: the name moves to another replica in the middle of a push.
func TestPin(t *testing.T) {
	t.Parallel()
	replica := func() (*httptest.Server, *recorder) { return serve(t, func(http.ResponseWriter, *http.Request) {}) }
	one, seenOne := replica()
	two, seenTwo := replica()
	var mu sync.Mutex
	answer, dialled := one.Listener.Addr().String(), []string{}
	base := one.Client().Transport.(*http.Transport).Clone()
	base.DisableKeepAlives = true // each request dials
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		dialled = append(dialled, addr)
		if addr == "example.com:443" {
			addr = answer
		}
		mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	tr := transport.New(parse(t, "https://example.com"), &http.Client{Transport: base}, nil)
	defer tr.CloseIdleConnections()
	send := func(ctx context.Context) {
		t.Helper()
		r := request(t, call.API, http.MethodGet, "https://example.com/", nil)
		resp, err := tr.Do(r.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		wire.Drain(resp)
	}
	pin := tr.NewPin(false)
	defer pin.Close()
	if pin.Address() != "" {
		t.Error("pinned before the first connection")
	}
	ctx := pin.With(t.Context())
	send(ctx)
	mu.Lock()
	answer = two.Listener.Addr().String()
	mu.Unlock()
	send(ctx)
	send(t.Context()) // without the pin
	if a, b := len(seenOne.requests()), len(seenTwo.requests()); a != 2 || b != 1 {
		t.Errorf("%d and %d requests, want 2 at the first replica and the unpinned one at the second", a, b)
	}
	if pin.Address() != one.Listener.Addr().String() {
		t.Error(pin.Address())
	}
	one.Close() // the replica dies: the push moves on
	send(ctx)
	if b := len(seenTwo.requests()); b != 2 || pin.Address() != two.Listener.Addr().String() {
		t.Errorf("%d at the second, pinned to %s", b, pin.Address())
	}
	want := []string{"example.com:443", one.Listener.Addr().String(), "example.com:443", one.Listener.Addr().String(), "example.com:443"}
	if !slices.Equal(dialled, want) {
		t.Error(dialled)
	}
}

// Two requests that dial at the same time get two addresses from the name, and go on at one.
func TestPinRace(t *testing.T) {
	t.Parallel()
	one, seenOne := serve(t, func(http.ResponseWriter, *http.Request) {})
	two, seenTwo := serve(t, func(http.ResponseWriter, *http.Request) {})
	base := one.Client().Transport.(*http.Transport).Clone()
	var dials atomic.Int32
	began, done := make(chan struct{}), make(chan struct{})
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.EqualFold(addr, "example.com:443") {
			addr = two.Listener.Addr().String()
			if dials.Add(1) == 1 { // the first to begin is the last to get there
				close(began)
				<-done
				addr = one.Listener.Addr().String()
			}
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	tr := transport.New(parse(t, "https://example.com"), &http.Client{Transport: base}, nil)
	defer tr.CloseIdleConnections()
	pin := tr.NewPin(false)
	defer pin.Close()
	send := func(target string) {
		r := request(t, call.API, http.MethodGet, target, nil)
		resp, err := tr.Do(r.WithContext(pin.With(t.Context())))
		if err != nil {
			t.Error(err)
			return
		}
		wire.Drain(resp)
	}
	var wg sync.WaitGroup
	wg.Go(func() { send("https://example.com/") })
	<-began
	send("https://EXAMPLE.com/") // does not wait for the other's connection
	close(done)
	wg.Wait()
	if a, b := len(seenOne.requests()), len(seenTwo.requests()); a != 0 || b != 2 || pin.Address() != two.Listener.Addr().String() {
		t.Errorf("%d and %d requests, pinned to %s", a, b, pin.Address())
	}
}

func TestPinWithoutConnections(t *testing.T) {
	t.Parallel()
	n := 0
	tr := transport.New(parse(t, "https://reg.azurecr.io"), transporterFunc(func(r *http.Request) (*http.Response, error) {
		n++
		return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
	}), nil)
	pin := tr.NewPin(false)
	defer pin.Close()
	other := transport.New(parse(t, "https://other.azurecr.io"), nil, nil).NewPin(false)
	for _, p := range []*transport.Pin{pin, other, nil} {
		r := request(t, call.API, http.MethodGet, "https://reg.azurecr.io/", nil)
		resp, err := tr.Do(r.WithContext(p.With(r.Context())))
		if err != nil {
			t.Fatal(err)
		}
		wire.Drain(resp)
	}
	if n != 3 || pin.Address() != "" {
		t.Error(n, pin.Address())
	}
}

// Token requests use the connections of a pin, unless they would wait behind its calls or the pin is closed.
func TestPinTokens(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		max   int  // connections to a host, in the caller's transport
		end   bool // the pin is closed after the first token
		dials int32
	}{
		{"any number of connections", 0, false, 1},
		{"a limited number", 1, false, 2},
		{"closed", 0, true, 3},
	} {
		home, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
		base := home.Client().Transport.(*http.Transport).Clone()
		base.MaxConnsPerHost = row.max
		var dials atomic.Int32
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		tr := transport.New(parse(t, home.URL), &http.Client{Transport: base}, nil)
		pin := tr.NewPin(false)
		for _, kind := range []call.Kind{call.Token, call.API, call.Token} {
			r := request(t, kind, http.MethodGet, home.URL, nil)
			resp, err := tr.Do(r.WithContext(pin.With(r.Context())))
			if err != nil {
				t.Fatal(err)
			}
			wire.Drain(resp)
			if row.end {
				pin.Close()
			}
		}
		if n := dials.Load(); n != row.dials {
			t.Errorf("%s: %d connections, want %d", row.name, n, row.dials)
		}
		pin.Close()
		tr.CloseIdleConnections()
		base.CloseIdleConnections()
	}
}
