package upload_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// uploadWays are the ways to upload content; each is of 3 chunks but for the small blob.
var uploadWays = map[string]func(ctx context.Context, r *acr.Repository, b []byte) (ocispec.Descriptor, error){
	"file": func(ctx context.Context, r *acr.Repository, b []byte) (ocispec.Descriptor, error) {
		return r.UploadBlob(ctx, bytes.NewReader(b), &acr.UploadOptions{ChunkSize: slowChunk})
	},
	"small": func(ctx context.Context, r *acr.Repository, b []byte) (ocispec.Descriptor, error) {
		return r.UploadBlob(ctx, bytes.NewReader(b[:1000]), nil)
	},
	"stream": func(ctx context.Context, r *acr.Repository, b []byte) (ocispec.Descriptor, error) {
		return r.UploadBlob(ctx, bytes.NewBuffer(b), &acr.UploadOptions{ChunkSize: slowChunk})
	},
	"spool": func(ctx context.Context, r *acr.Repository, b []byte) (ocispec.Descriptor, error) {
		return r.UploadBlob(ctx, bytes.NewBuffer(b), &acr.UploadOptions{ChunkSize: slowChunk, Spool: true})
	},
	"writer": func(ctx context.Context, r *acr.Repository, b []byte) (ocispec.Descriptor, error) {
		w, err := r.StartUpload(ctx, &acr.UploadOptions{ChunkSize: slowChunk})
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if _, err := io.Copy(w, bytes.NewReader(b)); err != nil {
			_ = w.Cancel()
			return ocispec.Descriptor{}, err
		}
		desc, err := w.Commit()
		if err != nil {
			_ = w.Cancel()
		}
		return desc, err
	},
}

const slowChunk = 300 << 10

// slowly runs an upload in each way against a registry with a fault of its own.
func slowly(t *testing.T, fault func(srv *acrtest.Server), check func(t *testing.T, srv *acrtest.Server, took time.Duration)) {
	t.Helper()
	for way, upload := range uploadWays {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				fault(srv)
				r := acrsuite.NewClient(t, srv).Repository("samples/app")
				b := acrsuite.Content(2*slowChunk + 1000)
				began := time.Now()
				desc, err := upload(t.Context(), r, b)
				took := time.Since(began)
				if err != nil {
					t.Fatalf("after %s: %v", took, err)
				}
				if desc.Digest != digest.FromBytes(b[:desc.Size]) || desc.Size != int64(len(b)) && way != "small" {
					t.Errorf("%+v", desc)
				}
				if got := acrsuite.Download(t, r, desc.Digest); !bytes.Equal(got, b[:desc.Size]) {
					t.Error("the blob is not what was uploaded")
				}
				sent := int64(0)
				for _, q := range srv.Ledger().Requests("StartUpload", "UploadChunk", "CompleteUpload") {
					sent += q.BytesIn
				}
				if sent != desc.Size {
					t.Errorf("%d bytes were sent for a blob of %d", sent, desc.Size)
				}
				check(t, srv, took)
			})
		})
	}
}

// A registry that takes long to complete an upload is waited for, and nothing is sent a second time: not
// if its answer is late, and not if the blob is.
func TestUploadSlowCommit(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{75 * time.Second, 8 * time.Minute, 20 * time.Minute} {
		for kind, delay := range map[string]func(f *acrtest.Fault){
			"the answer is late": func(f *acrtest.Fault) { f.DelayReply(d) },
			"the blob is late":   func(f *acrtest.Fault) { f.Delay(d) },
		} {
			t.Run(fmt.Sprintf("%s, %s", d, kind), func(t *testing.T) {
				t.Parallel()
				slowly(t, func(srv *acrtest.Server) {
					delay(srv.On("CompleteUpload").Always())
					delay(srv.On("StartUpload").When(hasBody).Always())
				}, func(t *testing.T, _ *acrtest.Server, took time.Duration) {
					if took > d+time.Minute {
						t.Errorf("took %s", took)
					}
				})
			})
		}
	}
}

func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// The first request of an upload is repeated like any other, after as long as the registry asks for.
func TestUploadFirstRequestRefused(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(f *acrtest.Fault){
		"503 with Retry-After":   func(f *acrtest.Fault) { f.Status(http.StatusServiceUnavailable, time.Second) },
		"429 with Retry-After":   func(f *acrtest.Fault) { f.Status(http.StatusTooManyRequests, time.Second) },
		"404 without a code":     func(f *acrtest.Fault) { f.Status(http.StatusNotFound).Body("text/plain", "not found") },
		"502 of a gateway":       func(f *acrtest.Fault) { f.Status(http.StatusBadGateway).Body("text/html", "<html>") },
		"a connection that dies": func(f *acrtest.Fault) { f.DropReply() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for way, upload := range uploadWays {
				t.Run(way, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
						fault(srv.On("StartUpload").Nth(1))
						r := acrsuite.NewClient(t, srv).Repository("samples/app")
						if _, err := upload(t.Context(), r, acrsuite.Content(2*slowChunk+1000)); err != nil {
							t.Error(err)
						}
					})
				})
			}
		})
	}
}

// A registry that takes no body in the request that completes an upload is sent the last bytes as a
// chunk, however few they are.
func TestUploadCommitWithoutBody(t *testing.T) {
	t.Parallel()
	for way, upload := range uploadWays {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				srv.On("StartUpload").When(hasBody).Always().Status(http.StatusRequestEntityTooLarge)
				srv.On("CompleteUpload").When(hasBody).Always().Status(http.StatusRequestEntityTooLarge)
				r := acrsuite.NewClient(t, srv).Repository("samples/app")
				if _, err := upload(t.Context(), r, acrsuite.Content(2*slowChunk+1000)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
