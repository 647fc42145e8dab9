package acr_test

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
)

// TestUploadMountedSession: the session that a registry opens in place of a mount is ended, when the upload ends before it has used it.
func TestUploadMountedSession(t *testing.T) {
	t.Parallel()
	for _, how := range readerSources {
		for name, end := range map[string]func(u *upload) error{
			"other content": func(u *upload) error {
				u.opts.Digest = digest.FromString("another")
				return acr.ErrDigestMismatch
			},
			"no content": func(u *upload) error {
				u.source = failing(u, 5, errBoom)
				return errBoom
			},
			"denied": func(u *upload) error {
				u.srv.On("HeadBlob").Status(403)
				return errStatus(403)
			},
		} {
			if how == asFile && name == "no content" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				u := newUpload(t, how)
				u.note, u.tune = name, nil // small ones go in one request
				u.fill(2 << 20)
				u.opts.ChunkSize = 0
				u.opts.MountFrom = []string{"other/one"}
				u.opts.Digest = u.dgst
				u.source = u.open()
				u.fails(end(u))
				u.count(1, "CancelUpload")
			})
		}
	}
}

// TestUploadCancelledBeforeIt: the end of the context ends the call at once also while the session of a mount is open, although the registry
// does not answer any more.
func TestUploadCancelledBeforeIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpload(t, asFile)
		u.fill(2 << 20)
		u.opts.Digest, u.opts.MountFrom = u.dgst, []string{"other/one"}
		u.srv.On("HeadBlob", "CancelUpload").Always().Stall()
		u.lost = 1
		ctx, cancel := context.WithTimeout(u.ctx, time.Second)
		defer cancel()
		began := time.Now()
		u.failed(u.sendWith(ctx), context.DeadlineExceeded)
		if d := time.Since(began); d > 1100*time.Millisecond {
			t.Errorf("it took %s", d)
		}
		time.Sleep(6 * time.Second)
	})
}

// TestUploadMountedUnspooled: nor is that session left where there is no room for the copy of a stream.
func TestUploadMountedUnspooled(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	b := content(2 << 20)
	o := &acr.UploadOptions{Digest: digest.FromBytes(b), MountFrom: []string{"other/one"}, Spool: true, SpoolDir: filepath.Join(t.TempDir(), "none")}
	if _, err := newClient(t, srv).Repository("a/b").UploadBlob(t.Context(), stream{bytes.NewReader(b)}, o); !errors.Is(err, fs.ErrNotExist) {
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
		uploads(t, everySource, func(u *upload) {
			u.note = fmt.Sprintf("%d requests", lasts)
			began := time.Now()
			var n atomic.Int64
			u.srv.On("UploadChunk", "GetUploadStatus", "CancelUpload").From(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if n.Add(1) <= lasts {
					panic(http.ErrAbortHandler)
				}
				next.ServeHTTP(w, r)
			})
			if lasts == 8 {
				u.arrives()
				u.count(1, "StartUpload")
				return
			}
			u.lost = 1
			u.fails(acr.ErrUploadLost)
			if d := time.Since(began); d > time.Minute {
				u.errorf("it took %s", d)
			}
		})
	}
}

// TestUploadUntold: an upload that fails leaves its session open only where the caller was given a checkpoint of it.
func TestUploadUntold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ denied, left int }{{1, 0}, {3, 1}} {
		uploads(t, readerSources, func(u *upload) {
			var told int64
			u.opts.Checkpoint = func(cp acr.Checkpoint) { told = cp.Offset }
			u.srv.On("UploadChunk").Nth(tc.denied).Status(403)
			u.lost = tc.left
			u.fails(acr.ErrDenied)
			if n := u.srv.Uploads(u.name); n != tc.left || told > 0 != (tc.left > 0) {
				u.errorf("%d sessions are left, and the checkpoint is at %d", n, told)
			}
		})
	}
}

// TestUploadResumeRefused: what keeps an upload from being resumed leaves its session to the next try.
func TestUploadResumeRefused(t *testing.T) {
	t.Parallel()
	uploads(t, []string{asFile}, func(u *upload) {
		var last *acr.Checkpoint
		u.opts.Checkpoint = func(cp acr.Checkpoint) { last = &cp }
		u.srv.On("UploadChunk").Nth(3).Status(403)
		u.lost = 1
		u.fails(acr.ErrDenied)
		u.opts.Resume, u.opts.Checkpoint = last, nil
		for range 2 {
			u.source = nil
			u.srv.On("GetUploadStatus").Status(403)
			u.fails(acr.ErrDenied)
		}
		u.count(0, "CancelUpload")
		u.source, u.lost = nil, 0
		u.arrives()
		u.count(1, "StartUpload")
	})
}

