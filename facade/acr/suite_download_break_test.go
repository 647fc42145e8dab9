package acr_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F01", "F02", "F03", "F12", "F13", "F15", "F16")

// TestSuiteDownloadBreaks: connections that break or stall, and storage that has no time.
func TestSuiteDownloadBreaks(t *testing.T) {
	t.Parallel()
	row(t, "F01 reset in the middle", survived, func(t *testing.T) {
		deliveries(t, everyForm, func(d *delivery) {
			d.breaking().ResetAfter(d.middle())
			d.arrives()
			d.asked(1)
			d.linked(1)
			d.wastedAtMost(connectionSlack)
			d.within(0, 2*time.Second) // it goes on at once
		})
		deliveries(t, everyForm, func(d *delivery) { // again and again, but each time a bit further
			d.srv.On("GetBlobContent").First(8).ResetAfter(80_000)
			d.arrives()
			d.linked(1)
		})
		deliveries(t, everyForm, func(d *delivery) { // before the first byte
			d.srv.On("GetBlobContent").Nth(1).DropReply()
			d.srv.On("GetBlob").Nth(1).DropReply()
			d.arrives()
		})
	})
	row(t, "F02 FIN in the middle", survived, func(t *testing.T) {
		deliveries(t, everyForm, func(d *delivery) {
			d.breaking().Truncate(d.middle())
			d.arrives()
			d.asked(1)
			d.linked(1)
			d.wastedAtMost(connectionSlack)
		})
	})
	row(t, "F03 body that ends early and in good order", survived, func(t *testing.T) {
		for _, size := range []int64{0, rangeSize} {
			deliveries(t, everyForm, func(d *delivery) {
				d.opts.Size = size
				d.breaking().TruncateClean(d.middle())
				d.arrives()
				d.asked(1)
				d.wastedAtMost(connectionSlack)
			})
		}
	})
	row(t, "F12 link expired in the middle", survived, func(t *testing.T) {
		deliveries(t, everyForm, func(d *delivery) { // the link's twenty minutes are over when a range is asked for
			d.breaking().ResetAfter(d.middle())
			d.resuming().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				d.srv.Advance(21 * time.Minute)
				next.ServeHTTP(w, r)
			})
			d.arrives()
			d.linked(2) // all ranges share the new link, too
			d.wastedAtMost(connectionSlack)
		})
		deliveries(t, everyForm, func(d *delivery) { // a link that is never good
			d.srv.On("GetBlobContent").Always().Status(http.StatusForbidden)
			d.fails()
			d.linked(2)
		})
	})
	row(t, "F13 storage is busy", survived, func(t *testing.T) {
		for _, status := range []int{http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusTooManyRequests} {
			deliveries(t, everyForm, func(d *delivery) {
				d.srv.On("GetBlobContent").First(2).Status(status, 3*time.Second)
				d.arrives()
				d.asked(2)
				d.within(6*time.Second, 9*time.Second)
			})
		}
		deliveries(t, everyForm, func(d *delivery) { // without a word on when to come back; others keep going
			d.breaking().Status(http.StatusServiceUnavailable)
			d.arrives()
			d.asked(1)
			d.within(0, 3*time.Second)
		})
		deliveries(t, everyForm, func(d *delivery) { // for ever
			d.srv.On("GetBlobContent").Always().Status(http.StatusServiceUnavailable)
			d.fails()
			d.atMost(5, "GetBlobContent")
			d.within(0, time.Minute)
		})
		deliveries(t, everyForm, func(d *delivery) { // for longer than anybody waits
			d.srv.On("GetBlobContent").Always().Status(http.StatusServiceUnavailable, 10*time.Minute)
			d.fails()
			d.atMost(1, "GetBlobContent")
			d.within(0, time.Second)
		})
	})
	row(t, "F15 one of many ranges fails", survived, func(t *testing.T) {
		deliveries(t, rangeForms, func(d *delivery) {
			d.breaking().ResetAfter(d.middle())
			d.arrives()
			d.asked(1)
			d.wastedAtMost(connectionSlack)
		})
		deliveries(t, []form{toWriterInN}, func(d *delivery) { // while one stalls, the others go on as far as memory is allowed, and no further
			lag, stalled, ahead := int64(rangeStream+rangePart), true, int64(0) // the second range begins at lag
			d.breaking().StallAfter(0)
			d.sink = &sink{hook: locked(func(off, end int64) {
				if stalled = stalled && (off < lag || off >= lag+rangePart); stalled {
					ahead = max(ahead, end-lag)
				}
			})}
			d.arrives()
			if most := int64((rangeWorkers + 2) * rangePart); ahead > most || ahead < 2*rangePart {
				d.errorf("the others were %d bytes ahead, want at most %d", ahead, most)
			}
			d.asked(1)
		})
		deliveries(t, rangeForms, func(d *delivery) { // one fails for good: the others end too
			d.breaking().Status(http.StatusNotFound)
			d.fails()
			d.atMost(2+2*rangeWorkers, "GetBlobContent")
		})
	})
	row(t, "F16 connection open, no bytes", survived, func(t *testing.T) {
		deliveries(t, everyForm, func(d *delivery) {
			d.breaking().StallAfter(d.middle())
			d.arrives()
			d.asked(1)
			d.wastedAtMost(connectionSlack)
			if d.form.ranges {
				d.within(2*time.Second, 29*time.Second) // what everybody waits for is asked for anew before the watchdog barks
			} else {
				d.within(30*time.Second, 32*time.Second)
			}
		})
		deliveries(t, everyForm, func(d *delivery) { // not even a header
			d.srv.On("GetBlobContent").Nth(1).Stall()
			d.arrives()
			d.within(30*time.Second, 2*time.Minute)
		})
		deliveries(t, everyForm, func(d *delivery) { // for ever
			d.srv.On("GetBlobContent").Always().StallAfter(1000)
			d.fails(acr.ErrStalled)
			d.within(30*time.Second, 10*time.Minute)
		})
		deliveries(t, everyForm, func(d *delivery) { // slow is not stalled
			d.fill(300)
			d.srv.On("GetBlobContent").Always().Slow(1)
			d.arrives()
			d.asked(0)
			d.within(4*time.Minute, 6*time.Minute)
		}, acrtest.WithBandwidth(0))
	})
}
