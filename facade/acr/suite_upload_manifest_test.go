package acr_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F44", "F45")

// TestSuiteManifestPut: a manifest whose blobs a replica does not know yet, and one whose answer is lost.
func TestSuiteManifestPut(t *testing.T) {
	t.Parallel()
	put := func(t *testing.T, test func(u *upload, put func(wait time.Duration) error), opts ...acrtest.Option) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			u := newUpload(t, asReader, opts...)
			d := digest.FromBytes(u.manifest)
			test(u, func(wait time.Duration) error {
				desc, err := u.repository().PutManifest(u.ctx, "fresh", u.manifest, &acr.PutManifestOptions{BlobWait: wait})
				if err != nil {
					secrets.lookError("the error of PutManifest", err)
					oneLine(t, err)
					return err
				}
				u.srv.ClearFaults()
				if stored, err := u.trusted().Repository(u.name).GetManifest(u.ctx, "fresh"); err != nil || stored.Descriptor.Digest != d || desc.Digest != d {
					u.errorf("stored %v %v, put %v", stored, err, desc)
				}
				return nil
			})
			u.nothingOpen()
		})
	}
	row(t, "F44 blobs that a replica does not know yet", survived, func(t *testing.T) {
		put(t, func(u *upload, put func(time.Duration) error) {
			lag := u.srv.On("PutManifest").First(3).Lag()
			if err := put(time.Minute); err != nil || lag.Hits() != 3 {
				u.errorf("%v after %d refusals", err, lag.Hits())
			}
		})
		put(t, func(u *upload, put func(time.Duration) error) { // for ever
			u.srv.On("PutManifest").Always().Lag()
			began := time.Now()
			if err := put(time.Hour); !errors.Is(err, acr.ErrManifestBlobUnknown) {
				u.errorf("%v", err)
			}
			if took := time.Since(began); took < 30*time.Second || took > time.Minute {
				u.errorf("took %v", took)
			}
			u.srv.Ledger().AtMost(u.t, 20, "PutManifest")
		})
		put(t, func(u *upload, put func(time.Duration) error) { // the caller does not want to wait
			u.srv.On("PutManifest").Always().Lag()
			began := time.Now()
			if err := put(0); !errors.Is(err, acr.ErrManifestBlobUnknown) || time.Since(began) > 0 {
				u.errorf("%v after %v", err, time.Since(began))
			}
			u.count(1, "PutManifest")
		})
		put(t, func(u *upload, put func(time.Duration) error) { // the caller leaves
			u.srv.On("PutManifest").Always().Lag()
			ctx, cancel := context.WithTimeout(u.ctx, 5*time.Second)
			defer cancel()
			u.ctx = ctx
			began := time.Now()
			err := put(time.Minute)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, acr.ErrManifestBlobUnknown) || time.Since(began) != 5*time.Second {
				u.errorf("%v after %v", err, time.Since(began))
			}
		})
	})
	row(t, "F45 manifest stored, reply lost", survived, func(t *testing.T) {
		put(t, func(u *upload, put func(time.Duration) error) {
			u.srv.On("PutManifest").DropReply()
			if err := put(0); err != nil {
				u.errorf("%v", err)
			}
		})
		put(t, func(u *upload, put func(time.Duration) error) { // each time: the registry is asked whether it has it
			u.srv.On("PutManifest").Always().DropReply()
			if err := put(0); err != nil {
				u.errorf("%v", err)
			}
			if u.srv.Ledger().Count("HeadManifest") == 0 {
				u.errorf("nobody asked")
			}
		})
		put(t, func(u *upload, put func(time.Duration) error) { // of a manifest that was not stored
			u.srv.On("PutManifest").Always().Do(forget(10))
			if err := put(0); err == nil {
				u.errorf("it went well")
			}
			u.srv.ClearFaults()
			if _, err := u.trusted().Repository(u.name).HeadManifest(u.ctx, "fresh"); !errors.Is(err, acr.ErrNotFound) {
				u.errorf("%v", err)
			}
		})
	})
}
