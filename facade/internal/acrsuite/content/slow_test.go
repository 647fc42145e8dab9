package content_test

import (
	"errors"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSlowService: a registry that takes its time over an operation is waited for; only one that never answers is not.
func TestSlowService(t *testing.T) {
	t.Parallel()
	slowly := func(t *testing.T, calls []acrsuite.Call, delay time.Duration) {
		bubble(t, func(w *acrsuite.World) {
			w.Over(calls, func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Always().DelayReply(delay)
				f.MustWork(f.Run())
			})
		})
	}
	t.Run("75 s for any operation", func(t *testing.T) {
		t.Parallel()
		slowly(t, acrsuite.CallsOf(acrsuite.ListCall, acrsuite.ReadCall, acrsuite.WriteCall, acrsuite.DeleteCall, acrsuite.UploadCall, acrsuite.DownloadCall), 75*time.Second)
	})
	t.Run("40 s to sign in", func(t *testing.T) {
		t.Parallel()
		slowly(t, acrsuite.CallsOf(acrsuite.LoginCall), 40*time.Second)
	})
	t.Run("20 min to change something", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(w *acrsuite.World) {
			w.Over(acrsuite.CallsOf(acrsuite.WriteCall, acrsuite.DeleteCall), func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Nth(1).DelayReply(20 * time.Minute)
				f.MustWork(f.Run())
				f.AtMost(1, f.Call.Op)
			})
		})
	})
	t.Run("silent for ever", func(t *testing.T) {
		t.Parallel()
		for kind, most := range map[acrsuite.Kind]time.Duration{
			acrsuite.ReadCall: 7 * time.Minute, acrsuite.ListCall: 7 * time.Minute, acrsuite.DownloadCall: 20 * time.Minute,
			acrsuite.WriteCall: 31 * time.Minute, acrsuite.DeleteCall: 31 * time.Minute,
		} {
			bubble(t, func(w *acrsuite.World) {
				w.Over(acrsuite.CallsOf(kind), func(f *acrsuite.Fixture) {
					f.Srv.On(f.Call.Op).Always().Stall()
					began := time.Now()
					err := f.Run()
					if took := time.Since(began); !errors.Is(err, acr.ErrStalled) || took > most {
						f.Errorf("%v after %v", err, took)
					}
				})
			})
		}
	})
	t.Run("limits of one's own", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(w *acrsuite.World) {
			w.Over(acrsuite.CallsOf(acrsuite.DeleteCall), func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Always().DelayReply(time.Hour)
				o := f.ClientOptions()
				o.ResponseTimeouts.Write = time.Minute
				c, err := acr.NewClient(f.Srv.Endpoint(), f.Srv.Credential(), o)
				if err != nil {
					t.Fatal(err)
				}
				f.Client = c
				began := time.Now()
				if err := f.Run(); !errors.Is(err, acr.ErrStalled) || time.Since(began) > 61*time.Second {
					f.Errorf("%v after %v", err, time.Since(began))
				}
			})
		})
	})
}
