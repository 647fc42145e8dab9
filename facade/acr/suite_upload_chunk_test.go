package acr_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F22", "F23", "F24", "F25", "F26", "F27", "F28")

// TestSuiteUploadChunk: a chunk that broke off, was applied without an answer, was refused, or whose session is gone.
func TestSuiteUploadChunk(t *testing.T) {
	t.Parallel()
	row(t, "F22 reset in the middle of a chunk", survived, func(t *testing.T) {
		uploads(t, everySource, func(u *upload) { // what arrived is kept
			u.srv.On("UploadChunk").Nth(2).ResetRequestAfter(10_000)
			u.arrives()
			u.resentAtMost(rowChunk)
			u.count(1, "StartUpload")
		})
		uploads(t, everySource, func(u *upload) { // what arrived is forgotten
			u.srv.On("UploadChunk").Nth(2).Do(forget(10_000))
			u.arrives()
			u.resentAtMost(rowChunk)
			u.count(1, "StartUpload")
		})
		uploads(t, everySource, func(u *upload) { // in the commit
			u.fill(rowChunk + 15_000)
			u.srv.On("CompleteUpload").Nth(1).ResetRequestAfter(5_000)
			u.arrives()
			u.resentAtMost(rowChunk)
		})
		for _, chunk := range []int64{rowChunk, 1 << 20} { // of which the network holds all, or not: then it is the sending that stalls
			uploads(t, everySource, func(u *upload) { // the connection goes silent in place of breaking
				u.note = fmt.Sprintf("chunks of %d bytes", chunk)
				u.opts.ChunkSize = chunk
				u.fill(int(3*chunk + 37))
				u.srv.On("UploadChunk").Nth(2).StallRequestAfter(10_000)
				u.arrives()
				u.resentAtMost(chunk)
				u.count(1, "StartUpload")
			})
		}
	})
	row(t, "F23 chunk applied, reply lost", survived, func(t *testing.T) {
		uploads(t, everySource, func(u *upload) { // the registry goes on where it is, as it says when asked
			u.loseReplies().Nth(2)
			u.arrives()
			u.resentAtMost(0)
			u.count(1, "StartUpload")
			if next := u.after("UploadChunk", 2); next.Operation != "GetUploadStatus" {
				u.errorf("after the lost reply came %s", next)
			}
		})
		uploads(t, everySource, func(u *upload) { // each of them
			u.loseReplies().Always()
			u.arrives()
			u.resentAtMost(0)
			u.count(1, "StartUpload")
		})
		uploads(t, everySource, func(u *upload) { // the registry knows the lost location only: the session is gone
			u.srv.On("UploadChunk").Nth(2).DropReply()
			u.survives()
			u.resentAtMost(2 * rowChunk)
			if next := u.after("UploadChunk", 2); next.Operation != "GetUploadStatus" {
				u.errorf("after the lost reply came %s", next)
			}
		})
	})
	row(t, "F24 no status of a session", survived, testNoStatus)
	row(t, "F25 BLOB_UPLOAD_INVALID after a chunk", survived, func(t *testing.T) {
		uploads(t, everySource, func(u *upload) { // the registry takes a location for an old one, and ends the session
			u.staleLocation(3)
			u.survives()
			if u.again() {
				u.count(2, "StartUpload")
				u.resentAtMost(3 * rowChunk)
			}
		})
		uploads(t, everySource, func(u *upload) { // again and again
			for n := range 3 {
				u.staleLocation(2 + 3*n)
			}
			u.fails(acr.ErrUploadLost)
			if u.again() {
				u.count(3, "StartUpload")
			}
		})
	})
	row(t, "F26 commit applied, reply lost", survived, func(t *testing.T) {
		uploads(t, everySource, func(u *upload) {
			u.srv.On("CompleteUpload").DropReply()
			u.arrives()
			u.resentAtMost(0)
			u.count(1, "CompleteUpload")
			if next := u.after("CompleteUpload", 1); next.Operation != "HeadBlob" {
				u.errorf("after the lost reply came %s", next)
			}
		})
		uploads(t, readAgain, func(u *upload) { // a blob of another size is none that was committed
			u.srv.On("CompleteUpload").DropReply()
			u.srv.On("HeadBlob").Always().ContentLength(rowSize - 1)
			u.arrives()
			u.count(2, "StartUpload")
		})
		uploads(t, everySource, func(u *upload) { // of a blob that goes with the first request
			u.tune = nil
			u.srv.On("StartUpload").DropReply()
			u.lost = 1 // a writer's, whose location was in the lost reply
			u.arrives()
			u.resentAtMost(int64(len(u.want)))
		})
	})
	row(t, "F27 throttled or unavailable", survived, testBusy)
	row(t, "F28 token revoked in the middle", survived, func(t *testing.T) {
		for _, op := range []string{"UploadChunk", "CompleteUpload", "GetUploadStatus"} {
			uploads(t, everySource, func(u *upload) {
				u.note = op
				if op == "GetUploadStatus" {
					u.srv.On("UploadChunk").Nth(2).Do(forget(10_000))
				}
				u.srv.On(op).Nth(1).Revoke()
				u.arrives()
				u.count(1, "StartUpload")
				u.resentAtMost(rowChunk)
			})
		}
		uploads(t, everySource, func(u *upload) { // all tokens end between two chunks
			u.srv.On("UploadChunk").Nth(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(w, r)
				u.srv.Advance(4 * time.Hour)
			})
			u.arrives()
			u.count(1, "StartUpload")
			u.resentAtMost(rowChunk)
		})
	})
}