// TestUploadBreaksOffTwice: an upload that breaks off within a chunk, is resumed and breaks off within a chunk again can be gone on with,
// although the session's location has changed since the last chunk was acknowledged.
func TestUploadBreaksOffTwice(t *testing.T) {
	t.Parallel()
	uploads(t, []string{asFile, asReader, asSeeker, asWriter}, func(u *upload) {
		var last *acr.Checkpoint
		u.opts.Checkpoint = func(cp acr.Checkpoint) { last = &cp }
		u.lost = 1
		for _, at := range []int{2, 1, 1} {
			u.srv.ClearFaults()
			u.srv.On("UploadChunk").Nth(at).ResetRequestAfter(10_000)
			u.srv.On("UploadChunk").Nth(at + 1).ResetRequestAfter(5_000)
			u.srv.On("GetUploadStatus").Nth(4 - at).Status(403) // after the second reset; to resume costs one more
			u.opts.Resume, u.source = last, nil
			var err error
			if u.how == asWriter {
				err = u.breakOff(last)
			} else {
				err = u.send()
			}
			if !errors.Is(err, acr.ErrDenied) || last == nil {
				u.errorf("%v, checkpoint %v", err, last)
				return
			}
		}
		u.srv.ClearFaults()
		u.opts.Resume, u.source, u.lost = last, nil, 0
		if u.how == asWriter {
			if err := u.breakOff(last); err != nil {
				u.errorf("%v", err)
			}
			u.arrived()
		} else {
			u.arrives()
		}
		u.count(1, "StartUpload")
	})
}

// breakOff writes the content from the checkpoint on and commits it; where that fails it leaves the upload open.
func (u *upload) breakOff(cp *acr.Checkpoint) error {
	var w *acr.BlobWriter
	var err error
	if cp == nil {
		w, err = u.repository().StartUpload(u.ctx, &u.opts)
	} else {
		w, err = u.repository().ResumeUpload(u.ctx, *cp, &u.opts)
	}
	if err != nil {
		return err
	}
	if _, err = w.Write(u.want[w.Offset():]); err == nil {
		u.desc, err = w.Commit()
	}
	if err != nil {
		_ = w.Close() // it says again what failed
	}
	return err
}

// TestUploadResumeAnew: a checkpoint that is of no use any more costs the upload from the start, and leaves nothing behind.
func TestUploadResumeAnew(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(u *upload, cp *acr.Checkpoint){
		"ahead of the registry": func(u *upload, _ *acr.Checkpoint) { u.srv.On("GetUploadStatus").Header("Range", "0-9999") },
		"no location":           func(u *upload, cp *acr.Checkpoint) { cp.Location, u.lost = "", 1 },
		"unknown":               func(u *upload, _ *acr.Checkpoint) { u.srv.Advance(time.Hour * 24 * 30) },
		"other hash":            func(_ *upload, cp *acr.Checkpoint) { cp.Algorithm = digest.SHA512 },
		"no hash":               func(_ *upload, cp *acr.Checkpoint) { cp.HashState = []byte("rubbish") },
	} {
		uploads(t, []string{asFile, asReader, asSeeker}, func(u *upload) {
			u.note = name
			var last *acr.Checkpoint
			u.opts.Checkpoint = func(cp acr.Checkpoint) { last = &cp }
			u.srv.On("UploadChunk").Nth(3).Status(403)
			if err := u.send(); !errors.Is(err, acr.ErrDenied) || last == nil {
				u.errorf("%v, checkpoint %v", err, last)
				return
			}
			spoil(u, last)
			u.opts.Resume = last
			u.source = nil
			u.arrives()
		})
	}
}

// TestCheckpointRefused: what cannot be a checkpoint of the repository is refused before anything is sent.
func TestCheckpointRefused(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	r := newClient(t, srv).Repository("a/b")
	for name, cp := range map[string]acr.Checkpoint{
		"empty":      {},
		"repository": {Repository: "c/d", Location: srv.Endpoint() + "/v2/c/d/blobs/uploads/x"},
		"offset":     {Repository: "a/b", Location: srv.Endpoint() + "/v2/a/b/blobs/uploads/x", Offset: -5},
	} {
		for _, trust := range []bool{false, true} {
			o := &acr.UploadOptions{Resume: &cp, Digest: digest.FromString("x"), TrustDigest: trust}
			if _, err := r.UploadBlob(t.Context(), bytes.NewReader(content(5<<20)), o); !errors.Is(err, acr.ErrInvalidArgument) {
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
		srv := newServer(t)
		w, err := newClient(t, srv).Repository("a/b").StartUpload(t.Context(), &acr.UploadOptions{ChunkSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content(2500)); err != nil {
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
	srv := newServer(t)
	srv.On("StartUpload").Header("Docker-Content-Digest", string(digest.FromString("other"))).When(func(r *http.Request) bool { return r.URL.Query().Has("digest") })
	_, err := newClient(t, srv).Repository("a/b").UploadBlob(t.Context(), bytes.NewReader(content(100)), nil)
	if !errors.Is(err, acr.ErrDigestMismatch) || !strings.Contains(err.Error(), "StartUpload") {
		t.Error(err)
	}
}
