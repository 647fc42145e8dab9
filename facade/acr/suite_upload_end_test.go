package acr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
)

var _ = expect("F46", "F78")

// TestSuiteUploadEnd: how an upload ends that its caller gives up, or whose callbacks panic.
func TestSuiteUploadEnd(t *testing.T) {
	t.Parallel()
	row(t, "F46 abandoned upload", survived, testAbandoned)
	row(t, "F78 panic in a callback", survived, testPanic)
}

func testAbandoned(t *testing.T) {
	const soon = 150 * time.Millisecond
	for name, script := range map[string]func(u *upload){
		"in a chunk":  func(u *upload) { u.srv.On("UploadChunk").Nth(2).StallRequestAfter(100) },
		"in a reply":  func(u *upload) { u.srv.On("UploadChunk").Nth(2).Stall() },
		"in a wait":   func(u *upload) { u.srv.On("UploadChunk").From(2).Status(503, 50*time.Second) },
		"in a status": func(u *upload) { u.srv.On("UploadChunk").Nth(2).Do(forget(0)); u.srv.On("GetUploadStatus").Stall() },
		"in a commit": func(u *upload) { u.srv.On("CompleteUpload").Stall() },
		"and the registry does not answer any more": func(u *upload) {
			u.srv.On("UploadChunk", "CancelUpload").From(2).Stall()
			u.lost = 1
		},
	} {
		uploads(t, everySource, func(u *upload) {
			u.note = name
			script(u)
			ctx, cancel := context.WithCancelCause(u.ctx)
			defer cancel(nil)
			ended := time.Time{}
			time.AfterFunc(20*time.Second, func() { ended = time.Now(); cancel(errBoom) })
			err := u.sendWith(ctx)
			if late := time.Since(ended); ended.IsZero() || late > soon {
				u.errorf("came back %v after the end of its context", late)
			}
			synctest.Wait()
			u.failed(err, context.Canceled)
			if !errors.Is(err, errBoom) {
				u.errorf("the cause is missing: %v", err)
			}
			u.count(1, "CancelUpload")
			time.Sleep(6 * time.Second) // by then the request that nobody answers has been given up
		})
	}
	uploads(t, everySource, func(u *upload) { // an error ends it, and the registry is slow to take note
		u.srv.On("UploadChunk").Nth(2).Status(403)
		u.srv.On("CancelUpload").Stall()
		u.lost = 1
		began := time.Now()
		u.fails(acr.ErrDenied)
		if took := time.Since(began); took > 6*time.Second {
			u.errorf("took %v", took)
		}
	})
	uploads(t, everySource, func(u *upload) { // the context had ended before
		ctx, cancel := context.WithCancel(u.ctx)
		cancel()
		u.failed(u.sendWith(ctx), context.Canceled)
		u.count(0, "StartUpload")
	})
	uploads(t, []string{asStream, asSpool}, func(u *upload) { // in a Read that does not come back
		pr, pw := io.Pipe()
		u.source = pr
		go func() {
			_, _ = pw.Write(u.want[:3*rowChunk])
		}()
		ctx, cancel := context.WithTimeout(u.ctx, time.Minute)
		defer cancel()
		began := time.Now()
		err := u.sendWith(ctx)
		if took := time.Since(began); took > time.Minute+soon {
			u.errorf("took %v", took)
		}
		u.failed(err, context.DeadlineExceeded)
		_ = pw.Close()
		synctest.Wait()
	})
}

func testPanic(t *testing.T) {
	const cry = "a callback's panic"
	// panics demands that the upload panics with cry, in the caller's goroutine, and that nothing of it is left.
	panics := func(u *upload) {
		func() {
			defer func() {
				if v := recover(); v != cry {
					u.errorf("recovered %v", v)
				}
			}()
			err := u.send()
			u.errorf("it came back: %v", err)
		}()
		synctest.Wait()
		u.nothingOpen()
	}
	uploads(t, everySource, func(u *upload) {
		u.note = "progress"
		u.srv.On("UploadChunk").Nth(2).Delay(time.Second)
		u.opts.Progress = func(acr.Progress) { panic(cry) }
		panics(u)
		if u.how != asWriter && u.srv.HasBlob(u.name, u.dgst) {
			u.errorf("it was completed")
		}
	})
	uploads(t, everySource, func(u *upload) {
		u.note = "the last event"
		u.opts.Progress = func(p acr.Progress) {
			if p.Done {
				panic(cry)
			}
		}
		panics(u)
	})
	uploads(t, everySource, func(u *upload) {
		u.note = "checkpoint"
		u.opts.Checkpoint = func(acr.Checkpoint) { panic(cry) }
		u.lost = 1 // it can be gone on with
		panics(u)
	})
	for _, after := range []int64{0, rowChunk + 5} {
		uploads(t, []string{asReader, asSeeker, asStream, asSpool}, func(u *upload) {
			u.note = fmt.Sprintf("reading, after %d", after)
			u.source = failing(u, after, errBoom)
			switch s := u.source.(type) {
			case *failingAt:
				s.err = nil
				s.at = panicAt{s.at, rowLead + after, cry}
				s.end = 1 << 40
			case *failingSeeker:
				s.end, s.r = 1<<40, panicReader{cry}
			default:
				u.source = io.MultiReader(io.LimitReader(u.open(), after), panicReader{cry})
			}
			panics(u)
		})
	}
}

type panicReader struct{ v any }

func (r panicReader) Read([]byte) (int, error) { panic(r.v) }

type panicAt struct {
	io.ReaderAt
	end int64
	v   any
}

func (r panicAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > r.end {
		panic(r.v)
	}
	return r.ReaderAt.ReadAt(p, off)
}