// forget reads n bytes of a chunk, throws them away and breaks the connection.
func forget(n int64) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, n) // it may be shorter
		panic(http.ErrAbortHandler)
	}
}

// loseReplies applies chunks and breaks the connection in place of an answer; the status of the session then has the new location. It
// returns the line of the script, which says when.
func (u *upload) loseReplies() *acrtest.Fault {
	var mu sync.Mutex
	var lost http.Header
	u.srv.On("GetUploadStatus").Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
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
	return u.srv.On("UploadChunk").Do(func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		reply := httptest.NewRecorder()
		next.ServeHTTP(reply, r)
		mu.Lock()
		defer mu.Unlock()
		lost = reply.Header()
		panic(http.ErrAbortHandler)
	})
}

// staleLocation lets the reply to the nth chunk name the location from before it, which the registry takes for a replay.
func (u *upload) staleLocation(n int) {
	u.srv.On("UploadChunk").Nth(n).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
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
		uploads(t, everySource, func(u *upload) {
			u.note = code
			u.srv.On("UploadChunk").Nth(3).DropReply()
			u.srv.On("GetUploadStatus").Status(404).Code(code, "blob upload unknown to registry")
			u.lost = 1 // it is there, but the registry denies it
			u.survives()
			u.resentAtMost(3 * rowChunk)
		})
	}
	uploads(t, everySource, func(u *upload) {
		u.note = "416"
		u.srv.On("UploadChunk").Nth(3).DropReply()
		u.srv.On("GetUploadStatus").Status(416).Code("RANGE_INVALID", "invalid content range")
		u.survives()
		u.resentAtMost(3 * rowChunk)
	})
	uploads(t, everySource, func(u *upload) {
		u.note = "no Range"
		u.srv.On("UploadChunk").Nth(3).DropReply()
		u.srv.On("GetUploadStatus").WithoutHeader("Range")
		u.survives()
		u.resentAtMost(3 * rowChunk)
	})
	uploads(t, everySource, func(u *upload) {
		u.note = "no answer"
		u.srv.On("UploadChunk").Nth(3).Do(forget(10_000))
		u.srv.On("GetUploadStatus").First(2).DropReply()
		u.arrives()
		u.resentAtMost(rowChunk)
	})
	uploads(t, everySource, func(u *upload) { // and never again
		u.note = "for ever"
		u.srv.On("UploadChunk").From(2).DropReply()
		u.srv.On("GetUploadStatus").Always().Status(404).Code("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		u.lost = 3
		u.fails(acr.ErrUploadLost)
		if u.again() {
			u.count(3, "StartUpload") // two restarts
		} else {
			u.count(1, "StartUpload")
		}
	})
	uploads(t, everySource, func(u *upload) { // the session has expired meanwhile
		u.note = "expired"
		u.srv.On("UploadChunk").Nth(3).Do(func(http.ResponseWriter, *http.Request, http.Handler) {
			u.srv.Advance(10 * time.Minute)
			panic(http.ErrAbortHandler)
		})
		u.survives()
	}, acrtest.WithSessionLife(5*time.Minute))
}

func testBusy(t *testing.T) {
	const asked = 7 * time.Second
	for _, status := range []int{429, 500, 502, 503, 504} {
		for _, op := range []string{"UploadChunk", "CompleteUpload"} {
			uploads(t, onePerKind, func(u *upload) {
				u.note = op + " " + http.StatusText(status)
				u.srv.On(op).First(2).Status(status, asked)
				began := time.Now()
				u.arrives()
				if took := time.Since(began); took < 2*asked || took > 3*asked {
					u.errorf("took %v, the registry asked for twice %v", took, asked)
				}
				u.count(1, "StartUpload")
			})
		}
		uploads(t, onePerKind, func(u *upload) {
			u.note = "without a wait, " + http.StatusText(status)
			u.srv.On("UploadChunk").First(3).Status(status)
			began := time.Now()
			u.arrives()
			if took := time.Since(began); took > 10*time.Second {
				u.errorf("took %v", took)
			}
			u.count(1, "StartUpload")
		})
	}
	uploads(t, everySource, func(u *upload) { // for ever
		u.srv.On("UploadChunk").From(2).Status(503)
		err := u.fails(acr.ErrorCode("UNAVAILABLE"))
		if u.srv.Ledger().Count("UploadChunk") > 7 {
			u.errorf("it was tried %d times: %v", u.srv.Ledger().Count("UploadChunk"), err)
		}
	})
	uploads(t, everySource, func(u *upload) { // longer than anybody waits unasked
		u.srv.On("UploadChunk").Nth(2).Status(429, time.Hour)
		began := time.Now()
		u.fails(acr.ErrThrottled)
		if took := time.Since(began); took > time.Second {
			u.errorf("took %v", took)
		}
	})
}
