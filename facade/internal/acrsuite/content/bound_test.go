package content_test

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
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// manifestCalls are those that read a manifest's content.
func manifestCalls(t *testing.T) []acrsuite.Call {
	t.Helper()
	return []acrsuite.Call{acrsuite.CallNamed(t, "Repository.GetManifest"), acrsuite.CallNamed(t, "Repository.HeadManifest"), acrsuite.CallNamed(t, "Repository.Tag")}
}

// TestAttacksOnMemory: replies that have no end, or are larger than they look.
func TestAttacksOnMemory(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A26 endless answer to a token request", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized} {
				w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
					f.Note = fmt.Sprint(status)
					f.Srv.On(acrsuite.TokenOperations...).Always().Status(status).Body("application/json", `{"access_token":"`).Endless()
					err := f.Run()
					f.MustFail(err)
					shortError(f, err)
					for _, op := range acrsuite.TokenOperations {
						readAtMost(f, 64<<10+1, op)
					}
				})
			}
		})
	})
	acrsuite.Row(t, "A27 endless manifest", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			w.Over(manifestCalls(t), func(f *acrsuite.Fixture) {
				f.Srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest") // so that it is read
				f.Srv.On("GetManifest").Always().Endless()
				f.MustFail(f.Run(), acr.ErrTooLarge)
				readAtMost(f, 4<<20+1, "GetManifest")
				f.AtMost(1, "GetManifest")
			})
			w.Over(manifestCalls(t), func(f *acrsuite.Fixture) { // that says how large it is
				f.Srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
				f.Srv.On("GetManifest").Always().ContentLength(1 << 40)
				f.MustFail(f.Run(), acr.ErrTooLarge)
			})
		})
	})
	acrsuite.Row(t, "A28 endless error", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			w.Options = []acrsuite.Option{acrsuite.Once}
			calls := acrsuite.CallsOf()
			for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusInternalServerError} {
				w.Over(calls, func(f *acrsuite.Fixture) {
					f.Note = fmt.Sprint(status)
					f.Srv.On(f.Call.Op).Always().Status(status).Body("text/plain", strings.Repeat("no ", 50_000)).Endless()
					err := f.Run()
					shortError(f, err)
					readAtMost(f, 64<<10, f.Call.Op)
				})
			}
			w.Over(acrsuite.CallsOf(acrsuite.DownloadCall), func(f *acrsuite.Fixture) {
				for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable} {
					f.Note = fmt.Sprint("storage ", status)
					f.Srv.ClearFaults()
					f.Srv.On("GetBlobContent").Always().Status(status).Body("application/xml", "<Error>").Endless()
					err := f.Run()
					f.MustFail(err)
					shortError(f, err)
					readAtMost(f, 64<<10, "GetBlobContent")
				}
			})
		})
	})
	acrsuite.Row(t, "A29 endless list", func(t *testing.T) {
		var b strings.Builder
		b.WriteString(`{"tags":["t0"`)
		for i := range 1_000_000 {
			_, _ = fmt.Fprintf(&b, `,"t%d"`, i) // never fails
		}
		b.WriteString("]}")
		bubble(t, func(w *acrsuite.World) {
			w.Over(acrsuite.CallsOf(acrsuite.ListCall), func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Always().Endless()
				f.MustFail(f.Run(), acr.ErrTooLarge)
				readAtMost(f, 8<<20, f.Call.Op)
				f.AtMost(1, f.Call.Op)
			})
			w.Over([]acrsuite.Call{acrsuite.CallNamed(t, "Repository.TagNames"), acrsuite.CallNamed(t, "Client.Repositories")}, func(f *acrsuite.Fixture) { // a million entries
				f.Srv.On(f.Call.Op).Always().ReplyBody(b.String())
				f.MustFail(f.Run(), acr.ErrTooLarge)
				f.AtMost(1, f.Call.Op)
			})
			w.Over(acrsuite.CallsOf(acrsuite.ReadCall), func(f *acrsuite.Fixture) {
				if strings.HasPrefix(f.Call.Op, "Head") {
					return // no body
				}
				f.Srv.On(f.Call.Op).Always().Endless()
				f.MustFail(f.Run(), acr.ErrTooLarge)
				readAtMost(f, 4<<20+1, f.Call.Op)
			})
		})
	})
	acrsuite.Row(t, "A30 list in a circle", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			w.Options = []acrsuite.Option{func(o *acr.ClientOptions) { o.MaxPages = 20 }}
			for _, cycle := range []int{1, 2, 7, 1 << 30} {
				w.Over(acrsuite.CallsOf(acrsuite.ListCall), func(f *acrsuite.Fixture) {
					f.Note = fmt.Sprintf("a cycle of %d", cycle)
					f.MustWork(f.Run())
					asked := f.Srv.Ledger().Requests(f.Call.Op)[0]
					f.Srv.Ledger().Reset()
					n := 0
					f.Srv.On(f.Call.Op).Always().RewriteHeader("Link", func(string) string {
						n++
						return fmt.Sprintf(`<%s?last=%s&n=1>; rel="next"`, path.Clean(asked.Path), url.QueryEscape(fmt.Sprint("x", n%cycle)))
					})
					f.MustFail(f.Run(), acr.ErrListEndless)
					f.AtMost(min(cycle+1, 20), f.Call.Op)
				})
			}
		})
	})
	acrsuite.Row(t, "A31 compressed a thousandfold", func(t *testing.T) {
		var packed strings.Builder
		z := gzip.NewWriter(&packed)
		_, _ = io.CopyN(z, blanks{}, 100<<20) // never fails
		_ = z.Close()
		zipped := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, packed.String()) // the caller may be gone
		}
		bubble(t, func(w *acrsuite.World) {
			w.Over(append(append(manifestCalls(t), acrsuite.CallsOf(acrsuite.ListCall)...), acrsuite.CallNamed(t, "Artifact.TagProperties")), func(f *acrsuite.Fixture) {
				f.Srv.On("HeadManifest").Always().WithoutHeader("Docker-Content-Digest")
				f.Srv.On("GetManifest", f.Call.Op).When(func(r *http.Request) bool { return r.Method == http.MethodGet }).Always().Do(zipped)
				f.MustFail(f.Run(), acr.ErrTooLarge)
			})
		})
		for _, opts := range [][]acrtest.Option{nil, {acrtest.WithInlineBlobs()}} {
			acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
				d.Srv.On("GetBlobContent", "GetBlob").When(func(r *http.Request) bool {
					return len(opts) > 0 || strings.Contains(r.URL.Path, "/docker/registry/")
				}).Always().Header("Content-Encoding", "gzip")
				d.Fails(acr.ErrMalformedReply)
				if d.Sink.Writes > 0 {
					d.Errorf("%d bytes were given out", d.Sink.High)
				}
				for _, q := range d.Srv.Ledger().Requests("GetBlob", "GetBlobContent") {
					if got := q.Header.Get("Accept-Encoding"); got != "identity" {
						d.Errorf("%s was sent with Accept-Encoding %q", q.Operation, got)
					}
				}
			}, opts...)
		}
	})
	acrsuite.Row(t, "A32 blob longer than its descriptor", func(t *testing.T) {
		for _, size := range []int64{acrsuite.RangeSize, 0} {
			acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
				d.Opts.Size = size
				d.Srv.On("GetBlobContent").Always().IgnoreRange().Endless()
				ctx, cancel := context.WithTimeout(d.Ctx, 20*time.Second)
				defer cancel()
				d.Failed(d.FetchWith(ctx), acr.ErrSizeMismatch)
				if d.Sink.High > int64(len(d.Want)) {
					d.Errorf("%d bytes were given out", d.Sink.High)
				}
				readAtMost(d.Fixture, 2*acrsuite.RangeSize+1, "GetBlobContent")
			})
		}
		acrsuite.Deliveries(t, acrsuite.RangeForms, func(d *acrsuite.Delivery) { // of which ranges are asked for: what comes behind them is not read
			d.Opts.Size = int64(len(d.Want))
			d.Srv.On("GetBlobContent").Always().Endless()
			d.Arrives()
		})
		loopback := []acrsuite.Setting{acrsuite.OnLoopback}
		acrsuite.DeliveriesIn(t, loopback, acrsuite.RangeForms, func(d *acrsuite.Delivery) { // or the first stream reaches the end
			d.Opts.Size = int64(len(d.Want))
			d.Srv.On("GetBlobContent").Always().Endless()
			if err := d.Fetch(); err != nil {
				d.Failed(err, acr.ErrSizeMismatch)
			} else {
				d.Arrived()
			}
		})
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // by a byte
			d.Opts.Size = int64(len(d.Want)) - 1
			d.Srv.On("GetBlobContent").Always().WithoutHeader("Content-Length").IgnoreRange()
			d.Fails(acr.ErrSizeMismatch)
		})
	})
	acrsuite.Row(t, "A37 sizes that cannot be", func(t *testing.T) {
		for _, size := range []int64{1 << 62, 1<<63 - 1, 1 << 44} {
			acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
				d.Opts.Size = size
				d.Fails(acr.ErrSizeMismatch)
			})
			acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // and nobody says otherwise, but that the bytes end
				d.Opts.Size = size
				d.Srv.On("GetBlobContent").Always().WithoutHeader("Content-Length")
				tooMuch(d, d.Fetch())
			})
			acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // stated by the registry
				d.Srv.On("GetBlobContent").Always().ContentLength(size).RewriteHeader("Content-Range", func(v string) string {
					from, to, _ := acrsuite.ContentRange(v)
					return fmt.Sprintf("bytes %d-%d/%d", from, to, size)
				})
				tooMuch(d, d.Fetch())
			})
		}
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
			d.Opts.Size = -1
			d.Fails(acr.ErrInvalidArgument)
			d.AtMost(0)
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // a blob that is said to be empty
			d.Srv.On("GetBlobContent").Always().ContentLength(0)
			d.Fails(acr.ErrDigestMismatch, acr.ErrSizeMismatch)
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // an empty blob that is said not to be
			d.Fill(0)
			d.Opts.Size = 5
			d.Fails(acr.ErrSizeMismatch)
			d.AtMost(0)
		})
	})
}

