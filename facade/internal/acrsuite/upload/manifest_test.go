package upload_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSuiteManifestPut: a manifest whose blobs a replica does not know yet, and one whose answer is lost.
func TestSuiteManifestPut(t *testing.T) {
	t.Parallel()
	put := func(t *testing.T, test func(u *acrsuite.Upload, put func(wait time.Duration) error), opts ...acrtest.Option) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			u := acrsuite.NewUpload(t, acrsuite.AsReader, opts...)
			d := digest.FromBytes(u.Manifest)
			test(u, func(wait time.Duration) error {
				desc, err := u.Repository().PutManifest(u.Ctx, "fresh", u.Manifest, &acr.PutManifestOptions{BlobWait: wait})
				if err != nil {
					acrsuite.Secrets.LookError("the error of PutManifest", err)
					acrsuite.OneLine(t, err)
					return err
				}
				u.Srv.ClearFaults()
				if stored, err := u.Trusted().Repository(u.Name).GetManifest(u.Ctx, "fresh"); err != nil || stored.Descriptor.Digest != d || desc.Digest != d {
					u.Errorf("stored %v %v, put %v", stored, err, desc)
				}
				return nil
			})
			u.NothingOpen()
		})
	}
	acrsuite.Row(t, "F44 blobs that a replica does not know yet", func(t *testing.T) {
		put(t, func(u *acrsuite.Upload, put func(time.Duration) error) {
			lag := u.Srv.On("PutManifest").First(3).Lag()
			if err := put(time.Minute); err != nil || lag.Hits() != 3 {
				u.Errorf("%v after %d refusals", err, lag.Hits())
			}
		})
		put(t, func(u *acrsuite.Upload, put func(time.Duration) error) { // for ever
			u.Srv.On("PutManifest").Always().Lag()
			began := time.Now()
			if err := put(time.Hour); !errors.Is(err, acr.ErrManifestBlobUnknown) {
				u.Errorf("%v", err)
			}
			if took := time.Since(began); took < 30*time.Second || took > time.Minute {
				u.Errorf("took %v", took)
			}
			u.Srv.Ledger().AtMost(u.T, 20, "PutManifest")
		})
		put(t, func(u *acrsuite.Upload, put func(time.Duration) error) { // the caller does not want to wait
			u.Srv.On("PutManifest").Always().Lag()
			began := time.Now()
			if err := put(0); !errors.Is(err, acr.ErrManifestBlobUnknown) || time.Since(began) > 0 {
				u.Errorf("%v after %v", err, time.Since(began))
			}
			u.Count(1, "PutManifest")
		})
		put(t, func(u *acrsuite.Upload, put func(time.Duration) error) { // the caller leaves
			u.Srv.On("PutManifest").Always().Lag()
			ctx, cancel := context.WithTimeout(u.Ctx, 5*time.Second)
			defer cancel()
			u.Ctx = ctx
			began := time.Now()
			err := put(time.Minute)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, acr.ErrManifestBlobUnknown) || time.Since(began) != 5*time.Second {
				u.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
	acrsuite.Row(t, "F45 manifest stored, reply lost", func(t *testing.T) {
		put(t, func(u *acrsuite.Upload, put func(time.Duration) error) {
			u.Srv.On("PutManifest").DropReply()
			if err := put(0); err != nil {
				u.Errorf("%v", err)
			}
		})
		put(t, func(u *acrsuite.Upload, put func(time.Duration) error) { // each time: the registry is asked whether it has it
			u.Srv.On("PutManifest").Always().DropReply()
			if err := put(0); err != nil {
				u.Errorf("%v", err)
			}
			if u.Srv.Ledger().Count("HeadManifest") == 0 {
				u.Errorf("nobody asked")
			}
		})
		put(t, func(u *acrsuite.Upload, put func(time.Duration) error) { // of a manifest that was not stored
			u.Srv.On("PutManifest").Always().Do(acrsuite.Forget(10))
			if err := put(0); err == nil {
				u.Errorf("it went well")
			}
			u.Srv.ClearFaults()
			if _, err := u.Trusted().Repository(u.Name).HeadManifest(u.Ctx, "fresh"); !errors.Is(err, acr.ErrNotFound) {
				u.Errorf("%v", err)
			}
		})
	})
}
