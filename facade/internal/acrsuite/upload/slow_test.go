package upload_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
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
		w, err := r.StartUpload(ctx, &acr.StartUploadOptions{ChunkSize: slowChunk})
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

// slowly runs an upload in each way against a registry with a fault of its own, over a transport if
// there is one.
func slowly(
	t *testing.T, fault func(srv *acrtest.Server), over func(http.RoundTripper) http.RoundTripper, check func(t *testing.T, took time.Duration),
) {
	t.Helper()
	for way, upload := range uploadWays {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				fault(srv)
				client := acrsuite.Checked(t, srv)
				if over != nil {
					client.Transport = over(client.Transport)
				}
				r := acrsuite.NewClientVia(t, srv, client).Repository("samples/app")
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
				check(t, took)
			})
		})
	}
}

// A registry that takes long to complete an upload is waited for, and nothing is sent a second time: not
// if its answer is late, and not if the blob is.
func TestUploadSlowCommit(t *testing.T) {
	t.Parallel()
	for _, d := range acrsuite.Thinned(t, []time.Duration{75 * time.Second, 8 * time.Minute, 20 * time.Minute}, 1, 3) {
		for kind, delay := range map[string]func(f *acrtest.Fault){
			"the answer is late": func(f *acrtest.Fault) { f.DelayReply(d) },
			"the blob is late":   func(f *acrtest.Fault) { f.Delay(d) },
		} {
			t.Run(fmt.Sprintf("%s, %s", d, kind), func(t *testing.T) {
				t.Parallel()
				slowly(t, func(srv *acrtest.Server) {
					delay(srv.On("CompleteUpload").Always())
					delay(srv.On("StartUpload").When(hasBody).Always())
				}, nil, within(d+time.Minute))
			})
			t.Run(fmt.Sprintf("%s, %s, and a gateway gives up before", d, kind), func(t *testing.T) {
				t.Parallel()
				slowly(t, func(srv *acrtest.Server) {
					delay(srv.On("CompleteUpload").Nth(1))
					delay(srv.On("StartUpload").When(hasBody).Nth(1))
				}, func(inner http.RoundTripper) http.RoundTripper { return &gateway{inner} }, within(d+time.Minute))
			})
		}
	}
}

// within demands that an upload was over in time.
func within(most time.Duration) func(*testing.T, time.Duration) {
	return func(t *testing.T, took time.Duration) {
		t.Helper()
		if took > most {
			t.Errorf("took %s, want at most %s", took, most)
		}
	}
}

// gateway answers 504 for a registry that does not answer within a minute. The registry does not notice.
type gateway struct{ inner http.RoundTripper }

func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	type answer struct {
		resp *http.Response
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		resp, err := g.inner.RoundTrip(r.Clone(context.WithoutCancel(r.Context())))
		answers <- answer{resp, err}
	}()
	select {
	case a := <-answers:
		return a.resp, a.err
	case <-time.After(time.Minute):
		go func() {
			if a := <-answers; a.err == nil {
				_ = a.resp.Body.Close()
			}
		}()
		return &http.Response{
			Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(strings.NewReader("<html>timeout</html>")), Request: r,
		}, nil
	}
}

// A chunk whose answer is late is waited for.
func TestUploadSlowChunks(t *testing.T) {
	t.Parallel()
	for kind, delay := range map[string]func(f *acrtest.Fault){
		"the answer is late": func(f *acrtest.Fault) { f.DelayReply(75 * time.Second) },
		"the chunk is late":  func(f *acrtest.Fault) { f.Delay(75 * time.Second) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			slowly(t, func(srv *acrtest.Server) { delay(srv.On("UploadChunk").Always()) }, nil, within(5*time.Minute))
		})
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
