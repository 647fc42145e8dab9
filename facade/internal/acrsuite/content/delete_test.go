package content_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSuiteDeletes: deletions of what is gone, of what is locked, and those of which nobody hears whether they were carried out.
func TestSuiteDeletes(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F68 nothing to delete", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			w.Over(acrsuite.CallsOf(acrsuite.DeleteCall), func(f *acrsuite.Fixture) { // nothing there in the first place: the caller is told
				f.MustWork(f.Run())
				f.MustFail(f.Run(), acr.ErrNotFound)
			})
			w.Over(acrsuite.CallsOf(acrsuite.DeleteCall), func(f *acrsuite.Fixture) { // nor after a try that was refused: that one deleted nothing
				f.Srv.On(f.Call.Op).Nth(1).Status(http.StatusTooManyRequests, time.Second)
				f.Srv.On(f.Call.Op).Nth(2).Status(http.StatusNotFound)
				f.MustFail(f.Run(), acr.ErrNotFound)
				f.AtMost(2, f.Call.Op)
			})
		})
	})
	acrsuite.Row(t, "F69 deleted, reply lost", func(t *testing.T) {
		lost := map[string]func(*acrtest.Fault){
			"no reply":      func(f *acrtest.Fault) { f.DropReply() },
			"500":           func(f *acrtest.Fault) { f.ReplyStatus(http.StatusInternalServerError) },
			"502 (gateway)": func(f *acrtest.Fault) { f.ReplyStatus(http.StatusBadGateway) },
			"504 (gateway)": func(f *acrtest.Fault) { f.ReplyStatus(http.StatusGatewayTimeout) },
		}
		for name, lose := range lost {
			bubble(t, func(w *acrsuite.World) {
				w.Over(acrsuite.CallsOf(acrsuite.DeleteCall), func(f *acrsuite.Fixture) {
					f.Note = name
					lose(f.Srv.On(f.Call.Op).Nth(1))
					f.MustWork(f.Run())
					f.AtMost(2, f.Call.Op)
				})
			})
		}
	})
	acrsuite.Row(t, "F70 locked", func(t *testing.T) {
		locked := &acr.ChangeableAttributes{DeleteEnabled: new(false), WriteEnabled: new(false)}
		bubble(t, func(w *acrsuite.World) {
			w.Over(acrsuite.CallsOf(acrsuite.DeleteCall), func(f *acrsuite.Fixture) {
				if f.Call.Op == "DeleteBlob" {
					return // has no lock
				}
				_, err := f.Artifact().UpdateTagAttributes(f.Ctx, *locked)
				f.MustWork(err)
				_, err = f.Artifact().UpdateManifestAttributes(f.Ctx, *locked)
				f.MustWork(err)
				_, err = f.Repository().UpdateAttributes(f.Ctx, *locked)
				f.MustWork(err)
				f.MustFail(f.Run(), acr.ErrLocked)
				f.AtMost(1, f.Call.Op) // not tried again
				if _, err := f.Repository().HeadManifest(f.Ctx, f.Tag); err != nil {
					f.Errorf("what was locked is gone: %v", err)
				}
			})
			w.Over(acrsuite.CallsOf(acrsuite.DeleteCall), func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Always().Status(http.StatusConflict).Code("CONFLICT", "it is in use")
				err := f.Run()
				if e, ok := errors.AsType[*acr.Error](err); !ok || e.StatusCode != http.StatusConflict || !errors.Is(err, acr.ErrorCode("CONFLICT")) {
					f.Errorf("%v", err)
				}
				f.AtMost(1, f.Call.Op)
			})
		})
	})
}
