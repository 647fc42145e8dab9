package upload_test

import (
	"bytes"
	"flag"
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
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

var earlyReplies = flag.Int("upload.early", 56, "early replies that row F29 meets with each kind of source; make test-long has 340")

// TestSuiteUploadReply: replies that come early, say other things than registries mostly do, or nothing.
func TestSuiteUploadReply(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F29 reply before the body was read", func(t *testing.T) {
		for _, how := range acrsuite.OnePerKind {
			synctest.Test(t, func(t *testing.T) { testEarlyReplies(t, how) })
		}
		acrsuite.Uploads(t, acrsuite.EverySource, testLateReader)
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) { // a refusal that says when to come back
			u.Srv.On("UploadChunk").Nth(2).Status(503).Early()
			u.Arrives()
			u.Count(1, "StartUpload")
		})
	})
	acrsuite.Row(t, "F30 every form of Location", testLocationForms)
	acrsuite.Row(t, "F31 no Location", func(t *testing.T) {
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Srv.On("StartUpload").WithoutHeader("Location")
			u.Lost = 1 // nobody knows where it is
			u.Fails(acr.ErrUntrusted)
			u.Count(0, "UploadChunk")
		})
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) { // of a chunk: the one before may hold on; this registry says that it does not
			u.Srv.On("UploadChunk").Nth(2).WithoutHeader("Location")
			u.Survives()
			u.ResentAtMost(3 * u.Opts.ChunkSize)
		})
	})
	acrsuite.Row(t, "F32 every form of Range", testRangeForms)
	acrsuite.Row(t, "F33 part of a chunk accepted", func(t *testing.T) {
		for _, n := range []int64{0, 1, 10_000, acrsuite.RowChunk - 1} {
			acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
				u.Note = strconv.FormatInt(n, 10) + " bytes"
				u.Srv.On("UploadChunk").Nth(2).Accept(n)
				u.Arrives()
				u.ResentAtMost(u.Opts.ChunkSize)
				u.Count(1, "StartUpload")
			})
		}
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // of each
			u.Srv.On("UploadChunk").Always().Accept(20_000)
			u.Arrives()
			u.Count(1, "StartUpload")
		})
	})
	acrsuite.Row(t, "F93 few bytes of each chunk accepted", func(t *testing.T) {
		for _, n := range []int64{1, 1000} {
			acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
				u.Note = strconv.FormatInt(n, 10) + " bytes"
				u.Srv.On("UploadChunk").Always().Accept(n)
				u.Fails(acr.ErrUploadLost)
				u.AtMost(20, "UploadChunk")
			})
		}
	})
	acrsuite.Row(t, "F34 least size of a chunk", func(t *testing.T) {
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Opts.ChunkSize /= 6
			least := 5*u.Opts.ChunkSize - 1
			u.Srv.On("StartUpload").Header("OCI-Chunk-Min-Length", strconv.FormatInt(least, 10))
			u.Arrives()
			u.ResentAtMost(0)
			for _, q := range u.Srv.Ledger().Requests("UploadChunk") {
				if q.BytesIn < least && !strings.HasSuffix(q.Header.Get("Content-Range"), "-"+strconv.Itoa(len(u.Want)-1)) {
					u.Errorf("a chunk of %d bytes that is not the last", q.BytesIn)
				}
			}
		})
	})
	acrsuite.Row(t, "F35 Content-Range", func(t *testing.T) {
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Arrives()
			next := int64(0)
			for _, q := range u.Srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
				if q.BytesIn == 0 {
					continue
				}
				want := fmt.Sprintf("%d-%d", next, next+q.BytesIn-1)
				if got := q.Header.Get("Content-Range"); got != want || !regexp.MustCompile(`^\d+-\d+$`).MatchString(got) {
					u.Errorf("Content-Range %q, want %q", got, want)
				}
				if got := q.Header.Get("Content-Length"); got != strconv.FormatInt(q.BytesIn, 10) || q.Header.Get("Transfer-Encoding") != "" {
					u.Errorf("Content-Length %q for %d bytes", got, q.BytesIn)
				}
				next += q.BytesIn
			}
			if next != int64(len(u.Want)) {
				u.Errorf("the chunks end at %d of %d", next, len(u.Want))
			}
		})
	})
	acrsuite.Row(t, "F36 body too large", testTooLarge)
}

