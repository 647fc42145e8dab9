package download_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestDownloadHungUp: storage that hangs up on each request, over and over, says nothing of the blob: what is there is kept for the next call.
func TestDownloadHungUp(t *testing.T) {
	t.Parallel()
	acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
		d.Srv.On("GetBlobContent").When(func(r *http.Request) bool {
			from, _, _ := acrsuite.AskedRange(r)
			return !d.Form.Ranges || from >= 500_000
		}).Nth(1).ResetAfter(d.Middle())
		d.Srv.On("GetBlobContent").When(func(r *http.Request) bool {
			from, _, _ := acrsuite.AskedRange(r)
			return from > 0 && !d.Form.Ranges || from >= 500_000
		}).Always().Raw("")
		err := d.Fetch()
		if !errors.Is(err, io.EOF) || errors.Is(err, acr.ErrDigestMismatch) || d.Progress.Restarts > 0 || d.Progress.Offset == 0 || len(d.Partial()) != 2 {
			d.Errorf("%q is left, %+v: %v", d.Partial(), d.Progress, err)
		}
		d.Srv.ClearFaults()
		d.Arrives()
	})
}

// TestDownloadSignIn: a sign-in that hangs costs a download what it costs any other call, not five times that.
func TestDownloadSignIn(t *testing.T) {
	t.Parallel()
	for _, op := range acrsuite.TokenOperations[:2] {
		acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) {
			d.Srv.On(op).Always().Stall()
			began := time.Now()
			_, stat := d.Repository().HeadBlob(d.Ctx, d.Digest)
			usual := time.Since(began)
			if stat == nil {
				d.Errorf("signed in")
			}
			d.Client = d.NewClient()
			if err := d.Fetch(); err == nil {
				d.Errorf("signed in")
			}
			d.Within(0, usual+20*time.Second) // the waits between tries are random
			d.Srv.ClearFaults()
			d.Arrives()
		})
	}
}
