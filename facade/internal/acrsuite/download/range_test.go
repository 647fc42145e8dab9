package download_test

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
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSuiteDownloadRanges: answers to another question than the one that was asked, and wrong bytes.
func TestSuiteDownloadRanges(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F04 range ignored", func(t *testing.T) {
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // by the answer to whoever goes on after a reset
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().IgnoreRange()
			d.Arrives()
			if d.Form.Ranges { // one stream from then on, whatever else is under way
				d.AtMost(2+d.Parts(), "GetBlobContent")
			} else {
				d.Asked(1)
			}
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // always
			d.Breaking().ResetAfter(d.Middle())
			d.Srv.On("GetBlobContent").Always().IgnoreRange()
			d.Arrives()
			d.AtMost(2+acrsuite.RangeWorkers, "GetBlobContent")
			d.WastedAtMost(int64(len(d.Want)) + acrsuite.RangeWorkers*acrsuite.ConnectionSlack)
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // and the one stream breaks too
			d.Srv.On("GetBlobContent").First(4).IgnoreRange().ResetAfter(400_000)
			d.Srv.On("GetBlobContent").Always().IgnoreRange()
			d.Arrives()
		})
	})
	acrsuite.Row(t, "F05 another range", func(t *testing.T) {
		for _, shift := range []int64{-1, +1, -acrsuite.RangePart, 1 << 40} {
			acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
				d.Breaking().ResetAfter(d.Middle())
				d.Resuming().RewriteHeader("Content-Range", shifted(shift))
				d.Arrives()
				d.Asked(2)
			})
		}
		for _, bad := range []string{"", "bytes", "bytes 5-2/9", "bytes */*", "items 0-5/9", "bytes 0-18446744073709551616/9", "bytes -1-5/9", "bytes 0-5"} {
			acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ByRead, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
				d.Breaking().ResetAfter(d.Middle())
				d.Resuming().Header("Content-Range", bad)
				d.Arrives()
			})
		}
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // for ever
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().Always().RewriteHeader("Content-Range", shifted(1))
			d.Fails()
			d.AtMost(6+d.Parts(), "GetBlobContent")
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // it says 206 and sends the blob from its start
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().IgnoreRange().ReplyStatus(http.StatusPartialContent).Header("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(d.Want)-1, len(d.Want)))
			d.Arrives()
		})
	})
	acrsuite.Row(t, "F06 right range, wrong bytes", func(t *testing.T) {
		acrsuite.Deliveries(t, acrsuite.CheckedForms, func(d *acrsuite.Delivery) { // once: the whole is downloaded anew, over a new link and connection
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().FlipByte(100)
			d.Arrives()
			d.Linked(2)
			anew(d)
			if d.Progress.Restarts != 1 {
				d.Errorf("%d restarts", d.Progress.Restarts)
			}
		})
		acrsuite.Deliveries(t, acrsuite.ReaderForms, func(d *acrsuite.Delivery) { // what was given out cannot be taken back
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().FlipByte(100)
			d.Names(d.Fails(acr.ErrDigestMismatch))
			d.Linked(1)
		})
		acrsuite.Deliveries(t, acrsuite.CheckedForms, func(d *acrsuite.Delivery) {
			d.Breaking().Always().FlipByte(100)
			d.Names(d.Fails(acr.ErrDigestMismatch))
			d.Linked(2)
		})
	})
	acrsuite.Row(t, "F07 longer or shorter than asked for", func(t *testing.T) {
		for _, more := range []int64{-1, -10_000, 1, 10_000} {
			acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
				d.Breaking().ResetAfter(d.Middle())
				d.Resuming().Do(resized(more, int64(len(d.Want))))
				d.Arrives()
			})
		}
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // its header says less than its body has
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().WithoutHeader("Content-Length").RewriteHeader("Content-Range", func(v string) string {
				from, to, size := acrsuite.ContentRange(v)
				return fmt.Sprintf("bytes %d-%d/%d", from, to-10, size)
			})
			d.Arrives()
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // two lengths that contradict each other
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().ContentLength(77)
			d.Arrives()
		})
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // several ranges, though one was asked for
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().Always().Header("Content-Type", "multipart/byteranges; boundary=x")
			d.Fails(acr.ErrMalformedReply)
		})
	})
	acrsuite.Row(t, "F08 416 where there should be more", func(t *testing.T) {
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().Status(http.StatusRequestedRangeNotSatisfiable).Header("Content-Range", "bytes */1000").Body("application/xml", "<Error/>")
			d.Fails(acr.ErrSizeMismatch)
			d.AtMost(3+2*acrsuite.RangeWorkers, "GetBlobContent")
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // another size in the middle
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().RewriteHeader("Content-Range", func(v string) string { return strings.Replace(v, "/", "/9", 1) })
			d.Fails(acr.ErrSizeMismatch)
		})
	})
	acrsuite.Row(t, "F09 a byte flipped", func(t *testing.T) {
		for _, at := range []int64{0, 60_000, 65_000} {
			acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.CheckedForms, func(d *acrsuite.Delivery) {
				d.Breaking().FlipByte(at)
				d.Arrives()
				d.Linked(2)
				anew(d)
			})
			acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
				d.Breaking().Always().FlipByte(at)
				d.Names(d.Fails(acr.ErrDigestMismatch))
				if d.Form.Reader {
					d.Linked(1)
				} else {
					d.Linked(2)
				}
			})
		}
		acrsuite.Deliveries(t, acrsuite.CheckedForms, func(d *acrsuite.Delivery) { // in an answer that is longer, too: nothing of it stays
			d.Srv.On("GetBlobContent").Nth(1).IgnoreRange().ReplyBody(strings.Repeat("not the blob ", acrsuite.RangeSize/10))
			switch err := d.Fetch(); {
			case err == nil:
				d.Arrived()
			case d.Form.File && !d.Form.Ranges:
				d.Errorf("%v", err)
			default: // a destination that cannot be cut, or ranges of a blob whose size the wrong answer told
				d.Failed(err, acr.ErrSizeMismatch)
			}
		})
	})
	acrsuite.Row(t, "F10 another length than the descriptor's", func(t *testing.T) {
		for _, size := range []int64{1, acrsuite.RangeSize - 1, acrsuite.RangeSize + 1, 5 << 30} {
			for _, opts := range [][]acrtest.Option{nil, {acrtest.WithInlineBlobs()}} {
				acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
					d.Opts.Size = size
					d.Fails(acr.ErrSizeMismatch)
					if d.Sink.Writes > 0 {
						d.Errorf("%d bytes were given out", d.Sink.High)
					}
					d.AtMost(1, "GetBlobContent")
				}, opts...)
			}
		}
	})
	acrsuite.Row(t, "F11 no Content-Length", func(t *testing.T) {
		for _, known := range []bool{false, true} {
			for _, opts := range [][]acrtest.Option{nil, {acrtest.WithInlineBlobs()}} {
				acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
					if known {
						d.Opts.Size = int64(len(d.Want))
					}
					d.Srv.On("GetBlobContent", "GetBlob").Always().WithoutHeader("Content-Length")
					d.Arrives()
					d.Linked(max(1, d.Srv.Ledger().Count("GetBlob")*len(opts)))
				}, opts...)
			}
			acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // and a reset
				if known {
					d.Opts.Size = int64(len(d.Want))
				}
				d.Srv.On("GetBlobContent").First(1).WithoutHeader("Content-Length").ResetAfter(100_000)
				d.Srv.On("GetBlobContent").Always().WithoutHeader("Content-Length")
				d.Arrives()
			})
		}
	})
	acrsuite.Row(t, "F14 the registry serves the blob itself", func(t *testing.T) {
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // and knows no ranges
			d.Arrives()
			d.AtMost(2+acrsuite.RangeWorkers, "GetBlob")
			d.AtMost(0, "GetBlobContent")
		}, acrtest.WithInlineBlobs())
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // nor when the connection breaks
			d.Srv.On("GetBlob").Nth(1).ResetAfter(500_000)
			d.Arrives()
		}, acrtest.WithInlineBlobs())
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // and does know ranges
			d.Srv.On("GetBlob").Always().Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				w.Header().Set("Content-Type", "application/octet-stream")
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.Want))
			})
			d.Arrives()
			want := 1
			if d.Form.Ranges {
				want += d.Parts()
			}
			d.Linked(want)
			d.AtMost(1, acrsuite.TokenOperations[0])
		}, acrtest.WithInlineBlobs())
	})
	acrsuite.Row(t, "F18 empty blob", func(t *testing.T) {
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
			d.Fill(0)
			d.Arrives()
			d.AtMost(0)
		})
	})
}

// anew demands that after wrong bytes no connection was used again that had been used before them, and that everything was asked for anew.
func anew(d *acrsuite.Delivery) {
	d.T.Helper()
	old, links := map[int64]bool{}, 0
	for _, q := range d.Srv.Ledger().Requests("GetBlob", "GetBlobContent") {
		switch {
		case q.Operation == "GetBlob":
			links++
		case links < 2:
			old[q.Connection] = true
		case old[q.Connection]:
			d.Errorf("connection %d, which may have brought wrong bytes, was used again:%s", q.Connection, d.Requests())
			return
		}
	}
}

// shifted moves the range that an answer states.
func shifted(by int64) func(string) string {
	return func(v string) string {
		from, to, size := acrsuite.ContentRange(v)
		return fmt.Sprintf("bytes %d-%d/%d", from+by, to+by, size)
	}
}

// resized answers with a range of another length, and says so in order.
func resized(more, size int64) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		from, to, _ := acrsuite.AskedRange(r)
		if to == 0 {
			to = size
		}
		r = r.Clone(r.Context())
		r.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(to+more-1, 10))
		next.ServeHTTP(w, r)
	}
}