// testEarlyReplies sends many uploads, each with a reply that comes while its body is on the way. Under the race detector it shows
// that no buffer is used again before the transport has let go of it.
func testEarlyReplies(t *testing.T, how string) {
	const chunk = 280 << 10 // more than the network holds
	times := *earlyReplies
	u := acrsuite.NewUpload(t, how)
	early := 0
	for n := range times {
		u.Srv.ClearFaults()
		u.Srv.Ledger().Reset()
		u.Source, u.Progress = nil, acr.Progress{}
		u.Fill(chunk + n + 1)
		u.Opts.ChunkSize = chunk
		var fault *acrtest.Fault
		switch script := u.Srv.On("UploadChunk").First(1 + n%2); n % 8 {
		case 0:
			fault = u.Srv.On("UploadChunk").Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) { refuseAndReadOn(u, w, r, next) })
		case 1:
			fault = u.Srv.On("UploadChunk").Status(413).Early()
			u.Client = u.NewClient() // it learns
		case 2, 5:
			fault = script.Status(429).Early()
		default:
			fault = script.Status(503).Early()
		}
		if err := u.Send(); err != nil {
			u.Errorf("[%d] %v", n, err)
			continue
		}
		early += fault.Hits()
		if u.Desc.Digest != u.Digest || !u.Srv.HasBlob(u.Name, u.Digest) {
			u.Errorf("[%d] other content arrived", n)
		}
		if n%8 == 1 {
			u.Client = u.NewClient()
		}
	}
	u.NothingOpen()
	if early < times {
		u.Errorf("only %d early replies", early)
	}
}

