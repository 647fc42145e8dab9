package upload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestUploadMountedSession: the session that a registry opens in place of a mount is ended, when the upload ends before it has used it.
func TestUploadMountedSession(t *testing.T) {
	t.Parallel()
	for _, how := range acrsuite.ReaderSources {
		for name, end := range map[string]func(u *acrsuite.Upload) error{
			"other content": func(u *acrsuite.Upload) error {
				u.Opts.Digest = digest.FromString("another")
				return acr.ErrDigestMismatch
			},
			"no content": func(u *acrsuite.Upload) error {
				u.Source = failing(u, 5, errBoom)
				return errBoom
			},
			"throttled": func(u *acrsuite.Upload) error {
				u.Srv.On("HeadBlob").Always().Status(429)
				return acrsuite.StatusError(429)
			},
		} {
			if how == acrsuite.AsFile && name == "no content" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				u := acrsuite.NewUpload(t, how)
				u.Note, u.Tune = name, nil // small ones go in one request
				u.Fill(2 << 20)
				u.Opts.ChunkSize = 0
				u.Opts.MountFrom = []string{"other/one"}
				u.Opts.Digest = u.Digest
				u.Source = u.Open()
				u.Fails(end(u))
				u.Count(1, "CancelUpload")
			})
		}
	}
}

// TestUploadCancelledBeforeIt: the end of the context ends the call at once also while the session of a mount is open, although the registry
// does not answer any more.
func TestUploadCancelledBeforeIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := acrsuite.NewUpload(t, acrsuite.AsFile)
		u.Fill(2 << 20)
		u.Opts.Digest, u.Opts.MountFrom = u.Digest, []string{"other/one"}
		u.Srv.On("HeadBlob", "CancelUpload").Always().Stall()
		u.Lost = 1
		ctx, cancel := context.WithTimeout(u.Ctx, time.Second)
		defer cancel()
		began := time.Now()
		u.Failed(u.SendWith(ctx), context.DeadlineExceeded)
		if d := time.Since(began); d > 1100*time.Millisecond {
			t.Errorf("it took %s", d)
		}
		time.Sleep(6 * time.Second)
	})
}

// TestUploadMountedUnspooled: nor is that session left where there is no room for the copy of a stream.
func TestUploadMountedUnspooled(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	b := acrsuite.Content(2 << 20)
	o := &acr.UploadOptions{Digest: digest.FromBytes(b), MountFrom: []string{"other/one"}, Spool: true, SpoolDir: filepath.Join(t.TempDir(), "none")}
	if _, err := acrsuite.NewClient(t, srv).Repository("a/b").UploadBlob(t.Context(), acrsuite.Stream{Reader: bytes.NewReader(b)}, o); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if n := srv.Uploads("a/b"); n > 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestUploadOutage: a registry that does not answer for a while, not even when it is asked again five times what it has, costs an upload no
// more than that while; one that never answers again is an upload lost, whose error says how far it had got.
func TestUploadOutage(t *testing.T) {
	t.Parallel()
	for _, lasts := range []int64{8, 1 << 40} { // requests
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Note = fmt.Sprintf("%d requests", lasts)
			began := time.Now()
			var n atomic.Int64
			u.Srv.On("UploadChunk", "GetUploadStatus", "CancelUpload").From(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if n.Add(1) <= lasts {
					panic(http.ErrAbortHandler)
				}
				next.ServeHTTP(w, r)
			})
			if lasts == 8 {
				u.Arrives()
				u.Count(1, "StartUpload")
				return
			}
			u.Lost = 1
			u.Fails(acr.ErrUploadLost)
			if d := time.Since(began); d > time.Minute {
				u.Errorf("it took %s", d)
			}
		})
	}
}

// TestUploadUntold: an upload that fails leaves its session open only where the caller was given a checkpoint of it.
func TestUploadUntold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ denied, left int }{{1, 0}, {3, 1}} {
		acrsuite.Uploads(t, acrsuite.ReaderSources, func(u *acrsuite.Upload) {
			var told int64
			u.Opts.Checkpoint = func(cp acr.Checkpoint) { told = cp.Offset }
			u.Srv.On("UploadChunk").Nth(tc.denied).Status(403)
			u.Lost = tc.left
			u.Fails(acr.ErrDenied)
			if n := u.Srv.Uploads(u.Name); n != tc.left || told > 0 != (tc.left > 0) {
				u.Errorf("%d sessions are left, and the checkpoint is at %d", n, told)
			}
		})
	}
}

