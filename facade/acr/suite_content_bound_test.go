package acr_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("A27", "A28", "A29", "A30", "A31", "A32", "A37")

// manifestCalls are those that read a manifest's content.
func manifestCalls(t *testing.T) []call {
	t.Helper()
	return []call{callNamed(t, "Repository.GetManifest"), callNamed(t, "Repository.HeadManifest"), callNamed(t, "Repository.Tag")}
}

// TestAttacksOnMemory: replies that have no end, or are larger than they look.
func TestAttacksOnMemory(t *testing.T) {
	t.Parallel()
	row(t, "A27 endless manifest", refused, func(t *testing.T) {
		bubble(t, func(w *world) {
			w.over(manifestCalls(t), func(f *fixture) {
				f.srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest") // so that it is read
				f.srv.On("GetManifest").Always().Endless()
				f.mustFail(f.run(), acr.ErrTooLarge)
				f.readAtMost(4<<20+1, "GetManifest")
				f.atMost(1, "GetManifest")
			})
			w.over(manifestCalls(t), func(f *fixture) { // that says how large it is
				f.srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
				f.srv.On("GetManifest").Always().ContentLength(1 << 40)
				f.mustFail(f.run(), acr.ErrTooLarge)
			})
		})
	})
	row(t, "A28 endless error", refused, func(t *testing.T) {
		bubble(t, func(w *world) {
			w.options = []option{once}
			for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusInternalServerError} {
				w.over(callsOf(), func(f *fixture) {
					f.note = fmt.Sprint(status)
					f.srv.On(f.call.op).Always().Status(status).Body("text/plain", strings.Repeat("no ", 50_000)).Endless()
					err := f.run()
					f.shortError(err)
					f.readAtMost(64<<10, f.call.op)
				})
			}
			w.over(callsOf(downloadCall), func(f *fixture) {
				for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable} {
					f.note = fmt.Sprint("storage ", status)
					f.srv.ClearFaults()
					f.srv.On("GetBlobContent").Always().Status(status).Body("application/xml", "<Error>").Endless()
					err := f.run()
					f.mustFail(err)
					f.shortError(err)
					f.readAtMost(64<<10, "GetBlobContent")
				}
			})
		})
	})
	row(t, "A29 endless list", refused, func(t *testing.T) {
		var b strings.Builder
		b.WriteString(`{"tags":["t0"`)
		for i := range 1_000_000 {
			_, _ = fmt.Fprintf(&b, `,"t%d"`, i) // never fails
		}
		b.WriteString("]}")
		bubble(t, func(w *world) {
			w.over(callsOf(listCall), func(f *fixture) {
				f.srv.On(f.call.op).Always().Endless()
				f.mustFail(f.run(), acr.ErrTooLarge)
				f.readAtMost(8<<20, f.call.op)
				f.atMost(1, f.call.op)
			})
			w.over([]call{callNamed(t, "Repository.TagNames"), callNamed(t, "Client.Repositories")}, func(f *fixture) { // a million entries
				f.srv.On(f.call.op).Always().ReplyBody(b.String())
				f.mustFail(f.run(), acr.ErrTooLarge)
				f.atMost(1, f.call.op)
			})
			w.over(callsOf(readCall), func(f *fixture) {
				if strings.HasPrefix(f.call.op, "Head") {
					return // no body
				}
				f.srv.On(f.call.op).Always().Endless()
				f.mustFail(f.run(), acr.ErrTooLarge)
				f.readAtMost(4<<20+1, f.call.op)
			})
		})
	})
	row(t, "A30 list in a circle", refused, func(t *testing.T) {
		bubble(t, func(w *world) {
			w.options = []option{func(o *acr.ClientOptions) { o.MaxPages = 20 }}
			for _, cycle := range []int{1, 2, 7, 1 << 30} {
				w.over(callsOf(listCall), func(f *fixture) {
					f.note = fmt.Sprintf("a cycle of %d", cycle)
					f.mustWork(f.run())
					asked := f.srv.Ledger().Requests(f.call.op)[0]
					f.srv.Ledger().Reset()
					n := 0
					f.srv.On(f.call.op).Always().RewriteHeader("Link", func(string) string {
						n++
						return fmt.Sprintf(`<%s?last=%s&n=1>; rel="next"`, path.Clean(asked.Path), url.QueryEscape(fmt.Sprint("x", n%cycle)))
					})
					f.mustFail(f.run(), acr.ErrListEndless)
					f.atMost(min(cycle+1, 20), f.call.op)
				})
			}
		})
	})
	row(t, "A31 compressed a thousandfold", refused, func(t *testing.T) {
		var packed strings.Builder
		z := gzip.NewWriter(&packed)
		_, _ = io.CopyN(z, blanks{}, 100<<20) // never fails
		_ = z.Close()
		zipped := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, packed.String()) // the caller may be gone
		}
		bubble(t, func(w *world) {
			w.over(append(append(manifestCalls(t), callsOf(listCall)...), callNamed(t, "Artifact.TagProperties")), func(f *fixture) {
				f.srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
				f.srv.On("GetManifest", f.call.op).When(func(r *http.Request) bool { return r.Method == http.MethodGet }).Always().Do(zipped)
				f.mustFail(f.run(), acr.ErrTooLarge)
			})
		})
		for _, opts := range [][]acrtest.Option{nil, {acrtest.WithInlineBlobs()}} {
			deliveries(t, everyForm, func(d *delivery) {
				d.srv.On("GetBlobContent", "GetBlob").When(func(r *http.Request) bool {
					return len(opts) > 0 || strings.Contains(r.URL.Path, "/docker/registry/")
				}).Always().Header("Content-Encoding", "gzip")
				d.fails(acr.ErrMalformedReply)
				if d.sink.writes > 0 {
					d.errorf("%d bytes were given out", d.sink.high)
				}
				for _, q := range d.srv.Ledger().Requests("GetBlob", "GetBlobContent") {
					if got := q.Header.Get("Accept-Encoding"); got != "identity" {
						d.errorf("%s was sent with Accept-Encoding %q", q.Operation, got)
					}
				}
			}, opts...)
		}
	})
	row(t, "A32 blob longer than its descriptor", refused, func(t *testing.T) {
		for _, size := range []int64{rangeSize, 0} {
			deliveries(t, everyForm, func(d *delivery) {
				d.opts.Size = size
				d.srv.On("GetBlobContent").Always().IgnoreRange().Endless()
				ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
				defer cancel()
				d.failed(d.fetchWith(ctx), acr.ErrSizeMismatch)
				if d.sink.high > int64(len(d.want)) {
					d.errorf("%d bytes were given out", d.sink.high)
				}
				d.readAtMost(2*rangeSize+1, "GetBlobContent")
			})
		}
		deliveries(t, rangeForms, func(d *delivery) { // of which ranges are asked for: what comes behind them is not read
			d.opts.Size = rangeSize
			d.srv.On("GetBlobContent").Always().Endless()
			d.arrives()
		})
		deliveries(t, everyForm, func(d *delivery) { // by a byte
			d.opts.Size = rangeSize - 1
			d.srv.On("GetBlobContent").Always().WithoutHeader("Content-Length").IgnoreRange()
			d.fails(acr.ErrSizeMismatch)
		})
	})
	row(t, "A37 sizes that cannot be", refused, func(t *testing.T) {
		for _, size := range []int64{1 << 62, 1<<63 - 1, 1 << 44} {
			deliveries(t, everyForm, func(d *delivery) {
				d.opts.Size = size
				d.fails(acr.ErrSizeMismatch)
			})
			deliveries(t, everyForm, func(d *delivery) { // and nobody says otherwise, but that the bytes end
				d.opts.Size = size
				d.srv.On("GetBlobContent").Always().WithoutHeader("Content-Length")
				d.tooMuch(d.fetch())
			})
			deliveries(t, everyForm, func(d *delivery) { // stated by the registry
				d.srv.On("GetBlobContent").Always().ContentLength(size).RewriteHeader("Content-Range", func(v string) string {
					from, to, _ := contentRange(v)
					return fmt.Sprintf("bytes %d-%d/%d", from, to, size)
				})
				d.tooMuch(d.fetch())
			})
		}
		deliveries(t, everyForm, func(d *delivery) {
			d.opts.Size = -1
			d.fails(acr.ErrInvalidArgument)
			d.atMost(0)
		})
		deliveries(t, everyForm, func(d *delivery) { // a blob that is said to be empty
			d.srv.On("GetBlobContent").Always().ContentLength(0)
			d.fails(acr.ErrDigestMismatch, acr.ErrSizeMismatch)
		})
		deliveries(t, everyForm, func(d *delivery) { // an empty blob that is said not to be
			d.fill(0)
			d.opts.Size = 5
			d.fails(acr.ErrSizeMismatch)
			d.atMost(0)
		})
	})
}

