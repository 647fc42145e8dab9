package acr_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F29", "F30", "F31", "F32", "F33", "F34", "F35", "F36")

// TestSuiteUploadReply: replies that come early, say other things than registries mostly do, or nothing.
func TestSuiteUploadReply(t *testing.T) {
	t.Parallel()
	row(t, "F29 reply before the body was read", survived, func(t *testing.T) {
		for _, how := range onePerKind {
			synctest.Test(t, func(t *testing.T) { testEarlyReplies(t, how) })
		}
		uploads(t, everySource, testLateReader)
	})
	row(t, "F30 every form of Location", survived, testLocationForms)
	row(t, "F31 no Location", cleanError, func(t *testing.T) {
		uploads(t, everySource, func(u *upload) {
			u.srv.On("StartUpload").WithoutHeader("Location")
			u.lost = 1 // nobody knows where it is
			u.fails(acr.ErrUntrusted)
			u.count(0, "UploadChunk")
		})
		uploads(t, everySource, func(u *upload) { // of a chunk: the one before may hold on; this registry says that it does not
			u.srv.On("UploadChunk").Nth(2).WithoutHeader("Location")
			u.survives()
			u.resentAtMost(3 * rowChunk)
		})
	})
	row(t, "F32 every form of Range", survived, testRangeForms)
	row(t, "F33 part of a chunk accepted", survived, func(t *testing.T) {
		for _, n := range []int64{0, 1, 10_000, rowChunk - 1} {
			uploads(t, everySource, func(u *upload) {
				u.note = strconv.FormatInt(n, 10) + " bytes"
				u.srv.On("UploadChunk").Nth(2).Accept(n)
				u.arrives()
				u.resentAtMost(rowChunk)
				u.count(1, "StartUpload")
			})
		}
		uploads(t, everySource, func(u *upload) { // of each
			u.srv.On("UploadChunk").Always().Accept(20_000)
			u.arrives()
			u.count(1, "StartUpload")
		})
	})
	row(t, "F34 least size of a chunk", survived, func(t *testing.T) {
		uploads(t, everySource, func(u *upload) {
			const least = 40_000
			u.opts.ChunkSize = 8 << 10
			u.srv.On("StartUpload").Header("OCI-Chunk-Min-Length", strconv.Itoa(least))
			u.arrives()
			u.resentAtMost(0)
			for _, q := range u.srv.Ledger().Requests("UploadChunk") {
				if q.BytesIn < least && !strings.HasSuffix(q.Header.Get("Content-Range"), "-"+strconv.Itoa(len(u.want)-1)) {
					u.errorf("a chunk of %d bytes that is not the last", q.BytesIn)
				}
			}
		})
	})
	row(t, "F35 Content-Range", survived, func(t *testing.T) {
		uploads(t, everySource, func(u *upload) {
			u.arrives()
			next := int64(0)
			for _, q := range u.srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
				if q.BytesIn == 0 {
					continue
				}
				want := fmt.Sprintf("%d-%d", next, next+q.BytesIn-1)
				if got := q.Header.Get("Content-Range"); got != want || !regexp.MustCompile(`^\d+-\d+$`).MatchString(got) {
					u.errorf("Content-Range %q, want %q", got, want)
				}
				if got := q.Header.Get("Content-Length"); got != strconv.FormatInt(q.BytesIn, 10) || q.Header.Get("Transfer-Encoding") != "" {
					u.errorf("Content-Length %q for %d bytes", got, q.BytesIn)
				}
				next += q.BytesIn
			}
			if next != int64(len(u.want)) {
				u.errorf("the chunks end at %d of %d", next, len(u.want))
			}
		})
	})
	row(t, "F36 body too large", survived, testTooLarge)
}

