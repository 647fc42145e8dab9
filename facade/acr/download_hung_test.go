package acr_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
)

// TestDownloadHungUp: storage that hangs up on each request, over and over, says nothing of the blob: what is there is kept for the next call.
func TestDownloadHungUp(t *testing.T) {
	t.Parallel()
	deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
		d.srv.On("GetBlobContent").When(func(r *http.Request) bool {
			from, _, _ := askedRange(r)
			return !d.form.ranges || from >= 500_000
		}).Nth(1).ResetAfter(d.middle())
		d.srv.On("GetBlobContent").When(func(r *http.Request) bool {
			from, _, _ := askedRange(r)
			return from > 0 && !d.form.ranges || from >= 500_000
		}).Always().Raw("")
		err := d.fetch()
		if !errors.Is(err, io.EOF) || errors.Is(err, acr.ErrDigestMismatch) || d.progress.Restarts > 0 || d.progress.Offset == 0 || len(d.partial()) != 2 {
			d.errorf("%q is left, %+v: %v", d.partial(), d.progress, err)
		}
		d.srv.ClearFaults()
		d.arrives()
	})
}

// TestDownloadSignIn: a sign-in that hangs costs a download what it costs any other call, not five times that.
func TestDownloadSignIn(t *testing.T) {
	t.Parallel()
	for _, op := range tokenOperations[:2] {
		deliveries(t, everyForm, func(d *delivery) {
			d.srv.On(op).Always().Stall()
			began := time.Now()
			_, stat := d.repository().StatBlob(d.ctx, d.dgst)
			usual := time.Since(began)
			if stat == nil {
				d.errorf("signed in")
			}
			d.client = d.newClient()
			if err := d.fetch(); err == nil {
				d.errorf("signed in")
			}
			d.within(0, usual+20*time.Second) // the waits between tries are random
			d.srv.ClearFaults()
			d.arrives()
		})
	}
}
