package upload_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSuiteUploadChunk: a chunk that broke off, was applied without an answer, was refused, or whose session is gone.
func TestSuiteUploadChunk(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F22 reset in the middle of a chunk", func(t *testing.T) {
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) { // what arrived is kept
			u.Srv.On("UploadChunk").Nth(2).ResetRequestAfter(10_000)
			u.Arrives()
			u.ResentAtMost(u.Opts.ChunkSize)
			u.Count(1, "StartUpload")
		})
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) { // before its first byte
			u.Srv.On("UploadChunk").Nth(3).ResetRequestAfter(0)
			u.Arrives()
			u.ResentAtMost(u.Opts.ChunkSize)
			u.Count(1, "StartUpload")
		})
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // what arrived is forgotten
			u.Srv.On("UploadChunk").Nth(2).Do(acrsuite.Forget(10_000))
			u.Arrives()
			u.ResentAtMost(acrsuite.RowChunk)
			u.Count(1, "StartUpload")
		})
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // in the commit
			u.Fill(acrsuite.RowChunk + 15_000)
			u.Srv.On("CompleteUpload").Nth(1).ResetRequestAfter(5_000)
			u.Arrives()
			u.ResentAtMost(acrsuite.RowChunk)
		})
		for _, chunk := range []int64{acrsuite.RowChunk, 1 << 20} { // of which the network holds all, or not: then it is the sending that stalls
			acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // the connection goes silent in place of breaking
				u.Note = fmt.Sprintf("chunks of %d bytes", chunk)
				u.Opts.ChunkSize = chunk
				u.Fill(int(3*chunk + 37))
				u.Srv.On("UploadChunk").Nth(2).StallRequestAfter(10_000)
				u.Arrives()
				u.ResentAtMost(chunk)
				u.Count(1, "StartUpload")
			})
		}
	})
	acrsuite.Row(t, "F23 chunk applied, reply lost", func(t *testing.T) {
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // the registry goes on where it is, as it says when asked
			loseReplies(u).Nth(2)
			u.Arrives()
			u.ResentAtMost(0)
			u.Count(1, "StartUpload")
			if next := u.After("UploadChunk", 2); next.Operation != "GetUploadStatus" {
				u.Errorf("after the lost reply came %s", next)
			}
		})
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // each of them
			loseReplies(u).Always()
			u.Arrives()
			u.ResentAtMost(0)
			u.Count(1, "StartUpload")
		})
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) { // the registry knows the lost location only: the session is gone
			u.Srv.On("UploadChunk").Nth(2).DropReply()
			u.Survives()
			u.ResentAtMost(2 * u.Opts.ChunkSize)
			if next := u.After("UploadChunk", 2); next.Operation != "GetUploadStatus" {
				u.Errorf("after the lost reply came %s", next)
			}
		})
	})
	acrsuite.Row(t, "F24 no status of a session", testNoStatus)
	acrsuite.Row(t, "F25 BLOB_UPLOAD_INVALID after a chunk", func(t *testing.T) {
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) { // the registry takes a location for an old one, and ends the session
			staleLocation(u, 3)
			u.Survives()
			if u.Again() {
				u.Count(2, "StartUpload")
				u.ResentAtMost(3 * u.Opts.ChunkSize)
			}
		})
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // again and again
			for n := range 3 {
				staleLocation(u, 2+3*n)
			}
			u.Fails(acr.ErrUploadLost)
			if u.Again() {
				u.Count(3, "StartUpload")
			}
		})
	})
	acrsuite.Row(t, "F26 commit applied, reply lost", func(t *testing.T) {
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Srv.On("CompleteUpload").DropReply()
			u.Arrives()
			u.ResentAtMost(0)
			u.Count(1, "CompleteUpload")
			if next := u.After("CompleteUpload", 1); next.Operation != "HeadBlob" {
				u.Errorf("after the lost reply came %s", next)
			}
		})
		acrsuite.Uploads(t, acrsuite.ReadAgain, func(u *acrsuite.Upload) { // a blob of another size is none that was committed
			u.Srv.On("CompleteUpload").DropReply()
			u.Srv.On("HeadBlob").Always().ContentLength(acrsuite.RowSize - 1)
			u.Arrives()
			u.Count(2, "StartUpload")
		})
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // of a blob that goes with the first request
			u.Tune = nil
			u.Srv.On("StartUpload").DropReply()
			u.Lost = 1 // a writer's, whose location was in the lost reply
			u.Arrives()
			u.ResentAtMost(int64(len(u.Want)))
		})
	})
	acrsuite.Row(t, "F27 throttled or unavailable", testBusy)
	acrsuite.Row(t, "F28 token revoked in the middle", func(t *testing.T) {
		for _, op := range []string{"UploadChunk", "CompleteUpload", "GetUploadStatus"} {
			acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
				u.Note = op
				if op == "GetUploadStatus" {
					u.Srv.On("UploadChunk").Nth(2).Do(acrsuite.Forget(10_000))
				}
				u.Srv.On(op).Nth(1).Revoke()
				u.Arrives()
				u.Count(1, "StartUpload")
				u.ResentAtMost(u.Opts.ChunkSize)
			})
		}
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // all tokens end between two chunks
			u.Srv.On("UploadChunk").Nth(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(w, r)
				u.Srv.Advance(4 * time.Hour)
			})
			u.Arrives()
			u.Count(1, "StartUpload")
			u.ResentAtMost(u.Opts.ChunkSize)
		})
	})
}