// refuseAndReadOn refuses a credential before it has read the body, and reads the rest of that a little later, when the repetition and the
// chunks after it have been sent over other connections.
func refuseAndReadOn(u *acrsuite.Upload, w http.ResponseWriter, r *http.Request, _ http.Handler) {
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil {
		u.Errorf("%v", err)
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+u.Srv.Endpoint()+`/oauth2/token",service="`+u.Srv.Host()+`",error="invalid_token"`)
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
	resp := acrsuite.Refusal(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required", "X-Acrtest-Fault", "late reader",
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

func testLateReader(u *acrsuite.Upload) {
	u.Fill(9*acrsuite.RowChunk + 5)
	l := &lateReader{base: u.Srv.HTTPClient().Transport, want: u.Want}
	u.Use(l)
	u.Client = u.NewClient()
	u.Arrives()
	l.all.Wait()
	if l.torn.Load() > 0 || l.n.Load() < 10 {
		u.Errorf("of %d bodies pieces were torn %d times, %d were closed early", l.n.Load(), l.torn.Load(), l.late.Load())
	}
}

func testLocationForms(t *testing.T) {
	const state = `&_x=a;b%2Fc%2f+%20..//;=`
	for name, form := range map[string]func(u *acrsuite.Upload, location string) string{
		"absolute": func(u *acrsuite.Upload, l string) string { return u.Srv.Endpoint() + l },
		"absolute, in upper case, with the default port": func(u *acrsuite.Upload, l string) string {
			return "HTTPS://" + strings.ToUpper(u.Srv.Host()) + l
		},
		"without scheme": func(u *acrsuite.Upload, l string) string { return "//" + u.Srv.Host() + l },
		"relative": func(_ *acrsuite.Upload, l string) string {
			p, _ := url.Parse(l)
			return "../uploads/" + l[strings.LastIndex(p.Path, "/")+1:]
		},
		"dot segments": func(u *acrsuite.Upload, l string) string { return "/v2/x/../" + strings.TrimPrefix(l, "/v2/") },
		"query kept":   func(_ *acrsuite.Upload, l string) string { return l + state },
		"fragment":     func(_ *acrsuite.Upload, l string) string { return l + "#here" },
	} {
		for _, op := range []string{"StartUpload", "UploadChunk"} {
			acrsuite.Uploads(t, acrsuite.OnePerKind, func(u *acrsuite.Upload) {
				u.Note, u.Unheld = name+" of "+op, true // the document knows no such query
				u.Srv.On(op).Always().RewriteHeader("Location", func(l string) string { return form(u, l) })
				u.Arrives()
				u.ResentAtMost(0)
				u.Count(1, "StartUpload")
				if name != "query kept" {
					return
				}
				found := false
				for _, q := range u.Srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
					found = found || strings.Contains(q.Query, state)
				}
				if !found {
					u.Errorf("the query was not kept: %v", u.Srv.Ledger().Requests("UploadChunk")[0].Query)
				}
			})
		}
	}
}

func testRangeForms(t *testing.T) {
	for _, fresh := range []string{"", "0-0", "bytes=0-0", "0--1", "rubbish", "0-", "-"} {
		for _, size := range []int{1, acrsuite.RowSize} {
			acrsuite.Uploads(t, acrsuite.OnePerKind, func(u *acrsuite.Upload) {
				u.Note = fmt.Sprintf("%q for a new session, %d bytes", fresh, size)
				u.Fill(size)
				u.Srv.On("StartUpload").Header("Range", fresh)
				u.Arrives()
				u.ResentAtMost(0)
				u.Count(1, "StartUpload")
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
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.OnePerKind, func(u *acrsuite.Upload) { // in the replies to chunks; asked, the registry says it right
			u.Note = name + ", of chunks"
			u.Srv.On("UploadChunk").Always().RewriteHeader("Range", form)
			u.Arrives()
			u.ResentAtMost(0)
			u.Count(1, "StartUpload")
		})
		acrsuite.Uploads(t, acrsuite.OnePerKind, func(u *acrsuite.Upload) { // once, in the reply to the question
			u.Note = name + ", of a status"
			u.Srv.On("UploadChunk").Nth(2).Do(acrsuite.Forget(0))
			u.Srv.On("GetUploadStatus").RewriteHeader("Range", form)
			survives2(u)
			u.ResentAtMost(3 * acrsuite.RowChunk)
			if name == "with a unit" {
				u.Count(1, "StartUpload")
			}
		})
		acrsuite.Uploads(t, []string{acrsuite.AsFile, acrsuite.AsSpool}, func(u *acrsuite.Upload) { // for ever: the digest has the last word
			u.Note = name + ", always"
			u.Srv.On("UploadChunk", "GetUploadStatus").Always().RewriteHeader("Range", form)
			u.Arrives()
		})
	}
	for _, none := range []string{"0-0", "bytes=0-0"} {
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // a session that has nothing yet: of "0-0" the first byte is to be sent all the same
			u.Note = none + " when asked before any chunk arrived"
			u.Srv.On("UploadChunk").Nth(1).Do(acrsuite.Forget(0))
			u.Srv.On("GetUploadStatus").Header("Range", none)
			u.Arrives()
			u.ResentAtMost(acrsuite.RowChunk)
			u.Count(1, "StartUpload")
			if again := u.Srv.Ledger().Requests("UploadChunk")[1].Header.Get("Content-Range"); !strings.HasPrefix(again, "0-") {
				u.Errorf("it went on with %q", again)
			}
		})
	}
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // a session that had less before
		u.Srv.On("UploadChunk").Nth(3).Do(acrsuite.Forget(0))
		u.Srv.On("GetUploadStatus").Header("Range", "0-99")
		u.Survives()
	})
}

// survives2 is survives for a fault that a stream may survive too.
func survives2(u *acrsuite.Upload) {
	u.T.Helper()
	if u.Again() {
		u.Arrives()
	} else if err := u.Send(); err != nil {
		u.Failed(err, acr.ErrUploadLost)
	} else {
		u.Arrived()
	}
}