// TestUploadResumeRefused: what keeps an upload from being resumed leaves its session to the next try.
func TestUploadResumeRefused(t *testing.T) {
	t.Parallel()
	acrsuite.Uploads(t, []string{acrsuite.AsFile}, func(u *acrsuite.Upload) {
		var last *acr.Checkpoint
		u.Opts.Checkpoint = func(cp acr.Checkpoint) { last = &cp }
		u.Srv.On("UploadChunk").Nth(3).Status(403)
		u.Lost = 1
		u.Fails(acr.ErrDenied)
		u.Opts.Resume, u.Opts.Checkpoint = last, nil
		for range 2 {
			u.Source = nil
			u.Srv.On("GetUploadStatus").Status(403)
			u.Fails(acr.ErrDenied)
		}
		u.Count(0, "CancelUpload")
		u.Source, u.Lost = nil, 0
		u.Arrives()
		u.Count(1, "StartUpload")
	})
}

// TestUploadBreaksOffTwice: an upload that breaks off within a chunk, is resumed and breaks off within a chunk again can be gone on with,
// although the session's location has changed since the last chunk was acknowledged.
func TestUploadBreaksOffTwice(t *testing.T) {
	t.Parallel()
	acrsuite.Uploads(t, []string{acrsuite.AsFile, acrsuite.AsReader, acrsuite.AsSeeker, acrsuite.AsWriter}, func(u *acrsuite.Upload) {
		var last *acr.Checkpoint
		u.Opts.Checkpoint = func(cp acr.Checkpoint) { last = &cp }
		u.Lost = 1
		for _, at := range []int{2, 1, 1} {
			u.Srv.ClearFaults()
			u.Srv.On("UploadChunk").Nth(at).ResetRequestAfter(10_000)
			u.Srv.On("UploadChunk").Nth(at + 1).ResetRequestAfter(5_000)
			u.Srv.On("GetUploadStatus").Nth(4 - at).Status(403) // after the second reset; to resume costs one more
			u.Opts.Resume, u.Source = last, nil
			var err error
			if u.How == acrsuite.AsWriter {
				err = breakOff(u, last)
			} else {
				err = u.Send()
			}
			if !errors.Is(err, acr.ErrDenied) || last == nil {
				u.Errorf("%v, checkpoint %v", err, last)
				return
			}
		}
		u.Srv.ClearFaults()
		u.Opts.Resume, u.Source, u.Lost = last, nil, 0
		if u.How == acrsuite.AsWriter {
			if err := breakOff(u, last); err != nil {
				u.Errorf("%v", err)
			}
			u.Arrived()
		} else {
			u.Arrives()
		}
		u.Count(1, "StartUpload")
	})
}

// breakOff writes the content from the checkpoint on and commits it; where that fails it leaves the upload open.
func breakOff(u *acrsuite.Upload, cp *acr.Checkpoint) error {
	var w *acr.BlobWriter
	var err error
	if cp == nil {
		w, err = u.Repository().StartUpload(u.Ctx, acrsuite.StartOptions(&u.Opts))
	} else {
		w, err = u.Repository().ResumeUpload(u.Ctx, *cp, acrsuite.ResumeOptions(&u.Opts))
	}
	if err != nil {
		return err
	}
	if _, err = w.Write(u.Want[w.Offset():]); err == nil {
		u.Desc, err = w.Commit()
	}
	if err != nil {
		_ = w.Close() // it says again what failed
	}
	return err
}

