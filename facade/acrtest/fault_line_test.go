package acrtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestStalls(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*acrtest.Fault) *acrtest.Fault{
		"at once":           (*acrtest.Fault).Stall,
		"in the reply":      func(f *acrtest.Fault) *acrtest.Fault { return f.StallAfter(10) },
		"in the request":    func(f *acrtest.Fault) *acrtest.Fault { return f.StallRequestAfter(10) },
		"a delay":           func(f *acrtest.Fault) *acrtest.Fault { return f.Delay(time.Hour) },
		"a delay afterward": func(f *acrtest.Fault) *acrtest.Fault { return f.DelayReply(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, acrtest.WithMemoryNetwork())
				fault(l.on())
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, body, err := l.get(http.MethodPost, strings.NewReader(strings.Repeat("x", 10000)), func(r *http.Request) { *r = *r.WithContext(ctx) })
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if name == "in the reply" && len(body) != 10 {
					t.Errorf("%d bytes", len(body))
				}
			})
		})
	}
}

func TestEndless(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.on().Status(http.StatusNotFound).Endless()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.CopyN(io.Discard, resp.Body, 10<<20); n != 10<<20 || err != nil || resp.StatusCode != 404 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestInformational(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.on().Informational(3, http.StatusEarlyHints)
	seen := 0
	trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { seen++; return nil }}
	resp, _, err := l.get(http.MethodGet, nil, func(r *http.Request) { *r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace)) })
	if err != nil || resp.StatusCode != 200 || seen != 3 {
		t.Errorf("%d informational replies, %v", seen, err)
	}
}

func TestCloseIdle(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.on().CloseIdle()
	for range 2 {
		if resp, body, err := l.get(http.MethodGet, nil); err != nil || resp.StatusCode != 200 || len(body) != 1000 {
			t.Errorf("%v", err)
		}
	}
	got := l.s.Ledger().Requests("Canary")
	if got[0].Connection == got[1].Connection {
		t.Error("the connection was used again")
	}
}

// A reply whose length is not stated beforehand arrives whole too.
func TestCloseIdleAfterChunks(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	fault := c.s.On("GetAccessToken").CloseIdle()
	if c.token("repository:a:pull"); fault.Hits() != 1 {
		t.Error("the fault met nothing")
	}
}