// testEarlyReplies sends a thousand uploads, each with a reply that comes while its body is on the way. Under the race detector it shows
// that no buffer is used again before the transport has let go of it.
func testEarlyReplies(t *testing.T, how string) {
	const times, chunk = 340, 280 << 10 // of three ways to hand in content; more than the network holds
	u := newUpload(t, how)
	early := 0
	for n := range times {
		u.srv.ClearFaults()
		u.srv.Ledger().Reset()
		u.source, u.progress = nil, acr.Progress{}
		u.fill(chunk + n + 1)
		u.opts.ChunkSize = chunk
		var fault *acrtest.Fault
		switch script := u.srv.On("UploadChunk").First(1 + n%2); n % 8 {
		case 0:
			fault = u.srv.On("UploadChunk").Do(u.refuseAndReadOn)
		case 1:
			fault = u.srv.On("UploadChunk").Status(413).Early()
			u.client = u.newClient() // it learns
		case 2, 5:
			fault = script.Status(429).Early()
		default:
			fault = script.Status(503).Early()
		}
		if err := u.send(); err != nil {
			u.errorf("[%d] %v", n, err)
			continue
		}
		early += fault.Hits()
		if u.desc.Digest != u.dgst || !u.srv.HasBlob(u.name, u.dgst) {
			u.errorf("[%d] other content arrived", n)
		}
		if n%8 == 1 {
			u.client = u.newClient()
		}
	}
	u.nothingOpen()
	if early < times {
		u.errorf("only %d early replies", early)
	}
}

// refuseAndReadOn refuses a credential before it has read the body, and reads the rest of that a little later, when the repetition and the
// chunks after it have been sent over other connections.
func (u *upload) refuseAndReadOn(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil {
		u.errorf("%v", err)
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+u.srv.Endpoint()+`/oauth2/token",service="`+u.srv.Host()+`",error="invalid_token"`)
	const refusal = `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(refusal))) // without a body net/http would wait for the request to be written
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, refusal) // the client may be gone
	_ = rc.Flush()
	time.Sleep(20 * time.Millisecond) // of the bubble's time
	_, _ = io.Copy(io.Discard, r.Body)
}

// lateReader is a transport that, as http.RoundTripper allows, gives the reply while it still reads the request's body. It refuses the
// credential of some chunks, so that the next ones are sent at once, and looks whether what it goes on to read is what was to be sent.
type lateReader struct {
	base http.RoundTripper
	want []byte
	n    atomic.Int64
	late atomic.Int64 // bodies that were closed before they were read
	torn atomic.Int64 // pieces that were other bytes
	all  sync.WaitGroup
}

func (l *lateReader) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPatch || l.n.Add(1)%2 == 0 {
		return l.base.RoundTrip(r)
	}
	var first int64
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-", &first); err != nil {
		return nil, err
	}
	body, piece := r.Body, make([]byte, 1000)
	n, err := body.Read(piece)
	l.all.Go(func() {
		defer body.Close()
		for at := first; ; n, err = body.Read(piece) {
			time.Sleep(time.Millisecond) // of the bubble's time
			if !bytes.Equal(piece[:n], l.want[at:at+int64(n)]) {
				l.torn.Add(1)
			}
			if at += int64(n); err != nil {
				if at < first+r.ContentLength {
					l.late.Add(1)
				}
				return
			}
		}
	})
	resp := refusal(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required", "X-Acrtest-Fault", "late reader",
		"WWW-Authenticate", `Bearer realm="https://`+r.URL.Host+`/oauth2/token",service="`+r.URL.Host+`",error="invalid_token"`)
	resp.Request = r
	return resp, nil
}

// CloseIdleConnections closes those of the base.
func (l *lateReader) CloseIdleConnections() {
	if base, ok := l.base.(*http.Transport); ok {
		base.CloseIdleConnections()
	}
}

func testLateReader(u *upload) {
	u.fill(9*rowChunk + 5)
	l := &lateReader{base: u.srv.HTTPClient().Transport, want: u.want}
	u.use(l)
	u.client = u.newClient()
	u.arrives()
	l.all.Wait()
	if l.torn.Load() > 0 || l.n.Load() < 10 {
		u.errorf("of %d bodies pieces were torn %d times, %d were closed early", l.n.Load(), l.torn.Load(), l.late.Load())
	}
}

func testLocationForms(t *testing.T) {
	const state = `&_x=a;b%2Fc%2f+%20..//;=`
	for name, form := range map[string]func(u *upload, location string) string{
		"absolute": func(u *upload, l string) string { return u.srv.Endpoint() + l },
		"absolute, in upper case, with the default port": func(u *upload, l string) string {
			return "HTTPS://" + strings.ToUpper(u.srv.Host()) + l
		},
		"without scheme": func(u *upload, l string) string { return "//" + u.srv.Host() + l },
		"relative": func(_ *upload, l string) string {
			p, _ := url.Parse(l)
			return "../uploads/" + l[strings.LastIndex(p.Path, "/")+1:]
		},
		"dot segments": func(u *upload, l string) string { return "/v2/x/../" + strings.TrimPrefix(l, "/v2/") },
		"query kept":   func(_ *upload, l string) string { return l + state },
		"fragment":     func(_ *upload, l string) string { return l + "#here" },
	} {
		for _, op := range []string{"StartUpload", "UploadChunk"} {
			uploads(t, onePerKind, func(u *upload) {
				u.note, u.unheld = name+" of "+op, true // the document knows no such query
				u.srv.On(op).Always().RewriteHeader("Location", func(l string) string { return form(u, l) })
				u.arrives()
				u.resentAtMost(0)
				u.count(1, "StartUpload")
				if name != "query kept" {
					return
				}
				found := false
				for _, q := range u.srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
					found = found || strings.Contains(q.Query, state)
				}
				if !found {
					u.errorf("the query was not kept: %v", u.srv.Ledger().Requests("UploadChunk")[0].Query)
				}
			})
		}
	}
}

