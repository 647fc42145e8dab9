package download_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSuiteDownloadBreaks: connections that break or stall, and storage that has no time.
func TestSuiteDownloadBreaks(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F01 reset in the middle", func(t *testing.T) {
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
			d.Breaking().ResetAfter(d.Middle())
			d.Arrives()
			d.Asked(1)
			d.Linked(1)
			d.WastedAtMost(acrsuite.ConnectionSlack)
			d.Within(0, 2*time.Second) // it goes on at once
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // again and again, but each time a bit further
			d.Srv.On("GetBlobContent").First(8).ResetAfter(120_000) // what is under way is lost: at least 64 KiB arrive
			d.Arrives()
			d.Linked(1)
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // before the first byte
			d.Srv.On("GetBlobContent").Nth(1).DropReply()
			d.Srv.On("GetBlob").Nth(1).DropReply()
			d.Arrives()
		})
	})
	acrsuite.Row(t, "F02 FIN in the middle", func(t *testing.T) {
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
			d.Breaking().Truncate(d.Middle())
			d.Arrives()
			d.Asked(1)
			d.Linked(1)
			d.WastedAtMost(acrsuite.ConnectionSlack)
		})
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // and one behind a reply
			d.Breaking().Truncate(d.Middle())
			d.Srv.On("GetBlob").CloseIdle()
			d.Arrives()
		})
	})
	acrsuite.Row(t, "F03 body that ends early and in good order", func(t *testing.T) {
		for _, known := range []bool{false, true} {
			acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
				if known {
					d.Opts.Size = int64(len(d.Want))
				}
				d.Breaking().TruncateClean(d.Middle())
				d.Arrives()
				d.Asked(1)
				d.WastedAtMost(acrsuite.ConnectionSlack)
			})
		}
	})
	acrsuite.Row(t, "F12 link expired in the middle", func(t *testing.T) {
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // the link's twenty minutes are over when a range is asked for
			d.Breaking().ResetAfter(d.Middle())
			d.Resuming().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				d.Srv.Advance(21 * time.Minute)
				next.ServeHTTP(w, r)
			})
			d.Arrives()
			d.Linked(2) // all ranges share the new link, too
			d.WastedAtMost(acrsuite.ConnectionSlack)
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // a link that is never good
			d.Srv.On("GetBlobContent").Always().Status(http.StatusForbidden)
			d.Fails()
			d.Linked(2)
		})
	})
	acrsuite.Row(t, "F13 storage is busy", func(t *testing.T) {
		for _, status := range []int{http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusTooManyRequests} {
			acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
				d.Srv.On("GetBlobContent").First(2).Status(status, 3*time.Second)
				d.Arrives()
				d.Asked(2)
				d.Within(6*time.Second, 9*time.Second)
			})
		}
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // as long as it says
			d.Srv.On("GetBlobContent").First(2).Status(http.StatusServiceUnavailable, time.Second)
			d.Arrives()
			d.Within(2*time.Second, time.Minute)
		})
		acrsuite.DeliveriesIn(t, acrsuite.Everywhere, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // without a word on when to come back; others keep going
			d.Breaking().Status(http.StatusServiceUnavailable)
			d.Arrives()
			d.Asked(1)
			d.Within(0, 3*time.Second)
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // for ever
			d.Srv.On("GetBlobContent").Always().Status(http.StatusServiceUnavailable)
			d.Fails()
			d.AtMost(5, "GetBlobContent")
			d.Within(0, time.Minute)
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // for longer than anybody waits
			d.Srv.On("GetBlobContent").Always().Status(http.StatusServiceUnavailable, 10*time.Minute)
			d.Fails()
			d.AtMost(1, "GetBlobContent")
			d.Within(0, time.Second)
		})
	})
	acrsuite.Row(t, "F15 one of many ranges fails", func(t *testing.T) {
		acrsuite.Deliveries(t, acrsuite.RangeForms, func(d *acrsuite.Delivery) {
			d.Breaking().ResetAfter(d.Middle())
			d.Arrives()
			d.Asked(1)
			d.WastedAtMost(acrsuite.ConnectionSlack)
		})
		acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToWriterInN}, func(d *acrsuite.Delivery) { // while one stalls, the others go on as far as memory is allowed, and no further
			lag, stalled, ahead := int64(acrsuite.RangeStream+acrsuite.RangePart), true, int64(0) // the second range begins at lag
			d.Breaking().StallAfter(0)
			d.Sink = &acrsuite.Sink{Hook: acrsuite.Locked(func(off, end int64) {
				if stalled = stalled && (off < lag || off >= lag+acrsuite.RangePart); stalled {
					ahead = max(ahead, end-lag)
				}
			})}
			d.Arrives()
			if most := int64((acrsuite.RangeWorkers + 2) * acrsuite.RangePart); ahead > most || ahead < 2*acrsuite.RangePart {
				d.Errorf("the others were %d bytes ahead, want at most %d", ahead, most)
			}
			d.Asked(1)
		})
		acrsuite.Deliveries(t, acrsuite.RangeForms, func(d *acrsuite.Delivery) { // one fails for good: the others end too
			d.Breaking().Status(http.StatusNotFound)
			d.Fails()
			d.AtMost(2+2*acrsuite.RangeWorkers, "GetBlobContent")
		})
	})
	acrsuite.Row(t, "F16 connection open, no bytes", func(t *testing.T) {
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
			d.Breaking().StallAfter(d.Middle())
			d.Arrives()
			d.Asked(1)
			d.WastedAtMost(acrsuite.ConnectionSlack)
			if d.Form.Ranges {
				d.Within(2*time.Second, 29*time.Second) // what everybody waits for is asked for anew before the watchdog barks
			} else {
				d.Within(30*time.Second, 32*time.Second)
			}
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // not even a header
			d.Srv.On("GetBlobContent").Nth(1).Stall()
			d.Arrives()
			d.Within(30*time.Second, 4*time.Minute) // a response may take three minutes to begin
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // for ever
			d.Srv.On("GetBlobContent").Always().StallAfter(1000)
			d.Fails(acr.ErrStalled)
			d.Within(30*time.Second, 10*time.Minute)
		})
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { // slow is not stalled
			d.Fill(300)
			d.Srv.On("GetBlobContent").Always().Slow(1)
			d.Arrives()
			d.Asked(0)
			d.Within(4*time.Minute, 6*time.Minute)
		}, acrtest.WithBandwidth(0))
	})
}
