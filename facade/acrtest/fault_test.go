package acrtest_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// lab is an emulator with a canary that gives 1000 bytes and swallows what it gets: every fault is tried on it, away from what
// the registry's operations do.
type lab struct {
	*client

	url  string
	got  chan int64 // bytes of each request body the handler read
	body []byte
}

func newLab(t *testing.T, opts ...acrtest.Option) *lab {
	t.Helper()
	l := &lab{client: newClient(t, opts...), got: make(chan int64, 100), body: bytes.Repeat([]byte("0123456789"), 100)}
	url, err := l.s.Canary(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		l.got <- n
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Link", "</next>; rel=\"next\"")
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(l.body)
	}))
	if err != nil {
		t.Fatal(err)
	}
	l.url = url
	return l
}

func (l *lab) on() *acrtest.Fault { return l.s.On("Canary") }

func (l *lab) get(method string, body io.Reader, edit ...func(*http.Request)) (*http.Response, []byte, error) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.url, body)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range edit {
		e(req)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp, data, err
}

func TestFaultsOfTheReply(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault func(*acrtest.Fault) *acrtest.Fault
		check func(t *testing.T, resp *http.Response, body []byte, err error)
	}{
		{"reset after 10", func(f *acrtest.Fault) *acrtest.Fault { return f.ResetAfter(10) }, func(t *testing.T, _ *http.Response, body []byte, err error) {
			if len(body) != 10 || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		}},
		{"reset past the end", func(f *acrtest.Fault) *acrtest.Fault { return f.ResetAfter(5000) }, func(t *testing.T, _ *http.Response, body []byte, err error) {
			if len(body) != 1000 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		}},
		{"drop reply", func(f *acrtest.Fault) *acrtest.Fault { return f.DropReply() }, func(t *testing.T, resp *http.Response, _ []byte, err error) {
			if resp != nil || err == nil {
				t.Errorf("got a reply, %v", err)
			}
		}},
		{"truncate", func(f *acrtest.Fault) *acrtest.Fault { return f.Truncate(10) }, func(t *testing.T, _ *http.Response, body []byte, err error) {
			if len(body) != 10 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		}},
		{"truncate clean", func(f *acrtest.Fault) *acrtest.Fault { return f.TruncateClean(10) }, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if len(body) != 10 || err != nil || resp.ContentLength != -1 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		}},
		{"flip byte", func(f *acrtest.Fault) *acrtest.Fault { return f.FlipByte(13) }, func(t *testing.T, _ *http.Response, body []byte, err error) {
			if err != nil || len(body) != 1000 || body[13] != '3'^1 || body[12] != '2' || body[14] != '4' {
				t.Errorf("%q, %v", body[:20], err)
			}
		}},
		{"length too small", func(f *acrtest.Fault) *acrtest.Fault { return f.ContentLength(7) }, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if err != nil || resp.ContentLength != 7 || len(body) != 7 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		}},
		{"length too large", func(f *acrtest.Fault) *acrtest.Fault { return f.ContentLength(2000) }, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != 1000 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		}},
		{"headers", func(f *acrtest.Fault) *acrtest.Fault {
			return f.Digest("sha256:x").Location("https://other/").Link("/again").WithoutHeader("Content-Type")
		}, func(t *testing.T, resp *http.Response, body []byte, err error) {
			h := resp.Header
			if h.Get("Docker-Content-Digest") != "sha256:x" || h.Get("Location") != "https://other/" || h.Get("Link") != `</again>; rel="next"` || len(body) != 1000 {
				t.Errorf("%v", h)
			}
		}},
		{"rewrite header", func(f *acrtest.Fault) *acrtest.Fault { return f.RewriteHeader("Link", strings.ToUpper) }, func(t *testing.T, resp *http.Response, _ []byte, err error) {
			if got := resp.Header.Get("Link"); got != `</NEXT>; REL="NEXT"` {
				t.Error(got)
			}
		}},
		{"status", func(f *acrtest.Fault) *acrtest.Fault { return f.Status(503, 1500*time.Millisecond) }, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "2" || !strings.Contains(string(body), `"UNAVAILABLE"`) {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		}},
		{"status with code", func(f *acrtest.Fault) *acrtest.Fault {
			return f.Status(404).Code("BLOB_UPLOAD_INVALID", "blob upload invalid")
		}, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if resp.StatusCode != 404 || string(body) != `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"blob upload invalid"}]}`+"\n" {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		}},
		{"status with page", func(f *acrtest.Fault) *acrtest.Fault { return f.Status(502).Body("text/html", "<h1>Bad Gateway</h1>") }, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if resp.StatusCode != 502 || string(body) != "<h1>Bad Gateway</h1>" {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		}},
		{"reply status", func(f *acrtest.Fault) *acrtest.Fault { return f.ReplyStatus(500) }, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if resp.StatusCode != 500 || len(body) != 1000 {
				t.Errorf("%d %d bytes", resp.StatusCode, len(body))
			}
		}},
		{"reply body", func(f *acrtest.Fault) *acrtest.Fault { return f.ReplyBody("{}") }, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if resp.StatusCode != 200 || string(body) != "{}" || resp.ContentLength != 2 {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
		}},
		{"raw", func(f *acrtest.Fault) *acrtest.Fault {
			return f.Raw("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 second\r\n\r\n")
		}, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if err != nil || string(body) != "ok" {
				t.Errorf("%q %v", body, err)
			}
		}},
		{"do", func(f *acrtest.Fault) *acrtest.Fault {
			return f.Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				w.Header().Set("X-Test", "1")
				next.ServeHTTP(w, r)
			})
		}, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if resp.Header.Get("X-Test") != "1" || len(body) != 1000 {
				t.Errorf("%v", resp.Header)
			}
		}},
		{"slow", func(f *acrtest.Fault) *acrtest.Fault { return f.Slow(20000) }, func(t *testing.T, resp *http.Response, body []byte, err error) {
			if err != nil || len(body) != 1000 || resp.Header.Get(acrtest.FaultHeader) != "" {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			f := test.fault(l.on())
			resp, body, err := l.get(http.MethodPost, nil) // a POST is not sent again by net/http
			test.check(t, resp, body, err)
			if f.Hits() != 1 {
				t.Errorf("%d hits", f.Hits())
			}
			if got := l.s.Ledger().Requests("Canary"); len(got) != 1 || got[0].Fault == "" {
				t.Errorf("ledger: %v", got)
			}
			// Once means once.
			if resp, body, err := l.get(http.MethodPost, nil); err != nil || resp.StatusCode != 200 || len(body) != 1000 || resp.Header.Get(acrtest.FaultHeader) != "" {
				t.Errorf("the request after: %v", err)
			}
		})
	}
}

