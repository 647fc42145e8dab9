package upload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSuiteUploadEnd: how an upload ends that its caller gives up, or whose callbacks panic.
func TestSuiteUploadEnd(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F46 abandoned upload", func(t *testing.T) {
		testAbandoned(t)
		t.Run("on loopback", abandonedOnLoopback)
	})
	acrsuite.Row(t, "F78 panic in a callback", func(t *testing.T) {
		testPanic(t)
		t.Run("in a policy", testPolicyPanics)
		t.Run("on loopback", panicOnLoopback)
	})
}

func testAbandoned(t *testing.T) {
	const soon = 150 * time.Millisecond
	for name, script := range map[string]func(u *acrsuite.Upload){
		"in a chunk": func(u *acrsuite.Upload) { u.Srv.On("UploadChunk").Nth(2).StallRequestAfter(100) },
		"in a reply": func(u *acrsuite.Upload) { u.Srv.On("UploadChunk").Nth(2).Stall() },
		"in a wait":  func(u *acrsuite.Upload) { u.Srv.On("UploadChunk").From(2).Status(503, 50*time.Second) },
		"in a status": func(u *acrsuite.Upload) {
			u.Srv.On("UploadChunk").Nth(2).Do(acrsuite.Forget(0))
			u.Srv.On("GetUploadStatus").Stall()
		},
		"in a commit": func(u *acrsuite.Upload) { u.Srv.On("CompleteUpload").Stall() },
		"and the registry does not answer any more": func(u *acrsuite.Upload) {
			u.Srv.On("UploadChunk", "CancelUpload").From(2).Stall()
			u.Lost = 1
		},
	} {
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Note = name
			script(u)
			ctx, cancel := context.WithCancelCause(u.Ctx)
			defer cancel(nil)
			ended := time.Time{}
			time.AfterFunc(20*time.Second, func() { ended = time.Now(); cancel(errBoom) })
			err := u.SendWith(ctx)
			if late := time.Since(ended); ended.IsZero() || late > soon {
				u.Errorf("came back %v after the end of its context", late)
			}
			synctest.Wait()
			u.Failed(err, context.Canceled)
			if !errors.Is(err, errBoom) {
				u.Errorf("the cause is missing: %v", err)
			}
			u.Count(1, "CancelUpload")
			time.Sleep(6 * time.Second) // by then the request that nobody answers has been given up
		})
	}
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // an error ends it, and the registry is slow to take note
		u.Srv.On("UploadChunk").Nth(2).Status(403)
		u.Srv.On("CancelUpload").Stall()
		u.Lost = 1
		began := time.Now()
		u.Fails(acr.ErrDenied)
		if took := time.Since(began); took > 6*time.Second {
			u.Errorf("took %v", took)
		}
	})
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // the context had ended before
		ctx, cancel := context.WithCancel(u.Ctx)
		cancel()
		u.Failed(u.SendWith(ctx), context.Canceled)
		u.Count(0, "StartUpload")
	})
	acrsuite.Uploads(t, []string{acrsuite.AsStream, acrsuite.AsSpool}, func(u *acrsuite.Upload) { // in a Read that does not come back
		pr, pw := io.Pipe()
		u.Source = pr
		go func() {
			_, _ = pw.Write(u.Want[:3*acrsuite.RowChunk])
		}()
		ctx, cancel := context.WithTimeout(u.Ctx, time.Minute)
		defer cancel()
		began := time.Now()
		err := u.SendWith(ctx)
		if took := time.Since(began); took > time.Minute+soon {
			u.Errorf("took %v", took)
		}
		u.Failed(err, context.DeadlineExceeded)
		_ = pw.Close()
		synctest.Wait()
	})
}

func testPanic(t *testing.T) {
	const cry = "a callback's panic"
	// panics demands that the upload panics with cry, in the caller's goroutine, and that nothing of it is left.
	panics := func(u *acrsuite.Upload) {
		func() {
			defer func() {
				if v := recover(); v != cry {
					u.Errorf("recovered %v", v)
				}
			}()
			err := u.Send()
			u.Errorf("it came back: %v", err)
		}()
		synctest.Wait()
		u.NothingOpen()
	}
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
		u.Note = "progress"
		u.Srv.On("UploadChunk").Nth(2).Delay(time.Second)
		u.Opts.Progress = func(acr.Progress) { panic(cry) }
		panics(u)
		if u.How != acrsuite.AsWriter && u.Srv.HasBlob(u.Name, u.Digest) {
			u.Errorf("it was completed")
		}
	})
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
		u.Note = "the last event"
		u.Opts.Progress = func(p acr.Progress) {
			if p.Done {
				panic(cry)
			}
		}
		panics(u)
	})
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
		u.Note = "checkpoint"
		u.Opts.Checkpoint = func(acr.Checkpoint) { panic(cry) }
		u.Lost = 1 // it can be gone on with
		panics(u)
	})
	for _, after := range []int64{0, acrsuite.RowChunk + 5} {
		acrsuite.Uploads(t, []string{acrsuite.AsReader, acrsuite.AsSeeker, acrsuite.AsStream, acrsuite.AsSpool}, func(u *acrsuite.Upload) {
			u.Note = fmt.Sprintf("reading, after %d", after)
			u.Source = failing(u, after, errBoom)
			switch s := u.Source.(type) {
			case *failingAt:
				s.err = nil
				s.at = panicAt{s.at, acrsuite.RowLead + after, cry}
				s.end = 1 << 40
			case *failingSeeker:
				s.end, s.r = 1<<40, panicReader{cry}
			default:
				u.Source = io.MultiReader(io.LimitReader(u.Open(), after), panicReader{cry})
			}
			panics(u)
		})
	}
}