// TestUploadResumeAnew: a checkpoint that is of no use any more costs the upload from the start, and leaves nothing behind.
func TestUploadResumeAnew(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(u *acrsuite.Upload, cp *acr.Checkpoint){
		"ahead of the registry": func(u *acrsuite.Upload, _ *acr.Checkpoint) { u.Srv.On("GetUploadStatus").Header("Range", "0-9999") },
		"unknown":               func(u *acrsuite.Upload, _ *acr.Checkpoint) { u.Srv.Advance(time.Hour * 24 * 30) },
		"other hash":            func(_ *acrsuite.Upload, cp *acr.Checkpoint) { cp.Algorithm = digest.SHA512 },
		"no hash":               func(_ *acrsuite.Upload, cp *acr.Checkpoint) { cp.HashState = []byte("rubbish") },
	} {
		acrsuite.Uploads(t, []string{acrsuite.AsFile, acrsuite.AsReader, acrsuite.AsSeeker}, func(u *acrsuite.Upload) {
			u.Note = name
			var last *acr.Checkpoint
			u.Opts.Checkpoint = func(cp acr.Checkpoint) { last = &cp }
			u.Srv.On("UploadChunk").Nth(3).Status(403)
			if err := u.Send(); !errors.Is(err, acr.ErrDenied) || last == nil {
				u.Errorf("%v, checkpoint %v", err, last)
				return
			}
			spoil(u, last)
			u.Opts.Resume = last
			u.Source = nil
			u.Arrives()
		})
	}
}

// TestCheckpointRefused: what cannot be a checkpoint of the repository is refused before anything is sent.
func TestCheckpointRefused(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	for name, cp := range map[string]acr.Checkpoint{
		"empty":      {},
		"repository": {Repository: "c/d", Location: srv.Endpoint() + "/v2/c/d/blobs/uploads/x"},
		"location":   {Repository: "a/b", Offset: 5},
		"offset":     {Repository: "a/b", Location: srv.Endpoint() + "/v2/a/b/blobs/uploads/x", Offset: -5},
	} {
		for _, trust := range []bool{false, true} {
			o := &acr.UploadOptions{Resume: &cp, Digest: digest.FromString("x"), TrustDigest: trust}
			if _, err := r.UploadBlob(t.Context(), bytes.NewReader(acrsuite.Content(5<<20)), o); !errors.Is(err, acr.ErrInvalidArgument) {
				t.Errorf("%s: UploadBlob: %v", name, err)
			}
		}
		if _, err := r.ResumeUpload(t.Context(), cp, nil); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("%s: ResumeUpload: %v", name, err)
		} else if other := strings.Contains(err.Error(), "another repository"); other != (name == "repository") {
			t.Errorf("%s: the error says %q", name, err)
		}
	}
	srv.Ledger().AtMost(t, 0)
}

// TestBlobWriterEnds: whatever ends a writer first is what counts.
func TestBlobWriterEnds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		ends []func(*acr.BlobWriter) error
		left int
	}{
		"closed, then cancelled": {[]func(*acr.BlobWriter) error{(*acr.BlobWriter).Close, (*acr.BlobWriter).Cancel}, 1},
		"cancelled, then closed": {[]func(*acr.BlobWriter) error{(*acr.BlobWriter).Cancel, (*acr.BlobWriter).Close}, 0},
		"committed": {[]func(*acr.BlobWriter) error{
			func(w *acr.BlobWriter) error { _, err := w.Commit(); return err }, (*acr.BlobWriter).Close, (*acr.BlobWriter).Cancel,
		}, 0},
	} {
		srv := acrsuite.NewServer(t)
		w, err := acrsuite.NewClient(t, srv).Repository("a/b").StartUpload(t.Context(), &acr.StartUploadOptions{ChunkSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(acrsuite.Content(2500)); err != nil {
			t.Fatal(err)
		}
		for i, end := range tc.ends {
			if err := end(w); err != nil {
				t.Errorf("%s, %d: %v", name, i, err)
			}
		}
		if n := srv.Uploads("a/b"); n != tc.left {
			t.Errorf("%s: %d sessions are left, want %d", name, n, tc.left)
		}
	}
}

// TestUploadStoredOther: a registry that says it stored something else than it was asked for is not believed, and the request named.
func TestUploadStoredOther(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	srv.On("StartUpload").Header("Docker-Content-Digest", string(digest.FromString("other"))).When(func(r *http.Request) bool { return r.URL.Query().Has("digest") })
	_, err := acrsuite.NewClient(t, srv).Repository("a/b").UploadBlob(t.Context(), bytes.NewReader(acrsuite.Content(100)), nil)
	if !errors.Is(err, acr.ErrDigestMismatch) || !strings.Contains(err.Error(), "StartUpload") {
		t.Error(err)
	}
}
