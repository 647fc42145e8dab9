package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// recorder keeps the requests a server saw.
type recorder struct {
	mu   sync.Mutex
	seen []*http.Request
}

func (r *recorder) add(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, req)
}

func (r *recorder) requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// serve starts a TLS server that records and then answers.
func serve(t testing.TB, h http.HandlerFunc) (*httptest.Server, *recorder) {
	t.Helper()
	rec := &recorder{}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.add(r)
		h(w, r)
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s, rec
}

func transportOf(t testing.TB, s *httptest.Server, opts *transport.Options) *transport.Transport {
	t.Helper()
	tr := transport.New(parse(t, s.URL), s.Client(), opts)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func request(t testing.TB, kind call.Kind, method, target string, body []byte) *http.Request {
	t.Helper()
	var rd io.Reader
	if body != nil {
		rd = transport.NewBody(bytes.NewReader(body), 0, int64(len(body)))
	}
	r, err := http.NewRequestWithContext(call.WithKind(t.Context(), kind), method, target, rd)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer canary")
	return r
}

func TestTransportFollowsByCall(t *testing.T) {
	t.Parallel()
	elsewhere, foreign := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, row := range []struct {
		name   string
		call   call.Kind
		method string
		to     string // relative, or {elsewhere}
		want   wire.Matter
		hits   int // at home
	}{
		{"A09 token", call.Token, http.MethodPost, "{elsewhere}/steal", wire.BadRedirect, 1},
		{"A09 token, same origin", call.Token, http.MethodPost, "/there", wire.BadRedirect, 1},
		{"A10 exchange, GET", call.Token, http.MethodGet, "{elsewhere}/steal", wire.BadRedirect, 1},
		{"A13 chunk", call.Upload, http.MethodPatch, "{elsewhere}/steal", wire.BadRedirect, 1},
		{"A13 commit", call.Upload, http.MethodPut, "/there", wire.BadRedirect, 1},
		{"manifest put", call.API, http.MethodPut, "/there", wire.BadRedirect, 1},
		{"list, same origin", call.API, http.MethodGet, "/there", "", 2},
		{"list, elsewhere", call.API, http.MethodGet, "{elsewhere}/steal", wire.ForeignOrigin, 1},
		{"A36 list, for ever", call.API, http.MethodGet, "/again", wire.BadRedirect, 4},
		{"redirect without a target", call.API, http.MethodGet, "", wire.BadRedirect, 1},
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprintf("%s by %d", row.name, status), func(t *testing.T) {
				t.Parallel()
				home, rec := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/there" {
						return
					}
					if row.to != "" {
						w.Header().Set("Location", strings.ReplaceAll(row.to, "{elsewhere}", elsewhere.URL))
					}
					w.WriteHeader(status)
				})
				var body []byte
				if row.method != http.MethodGet {
					body = []byte("secret=1")
				}
				resp, err := transportOf(t, home, nil).Do(request(t, row.call, row.method, home.URL+"/again", body))
				if row.want != "" && !wire.IsUntrusted(err, row.want) || row.want == "" && (err != nil || resp.StatusCode != 200) {
					t.Fatalf("%v, %v; want %v", resp, err, row.want)
				}
				wire.Drain(resp)
				if n := len(rec.requests()); n != row.hits {
					t.Errorf("%d requests at home, want %d", n, row.hits)
				}
			})
		}
	}
	t.Cleanup(func() {
		if n := len(foreign.requests()); n != 0 {
			t.Errorf("%d requests elsewhere", n)
		}
	})
}

func TestTransportSendsHomeOnly(t *testing.T) {
	t.Parallel()
	home, rec := serve(t, func(http.ResponseWriter, *http.Request) {})
	tr := transportOf(t, home, nil)
	other := request(t, call.API, http.MethodGet, "https://other.invalid/", nil)
	if _, err := tr.Do(other); !wire.IsUntrusted(err, wire.ForeignOrigin) {
		t.Error("A11", err)
	}
	other.Host = "" // as a request that no constructor made
	if _, err := tr.Do(other); !wire.IsUntrusted(err, wire.ForeignOrigin) {
		t.Error("no Host header:", err)
	}
	host := request(t, call.API, http.MethodGet, home.URL, nil)
	host.Host = "evil.invalid"
	if _, err := tr.Do(host); !wire.IsUntrusted(err, wire.ForeignOrigin) {
		t.Error("other Host header:", err)
	}
	if len(rec.requests()) != 0 {
		t.Error("something was sent")
	}
	named := transport.New(parse(t, "https://reg.azurecr.io"), transporterFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), nil)
	same := request(t, call.API, http.MethodGet, "https://REG.azurecr.io:443/", nil)
	same.Host = "reg.azurecr.io"
	resp, err := named.Do(same)
	if err != nil {
		t.Fatal("the same origin, written otherwise:", err)
	}
	wire.Drain(resp)
}