// testPolicyPanics: what the caller's policies and hooks panic with is raised in the caller too, in whatever goroutine the
// request is, and the upload is ended.
func testPolicyPanics(t *testing.T) {
	t.Parallel()
	const cry = "a policy's panic"
	for way, upload := range uploadWays {
		if way == "writer" { // so that it is ended
			upload = func(ctx context.Context, r *acr.Repository, b []byte) (ocispec.Descriptor, error) {
				w, err := r.StartUpload(ctx, &acr.StartUploadOptions{ChunkSize: slowChunk})
				if err != nil {
					return ocispec.Descriptor{}, err
				}
				defer w.Cancel()
				if _, err := w.ReadFrom(bytes.NewReader(b)); err != nil {
					return ocispec.Descriptor{}, err
				}
				return w.Commit()
			}
		}
		for _, op := range []string{"StartUpload", "UploadChunk", "GetUploadStatus", "CompleteUpload", "CancelUpload"} {
			if way == "small" && op != "StartUpload" {
				continue
			}
			for hook, install := range map[string]func(o *acr.ClientOptions){
				"policy": func(o *acr.ClientOptions) {
					o.PerRetryPolicies = append(o.PerRetryPolicies, acrsuite.PolicyFunc(func(req *policy.Request) (*http.Response, error) {
						if operationOf(req.Raw()) == op {
							panic(cry)
						}
						return req.Next()
					}))
				},
				"OnRequest": func(o *acr.ClientOptions) {
					o.OnRequest = func(_ context.Context, m acr.RequestMetrics) {
						if m.Operation == op {
							panic(cry)
						}
					}
				},
			} {
				t.Run(way+", "+op+", "+hook, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
						switch op {
						case "GetUploadStatus":
							srv.On("UploadChunk").Nth(1).Accept(slowChunk / 2)
						case "CancelUpload":
							srv.On("UploadChunk").Nth(2).Status(http.StatusForbidden)
						}
						r := acrsuite.NewClient(t, srv, install).Repository("samples/app")
						defer func() {
							if v := recover(); v != cry {
								t.Errorf("recovered %v", v)
							}
						}()
						_, err := upload(t.Context(), r, acrsuite.Content(2*slowChunk+1000))
						t.Errorf("no panic, but %v", err)
					})
				})
			}
		}
	}
}

// operationOf tells which request of an upload it is.
func operationOf(r *http.Request) string {
	if !strings.Contains(r.URL.Path, "/blobs/uploads") {
		return ""
	}
	return map[string]string{
		http.MethodPost: "StartUpload", http.MethodPatch: "UploadChunk", http.MethodGet: "GetUploadStatus", http.MethodPut: "CompleteUpload", http.MethodDelete: "CancelUpload",
	}[r.Method]
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

// abandonedOnLoopback: the call returns and the session is cancelled, wherever the context ends, over sockets too.
func abandonedOnLoopback(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"StartUpload", "UploadChunk", "CompleteUpload"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			srv := acrsuite.NewServer(t)
			stalled, cancelled := make(chan struct{}), make(chan struct{})
			srv.On("CancelUpload").Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(w, r)
				close(cancelled)
			})
			srv.On(op).Do(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(stalled)
				<-r.Context().Done()
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { <-stalled; cancel() }()
			_, err := acrsuite.NewClient(t, srv).Repository("a/b").UploadBlob(ctx, bytes.NewReader(acrsuite.Content(6<<20)), &acr.UploadOptions{ChunkSize: 5 << 20})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if op == "StartUpload" {
				return // there is no session yet
			}
			<-cancelled // the call does not wait for it: it may come after the return
		})
	}
}

// panicOnLoopback: what a callback panics with is raised in the caller, at the sizes of production too.
func panicOnLoopback(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	defer func() {
		if v := recover(); v != "progress" {
			t.Errorf("recovered %v", v)
		}
	}()
	_, err := r.UploadBlob(t.Context(), bytes.NewReader(acrsuite.Content(6<<20)), &acr.UploadOptions{Progress: func(acr.Progress) { panic("progress") }})
	t.Errorf("no panic, but %v", err)
}
