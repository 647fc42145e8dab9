package acr_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F68", "F69", "F70")

// TestSuiteDeletes: deletions of what is gone, of what is locked, and those of which nobody hears whether they were carried out.
func TestSuiteDeletes(t *testing.T) {
	t.Parallel()
	row(t, "F68 nothing to delete", cleanError, func(t *testing.T) {
		bubble(t, func(w *world) {
			w.over(callsOf(deleteCall), func(f *fixture) { // nothing there in the first place: the caller is told
				f.mustWork(f.run())
				f.mustFail(f.run(), acr.ErrNotFound)
			})
			w.over(callsOf(deleteCall), func(f *fixture) { // nor after a try that was refused: that one deleted nothing
				f.srv.On(f.call.op).Nth(1).Status(http.StatusTooManyRequests, time.Second)
				f.srv.On(f.call.op).Nth(2).Status(http.StatusNotFound)
				f.mustFail(f.run(), acr.ErrNotFound)
				f.atMost(2, f.call.op)
			})
		})
	})
	row(t, "F69 deleted, reply lost", survived, func(t *testing.T) {
		lost := map[string]func(*acrtest.Fault){
			"no reply":      func(f *acrtest.Fault) { f.DropReply() },
			"500":           func(f *acrtest.Fault) { f.ReplyStatus(http.StatusInternalServerError) },
			"502 (gateway)": func(f *acrtest.Fault) { f.ReplyStatus(http.StatusBadGateway) },
			"504 (gateway)": func(f *acrtest.Fault) { f.ReplyStatus(http.StatusGatewayTimeout) },
		}
		for name, lose := range lost {
			bubble(t, func(w *world) {
				w.over(callsOf(deleteCall), func(f *fixture) {
					f.note = name
					lose(f.srv.On(f.call.op).Nth(1))
					f.mustWork(f.run())
					f.atMost(2, f.call.op)
				})
			})
		}
	})
	row(t, "F70 locked", cleanError, func(t *testing.T) {
		locked := &acr.ChangeableAttributes{DeleteEnabled: new(false), WriteEnabled: new(false)}
		bubble(t, func(w *world) {
			w.over(callsOf(deleteCall), func(f *fixture) {
				if f.call.op == "DeleteBlob" {
					return // has no lock
				}
				_, err := f.artifact().UpdateTagAttributes(f.ctx, *locked)
				f.mustWork(err)
				_, err = f.artifact().UpdateManifestAttributes(f.ctx, *locked)
				f.mustWork(err)
				_, err = f.repository().UpdateAttributes(f.ctx, *locked)
				f.mustWork(err)
				f.mustFail(f.run(), acr.ErrLocked)
				f.atMost(1, f.call.op) // not tried again
				if _, err := f.repository().HeadManifest(f.ctx, f.tag); err != nil {
					f.errorf("what was locked is gone: %v", err)
				}
			})
			w.over(callsOf(deleteCall), func(f *fixture) {
				f.srv.On(f.call.op).Always().Status(http.StatusConflict).Code("CONFLICT", "it is in use")
				err := f.run()
				if e, ok := errors.AsType[*acr.Error](err); !ok || e.StatusCode != http.StatusConflict || !errors.Is(err, acr.ErrorCode("CONFLICT")) {
					f.errorf("%v", err)
				}
				f.atMost(1, f.call.op)
			})
		})
	})
}