// A response that says two things of its content is none.
func TestTransportContradiction(t *testing.T) {
	t.Parallel()
	tr := transport.New(parse(t, "https://reg.azurecr.io"), transporterFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Docker-Content-Digest": {"sha256:a", "sha256:b"}}, Body: http.NoBody}, nil
	}), nil)
	if _, err := tr.Do(request(t, call.API, http.MethodGet, "https://reg.azurecr.io/v2/", nil)); !wire.IsUntrusted(err, wire.Contradiction) {
		t.Error(err)
	}
}

// A18: neither jar nor header.
func TestTransportSendsNoCookies(t *testing.T) {
	t.Parallel()
	home, rec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "canary", Path: "/"})
		if r.URL.Path == "/a" {
			w.Header().Set("Location", "/b")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	})
	client := home.Client()
	client.Jar, _ = cookiejar.New(nil)
	followed := false
	client.CheckRedirect = func(*http.Request, []*http.Request) error { followed = true; return nil }
	tr := transport.New(parse(t, home.URL), client, nil)
	defer tr.CloseIdleConnections()
	for range 2 {
		r := request(t, call.API, http.MethodGet, home.URL+"/a", nil)
		r.Header.Set("Cookie", "c=mine")
		r.Header.Set("Referer", "https://x.invalid/?secret")
		resp, err := tr.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		wire.Drain(resp)
	}
	for _, r := range rec.requests() {
		if r.Header.Get("Cookie") != "" || r.Header.Get("Referer") != "" {
			t.Error(r.URL, r.Header)
		}
	}
	if followed || len(client.Jar.Cookies(parse(t, home.URL))) != 0 {
		t.Error("the caller's client was used as it is")
	}
}

// selfish follows redirects by itself.
type selfish struct{ c *http.Client }

func (s selfish) Do(r *http.Request) (*http.Response, error) { return s.c.Do(r) }

func TestTransportNoticesFollowedRedirects(t *testing.T) {
	t.Parallel()
	home, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			http.Redirect(w, r, "/b", http.StatusTemporaryRedirect)
		}
	})
	tr := transport.New(parse(t, home.URL), selfish{home.Client()}, nil)
	if _, err := tr.Do(request(t, call.API, http.MethodGet, home.URL+"/a", nil)); !wire.IsUntrusted(err, wire.BadRedirect) {
		t.Error(err)
	}
}

func TestTransportBoundsErrorsAndHeaders(t *testing.T) {
	t.Parallel()
	home, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			for i := range 32 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("h", 32<<10))
			}
			return
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.CopyN(w, endless{}, 1<<20)
	})
	tr := transportOf(t, home, nil)
	resp, err := tr.Do(request(t, call.API, http.MethodGet, home.URL, nil))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || len(b) != 64<<10 {
		t.Errorf("A28: %d bytes, %v", len(b), err)
	}
	_ = resp.Body.Close()
	own := transport.New(parse(t, home.URL), nil, nil)
	defer own.CloseIdleConnections()
	transport.TrustForTest(own, home.Client())
	for _, tr := range []*transport.Transport{tr, own} {
		if _, err := tr.Do(request(t, call.API, http.MethodGet, home.URL+"/header", nil)); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("A38: %v", err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestTransportErrorsHideQueries(t *testing.T) {
	t.Parallel()
	home, _ := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := transportOf(t, home, nil).Do(request(t, call.Upload, http.MethodPatch, home.URL+"/v2/a/blobs/uploads/u?_state=canary", []byte("x")))
	var ue *url.Error
	if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") || !errors.As(err, &ue) {
		t.Errorf("A55: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = transportOf(t, home, nil).Do(request(t, call.API, http.MethodGet, home.URL+"/?q=canary", nil).WithContext(ctx))
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "canary") {
		t.Errorf("F72: %v", err)
	}
}

// TestTransportDropsEchoes: a reply's headers are logged and kept in errors; a server that repeats the credential in one puts it there.
func TestTransportDropsEchoes(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ms-Request-Id", r.Header.Get("Authorization"))
		w.Header().Set("X-Ms-Correlation-Request-Id", "a eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c")
		w.Header().Set("WWW-Authenticate", `Bearer claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="`)
		w.Header().Add("WWW-Authenticate", `Bearer error="eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln is bad", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="`)
		w.Header().Set("Location", "/v2/a/blobs/uploads/1?_state=eyJhY2Nlc3NfdG9rZW4iOnt9fQ")
	})
	req := request(t, call.API, http.MethodGet, s.URL+"/v2/", nil)
	req.Header.Set("Authorization", "Bearer opaque-credential")
	resp, err := transportOf(t, s, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, want := resp.Header.Values("Www-Authenticate")[1], `Bearer error="REDACTED is bad", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="`; got != want {
		t.Errorf("a token in a challenge: %q, want %q", got, want)
	}
	for key, want := range map[string]string{
		"X-Ms-Request-Id": "REDACTED", "X-Ms-Correlation-Request-Id": "REDACTED", "Www-Authenticate": `Bearer claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="`,
		"Location": "/v2/a/blobs/uploads/1?_state=eyJhY2Nlc3NfdG9rZW4iOnt9fQ",
	} {
		if got := resp.Header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