// loseReplies applies chunks and breaks the connection in place of an answer; the status of the session then has the new location. It
// returns the line of the script, which says when.
func loseReplies(u *acrsuite.Upload) *acrtest.Fault {
	var mu sync.Mutex
	var lost http.Header
	u.Srv.On("GetUploadStatus").Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		defer mu.Unlock()
		if lost == nil {
			next.ServeHTTP(w, r)
			return
		}
		for _, key := range []string{"Location", "Range", "Docker-Upload-Uuid"} {
			w.Header()[key] = lost[key]
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return u.Srv.On("UploadChunk").Do(func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		reply := httptest.NewRecorder()
		next.ServeHTTP(reply, r)
		mu.Lock()
		defer mu.Unlock()
		lost = reply.Header()
		panic(http.ErrAbortHandler)
	})
}

// staleLocation lets the reply to the nth chunk name the location from before it, which the registry takes for a replay.
func staleLocation(u *acrsuite.Upload, n int) {
	u.Srv.On("UploadChunk").Nth(n).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		old := r.URL.RequestURI()
		next.ServeHTTP(&relocated{w, old}, r)
	})
}

// relocated replaces the Location of a reply.
type relocated struct {
	http.ResponseWriter
	location string
}

func (w *relocated) WriteHeader(status int) {
	w.Header()["Location"] = []string{w.location}
	w.ResponseWriter.WriteHeader(status)
}

func testNoStatus(t *testing.T) {
	for _, code := range []string{"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"} {
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Note = code
			u.Srv.On("UploadChunk").Nth(3).DropReply()
			u.Srv.On("GetUploadStatus").Status(404).Code(code, "blob upload unknown to registry")
			u.Lost = 1 // it is there, but the registry denies it
			u.Survives()
			u.ResentAtMost(3 * u.Opts.ChunkSize)
		})
	}
	acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
		u.Note = "416"
		u.Srv.On("UploadChunk").Nth(3).DropReply()
		u.Srv.On("GetUploadStatus").Status(416).Code("RANGE_INVALID", "invalid content range")
		u.Survives()
		u.ResentAtMost(3 * u.Opts.ChunkSize)
	})
	acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
		u.Note = "no Range"
		u.Srv.On("UploadChunk").Nth(3).DropReply()
		u.Srv.On("GetUploadStatus").WithoutHeader("Range")
		u.Survives()
		u.ResentAtMost(3 * u.Opts.ChunkSize)
	})
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
		u.Note = "no answer"
		u.Srv.On("UploadChunk").Nth(3).Do(acrsuite.Forget(10_000))
		u.Srv.On("GetUploadStatus").First(2).DropReply()
		u.Arrives()
		u.ResentAtMost(acrsuite.RowChunk)
	})
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // and never again
		u.Note = "for ever"
		u.Srv.On("UploadChunk").From(2).DropReply()
		u.Srv.On("GetUploadStatus").Always().Status(404).Code("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		u.Lost = 3
		u.Fails(acr.ErrUploadLost)
		if u.Again() {
			u.Count(3, "StartUpload") // two restarts
		} else {
			u.Count(1, "StartUpload")
		}
	})
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // the session has expired meanwhile
		u.Note = "expired"
		u.Srv.On("UploadChunk").Nth(3).Do(func(http.ResponseWriter, *http.Request, http.Handler) {
			u.Srv.Advance(10 * time.Minute)
			panic(http.ErrAbortHandler)
		})
		u.Survives()
	}, acrtest.WithSessionLife(5*time.Minute))
}

func testBusy(t *testing.T) {
	const asked = 7 * time.Second
	for _, status := range acrsuite.Thinned(t, []int{429, 500, 502, 503, 504}, 2, 2) {
		for _, op := range []string{"UploadChunk", "CompleteUpload"} {
			acrsuite.Uploads(t, acrsuite.OnePerKind, func(u *acrsuite.Upload) {
				u.Note = op + " " + http.StatusText(status)
				u.Srv.On(op).First(2).Status(status, asked)
				began := time.Now()
				u.Arrives()
				if took := time.Since(began); took < 2*asked || took > 3*asked {
					u.Errorf("took %v, the registry asked for twice %v", took, asked)
				}
				u.Count(1, "StartUpload")
			})
		}
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.OnePerKind, func(u *acrsuite.Upload) {
			u.Note = "without a wait, " + http.StatusText(status)
			u.Srv.On("UploadChunk").First(3).Status(status)
			u.Srv.On("CompleteUpload").First(2).Status(status)
			began := time.Now()
			u.Arrives()
			if took := time.Since(began); took > 10*time.Second {
				u.Errorf("took %v", took)
			}
			u.Count(1, "StartUpload")
		})
	}
	acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.OnePerKind, func(u *acrsuite.Upload) { // as long as it says
		u.Srv.On("UploadChunk").Nth(2).Status(429, time.Second)
		began := time.Now()
		u.Arrives()
		if took := time.Since(began); took < time.Second {
			u.Errorf("took %v", took)
		}
	})
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // for ever
		u.Srv.On("UploadChunk").From(2).Status(503)
		err := u.Fails(acr.ErrorCode("UNAVAILABLE"))
		if u.Srv.Ledger().Count("UploadChunk") > 7 {
			u.Errorf("it was tried %d times: %v", u.Srv.Ledger().Count("UploadChunk"), err)
		}
	})
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // longer than anybody waits unasked
		u.Srv.On("UploadChunk").Nth(2).Status(429, time.Hour)
		began := time.Now()
		u.Fails(acr.ErrThrottled)
		if took := time.Since(began); took > time.Second {
			u.Errorf("took %v", took)
		}
	})
}