// tooMuch demands an error: of a size, or of a file system that has no room for it.
func (d *delivery) tooMuch(err error) {
	d.t.Helper()
	if failed := (*os.PathError)(nil); errors.As(err, &failed) && d.form.file {
		d.failed(err, failed)
		return
	}
	d.failed(err, acr.ErrSizeMismatch, acr.ErrDigestMismatch, acr.ErrUntrusted, io.ErrUnexpectedEOF)
}

// bubble runs test in a bubble of its own, with a registry in memory.
func bubble(t *testing.T, test func(w *world), opts ...acrtest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(newWorld(t, append([]acrtest.Option{acrtest.WithMemoryNetwork()}, opts...)...))
	})
}

// readAtMost demands that of no reply of the operation more than n bytes were read, but for what was under way.
func (f *fixture) readAtMost(n int64, operation string) {
	f.t.Helper()
	for _, q := range f.srv.Ledger().Requests(operation) {
		if q.BytesOut > n+connectionSlack {
			f.errorf("%d bytes were read, want at most %d: %s", q.BytesOut, n, q)
		}
	}
}

// shortError demands that what is kept of an error is short.
func (f *fixture) shortError(err error) {
	f.t.Helper()
	if err == nil {
		return
	}
	const most = 4<<10 + 512
	if n := len(err.Error()); n > most*5 { // a report of Doctor holds some
		f.errorf("the error has %d bytes", n)
	}
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.RawResponse != nil && e.RawResponse.Body != nil {
		if b, _ := io.ReadAll(e.RawResponse.Body); len(b) > most {
			f.errorf("%d bytes of the body are kept", len(b))
		}
	}
	if e, ok := errors.AsType[*acr.Error](err); ok && len(e.Message) > most {
		f.errorf("the message has %d bytes", len(e.Message))
	}
}

// blanks is an endless reader.
type blanks struct{}

var blank = sync.OnceValue(func() string { return strings.Repeat(" ", 64<<10) })

// Read implements io.Reader.
func (blanks) Read(p []byte) (int, error) { return copy(p, blank()), nil }