// tooMuch demands an error: of a size, or of a file system that has no room for it.
func tooMuch(d *acrsuite.Delivery, err error) {
	d.T.Helper()
	if failed := (*os.PathError)(nil); errors.As(err, &failed) && d.Form.File {
		d.Failed(err, failed)
		return
	}
	d.Failed(err, acr.ErrSizeMismatch, acr.ErrDigestMismatch, acr.ErrUntrusted, io.ErrUnexpectedEOF)
}

// bubble runs test in a bubble of its own, with a registry in memory.
func bubble(t *testing.T, test func(w *acrsuite.World), opts ...acrtest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(acrsuite.NewWorld(t, append([]acrtest.Option{acrtest.WithMemoryNetwork()}, opts...)...))
	})
}

// readAtMost demands that of no reply of the operation more than n bytes were read, but for what was under way.
func readAtMost(f *acrsuite.Fixture, n int64, operation string) {
	f.T.Helper()
	for _, q := range f.Srv.Ledger().Requests(operation) {
		if q.BytesOut > n+acrsuite.ConnectionSlack {
			f.Errorf("%d bytes were read, want at most %d: %s", q.BytesOut, n, q)
		}
	}
}

// shortError demands that what is kept of an error is short.
func shortError(f *acrsuite.Fixture, err error) {
	f.T.Helper()
	if err == nil {
		return
	}
	const most = 4<<10 + 512
	if n := len(err.Error()); n > most*5 { // a report of Doctor holds some
		f.Errorf("the error has %d bytes", n)
	}
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.RawResponse != nil && e.RawResponse.Body != nil {
		if b, _ := io.ReadAll(e.RawResponse.Body); len(b) > most {
			f.Errorf("%d bytes of the body are kept", len(b))
		}
	}
	if e, ok := errors.AsType[*acr.Error](err); ok && len(e.Message) > most {
		f.Errorf("the message has %d bytes", len(e.Message))
	}
}

// blanks is an endless reader.
type blanks struct{}

var blank = sync.OnceValue(func() string { return strings.Repeat(" ", 64<<10) })

// Read implements io.Reader.
func (blanks) Read(p []byte) (int, error) { return copy(p, blank()), nil }