func testRangeForms(t *testing.T) {
	for _, fresh := range []string{"", "0-0", "bytes=0-0", "0--1", "rubbish", "0-", "-"} {
		for _, size := range []int{1, rowSize} {
			uploads(t, onePerKind, func(u *upload) {
				u.note = fmt.Sprintf("%q for a new session, %d bytes", fresh, size)
				u.fill(size)
				u.srv.On("StartUpload").Header("Range", fresh)
				u.arrives()
				u.resentAtMost(0)
				u.count(1, "StartUpload")
			})
		}
	}
	add := func(n int) func(string) string {
		return func(v string) string {
			_, last, _ := strings.Cut(v, "-")
			x, _ := strconv.Atoi(last) // the emulator's own
			return "0-" + strconv.Itoa(max(x+n, 0))
		}
	}
	for name, form := range map[string]func(string) string{
		"with a unit": func(v string) string { return "bytes=" + v },
		"one more":    add(1),
		"one less":    add(-1),
		"none":        func(string) string { return "" },
		"always 0-0":  func(string) string { return "0-0" },
		"rubbish":     func(string) string { return "9-x" },
		"huge":        func(string) string { return "0-9223372036854775807" },
		"two":         func(v string) string { return v + ",0-5" },
	} {
		uploads(t, onePerKind, func(u *upload) { // in the replies to chunks; asked, the registry says it right
			u.note = name + ", of chunks"
			u.srv.On("UploadChunk").Always().RewriteHeader("Range", form)
			u.arrives()
			u.resentAtMost(0)
			u.count(1, "StartUpload")
		})
		uploads(t, onePerKind, func(u *upload) { // once, in the reply to the question
			u.note = name + ", of a status"
			u.srv.On("UploadChunk").Nth(2).Do(forget(0))
			u.srv.On("GetUploadStatus").RewriteHeader("Range", form)
			u.survives2()
			u.resentAtMost(3 * rowChunk)
			if name == "with a unit" {
				u.count(1, "StartUpload")
			}
		})
		uploads(t, []string{asFile, asSpool}, func(u *upload) { // for ever: the digest has the last word
			u.note = name + ", always"
			u.srv.On("UploadChunk", "GetUploadStatus").Always().RewriteHeader("Range", form)
			u.arrives()
		})
	}
	for _, none := range []string{"0-0", "bytes=0-0"} {
		uploads(t, everySource, func(u *upload) { // a session that has nothing yet: of "0-0" the first byte is to be sent all the same
			u.note = none + " when asked before any chunk arrived"
			u.srv.On("UploadChunk").Nth(1).Do(forget(0))
			u.srv.On("GetUploadStatus").Header("Range", none)
			u.arrives()
			u.resentAtMost(rowChunk)
			u.count(1, "StartUpload")
			if again := u.srv.Ledger().Requests("UploadChunk")[1].Header.Get("Content-Range"); !strings.HasPrefix(again, "0-") {
				u.errorf("it went on with %q", again)
			}
		})
	}
	uploads(t, everySource, func(u *upload) { // a session that had less before
		u.srv.On("UploadChunk").Nth(3).Do(forget(0))
		u.srv.On("GetUploadStatus").Header("Range", "0-99")
		u.survives()
	})
}

// survives2 is survives for a fault that a stream may survive too.
func (u *upload) survives2() {
	u.t.Helper()
	if u.again() {
		u.arrives()
	} else if err := u.send(); err != nil {
		u.failed(err, acr.ErrUploadLost)
	} else {
		u.arrived()
	}
}
