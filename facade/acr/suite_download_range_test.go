package acr_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F04", "F05", "F06", "F07", "F08", "F09", "F10", "F11", "F14", "F18")

// TestSuiteDownloadRanges: answers to another question than the one that was asked, and wrong bytes.
func TestSuiteDownloadRanges(t *testing.T) {
	t.Parallel()
	row(t, "F04 range ignored", survived, func(t *testing.T) {
		deliveries(t, everyForm, func(d *delivery) { // by the answer to whoever goes on after a reset
			d.breaking().ResetAfter(d.middle())
			d.resuming().IgnoreRange()
			d.arrives()
			if d.form.ranges { // one stream from then on, whatever else is under way
				d.atMost(2+d.parts(), "GetBlobContent")
			} else {
				d.asked(1)
			}
		})
		deliveries(t, everyForm, func(d *delivery) { // always
			d.breaking().ResetAfter(d.middle())
			d.srv.On("GetBlobContent").Always().IgnoreRange()
			d.arrives()
			d.atMost(2+rangeWorkers, "GetBlobContent")
			d.wastedAtMost(int64(len(d.want)) + rangeWorkers*connectionSlack)
		})
		deliveries(t, everyForm, func(d *delivery) { // and the one stream breaks too
			d.srv.On("GetBlobContent").First(4).IgnoreRange().ResetAfter(400_000)
			d.srv.On("GetBlobContent").Always().IgnoreRange()
			d.arrives()
		})
	})
	row(t, "F05 another range", survived, func(t *testing.T) {
		for _, shift := range []int64{-1, +1, -rangePart, 1 << 40} {
			deliveries(t, everyForm, func(d *delivery) {
				d.breaking().ResetAfter(d.middle())
				d.resuming().RewriteHeader("Content-Range", shifted(shift))
				d.arrives()
				d.asked(2)
			})
		}
		for _, bad := range []string{"", "bytes", "bytes 5-2/9", "bytes */*", "items 0-5/9", "bytes 0-18446744073709551616/9", "bytes -1-5/9", "bytes 0-5"} {
			deliveries(t, []form{byRead, toFileInN}, func(d *delivery) {
				d.breaking().ResetAfter(d.middle())
				d.resuming().Header("Content-Range", bad)
				d.arrives()
			})
		}
		deliveries(t, everyForm, func(d *delivery) { // for ever
			d.breaking().ResetAfter(d.middle())
			d.resuming().Always().RewriteHeader("Content-Range", shifted(1))
			d.fails()
			d.atMost(6+d.parts(), "GetBlobContent")
		})
		deliveries(t, everyForm, func(d *delivery) { // it says 206 and sends the blob from its start
			d.breaking().ResetAfter(d.middle())
			d.resuming().IgnoreRange().ReplyStatus(http.StatusPartialContent).Header("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(d.want)-1, len(d.want)))
			d.arrives()
		})
	})
	row(t, "F06 right range, wrong bytes", cleanError, func(t *testing.T) {
		deliveries(t, checkedForms, func(d *delivery) { // once: the whole is downloaded anew, over a new link and connection
			d.breaking().ResetAfter(d.middle())
			d.resuming().FlipByte(100)
			d.arrives()
			d.linked(2)
			d.anew()
			if d.progress.Restarts != 1 {
				d.errorf("%d restarts", d.progress.Restarts)
			}
		})
		deliveries(t, readerForms, func(d *delivery) { // what was given out cannot be taken back
			d.breaking().ResetAfter(d.middle())
			d.resuming().FlipByte(100)
			d.names(d.fails(acr.ErrDigestMismatch))
			d.linked(1)
		})
		deliveries(t, checkedForms, func(d *delivery) {
			d.breaking().Always().FlipByte(100)
			d.names(d.fails(acr.ErrDigestMismatch))
			d.linked(2)
		})
	})
	row(t, "F07 longer or shorter than asked for", survived, func(t *testing.T) {
		for _, more := range []int64{-1, -10_000, 1, 10_000} {
			deliveries(t, everyForm, func(d *delivery) {
				d.breaking().ResetAfter(d.middle())
				d.resuming().Do(resized(more, int64(len(d.want))))
				d.arrives()
			})
		}
		deliveries(t, everyForm, func(d *delivery) { // its header says less than its body has
			d.breaking().ResetAfter(d.middle())
			d.resuming().WithoutHeader("Content-Length").RewriteHeader("Content-Range", func(v string) string {
				from, to, size := contentRange(v)
				return fmt.Sprintf("bytes %d-%d/%d", from, to-10, size)
			})
			d.arrives()
		})
		deliveries(t, everyForm, func(d *delivery) { // two lengths that contradict each other
			d.breaking().ResetAfter(d.middle())
			d.resuming().ContentLength(77)
			d.arrives()
		})
		deliveries(t, everyForm, func(d *delivery) { // several ranges, though one was asked for
			d.breaking().ResetAfter(d.middle())
			d.resuming().Always().Header("Content-Type", "multipart/byteranges; boundary=x")
			d.fails(acr.ErrMalformedReply)
		})
	})
	row(t, "F08 416 where there should be more", cleanError, func(t *testing.T) {
		deliveries(t, everyForm, func(d *delivery) {
			d.breaking().ResetAfter(d.middle())
			d.resuming().Status(http.StatusRequestedRangeNotSatisfiable).Header("Content-Range", "bytes */1000").Body("application/xml", "<Error/>")
			d.fails(acr.ErrSizeMismatch)
			d.atMost(3+2*rangeWorkers, "GetBlobContent")
		})
		deliveries(t, everyForm, func(d *delivery) { // another size in the middle
			d.breaking().ResetAfter(d.middle())
			d.resuming().RewriteHeader("Content-Range", func(v string) string { return strings.Replace(v, "/", "/9", 1) })
			d.fails(acr.ErrSizeMismatch)
		})
	})
	row(t, "F09 a byte flipped", cleanError, func(t *testing.T) {
		for _, at := range []int64{0, 60_000, 65_000} {
			deliveries(t, checkedForms, func(d *delivery) {
				d.breaking().FlipByte(at)
				d.arrives()
				d.linked(2)
				d.anew()
			})
			deliveries(t, everyForm, func(d *delivery) {
				d.breaking().Always().FlipByte(at)
				d.names(d.fails(acr.ErrDigestMismatch))
				if d.form.reader {
					d.linked(1)
				} else {
					d.linked(2)
				}
			})
		}
	})
	row(t, "F10 another length than the descriptor's", cleanError, func(t *testing.T) {
		for _, size := range []int64{1, rangeSize - 1, rangeSize + 1, 5 << 30} {
			for _, opts := range [][]acrtest.Option{nil, {acrtest.WithInlineBlobs()}} {
				deliveries(t, everyForm, func(d *delivery) {
					d.opts.Size = size
					d.fails(acr.ErrSizeMismatch)
					if d.sink.writes > 0 {
						d.errorf("%d bytes were given out", d.sink.high)
					}
					d.atMost(1, "GetBlobContent")
				}, opts...)
			}
		}
	})
	row(t, "F11 no Content-Length", survived, func(t *testing.T) {
		for _, size := range []int64{0, rangeSize} {
			for _, opts := range [][]acrtest.Option{nil, {acrtest.WithInlineBlobs()}} {
				deliveries(t, everyForm, func(d *delivery) {
					d.opts.Size = size
					d.srv.On("GetBlobContent", "GetBlob").Always().WithoutHeader("Content-Length")
					d.arrives()
					d.linked(max(1, d.srv.Ledger().Count("GetBlob")*len(opts)))
				}, opts...)
			}
			deliveries(t, everyForm, func(d *delivery) { // and a reset
				d.opts.Size = size
				d.srv.On("GetBlobContent").First(1).WithoutHeader("Content-Length").ResetAfter(100_000)
				d.srv.On("GetBlobContent").Always().WithoutHeader("Content-Length")
				d.arrives()
			})
		}
	})
	row(t, "F14 the registry serves the blob itself", survived, func(t *testing.T) {
		deliveries(t, everyForm, func(d *delivery) { // and knows no ranges
			d.arrives()
			d.atMost(2+rangeWorkers, "GetBlob")
			d.atMost(0, "GetBlobContent")
		}, acrtest.WithInlineBlobs())
		deliveries(t, everyForm, func(d *delivery) { // nor when the connection breaks
			d.srv.On("GetBlob").Nth(1).ResetAfter(500_000)
			d.arrives()
		}, acrtest.WithInlineBlobs())
		deliveries(t, everyForm, func(d *delivery) { // and does know ranges
			d.srv.On("GetBlob").Always().Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				w.Header().Set("Content-Type", "application/octet-stream")
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.want))
			})
			d.arrives()
			want := 1
			if d.form.ranges {
				want += d.parts()
			}
			d.linked(want)
			d.atMost(1, tokenOperations[0])
		}, acrtest.WithInlineBlobs())
	})
	row(t, "F18 empty blob", survived, func(t *testing.T) {
		deliveries(t, everyForm, func(d *delivery) {
			d.fill(0)
			d.arrives()
			d.atMost(0)
		})
	})
}