func TestFaultsOfTheRequest(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	sent := strings.Repeat("x", 100_000)

	l.on().ResetRequestAfter(1000)
	if _, _, err := l.get(http.MethodPost, strings.NewReader(sent)); err == nil {
		t.Error("reset: no error")
	}
	if n := <-l.got; n != 1000 {
		t.Errorf("reset: the handler got %d bytes", n)
	}

	sent = strings.Repeat("x", 3<<20)
	l.on().Accept(500)
	if resp, _, err := l.get(http.MethodPost, strings.NewReader(sent)); err != nil || resp.StatusCode != 200 {
		t.Errorf("accept: %v", err)
	}
	if n := <-l.got; n != 500 {
		t.Errorf("accept: the handler got %d bytes", n)
	}

	l.on().Status(http.StatusServiceUnavailable)
	if resp, _, err := l.get(http.MethodPost, strings.NewReader(sent)); err != nil || resp.StatusCode != 503 {
		t.Errorf("status: %v", err)
	}
	if got := l.s.Ledger().Requests("Canary"); got[2].BytesIn != int64(len(sent)) {
		t.Errorf("status: %d bytes read", got[2].BytesIn)
	}

	l.on().IgnoreRange()
	ranged := func(r *http.Request) { r.Header.Set("Range", "bytes=1-2") }
	if resp, _, _ := l.get(http.MethodGet, nil, ranged); resp.StatusCode != http.StatusOK {
		t.Errorf("ignore range: %d", resp.StatusCode)
	}
	if resp, _, _ := l.get(http.MethodGet, nil, ranged); resp.StatusCode != http.StatusPartialContent {
		t.Errorf("range: %d", resp.StatusCode)
	}
}

// An early reply comes while the request's body is still on its way.
func TestEarlyReply(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.on().Status(http.StatusUnauthorized).Early()
	body, feed := io.Pipe()
	defer feed.Close()
	go func() { _, _ = feed.Write([]byte("begin")) }() // and nothing more until the reply is there
	resp, _, err := l.get(http.MethodPost, body)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%v", err)
	}
}