// anew demands that after wrong bytes no connection was used again that had been used before them, and that everything was asked for anew.
func (d *delivery) anew() {
	d.t.Helper()
	old, links := map[int64]bool{}, 0
	for _, q := range d.srv.Ledger().Requests("GetBlob", "GetBlobContent") {
		switch {
		case q.Operation == "GetBlob":
			links++
		case links < 2:
			old[q.Connection] = true
		case old[q.Connection]:
			d.errorf("connection %d, which may have brought wrong bytes, was used again:%s", q.Connection, d.requests())
			return
		}
	}
}

// names demands that the error names the digest that was asked for and the one that came.
func (d *delivery) names(err error) {
	d.t.Helper()
	if err == nil {
		return
	}
	if text := err.Error(); !strings.Contains(text, d.dgst.String()) || strings.Count(text, "sha256:") < 2 {
		d.errorf("it does not name both digests: %v", err)
	}
}

// contentRange reads a Content-Range.
func contentRange(v string) (from, to, size int64) {
	_, _ = fmt.Sscanf(v, "bytes %d-%d/%d", &from, &to, &size) // what is no range stays zero
	return from, to, size
}

// shifted moves the range that an answer states.
func shifted(by int64) func(string) string {
	return func(v string) string {
		from, to, size := contentRange(v)
		return fmt.Sprintf("bytes %d-%d/%d", from+by, to+by, size)
	}
}

// resized answers with a range of another length, and says so in order.
func resized(more, size int64) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		from, to, _ := askedRange(r)
		if to == 0 {
			to = size
		}
		r = r.Clone(r.Context())
		r.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(to+more-1, 10))
		next.ServeHTTP(w, r)
	}
}
