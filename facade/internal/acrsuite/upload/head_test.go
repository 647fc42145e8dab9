package upload_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// Whether a blob is there is believed only of an answer that names its digest. Anything else, such as
// the page of a portal, is no reason to leave the upload out.
func TestUploadBelievesNoPortal(t *testing.T) {
	t.Parallel()
	other := digest.FromString("another blob")
	for name, answer := range map[string]func(h http.Header){
		"a page":         func(h http.Header) { h.Set("Content-Type", "text/html") },
		"another digest": func(h http.Header) { h.Set("Docker-Content-Digest", other.String()) },
		"no digest":      func(h http.Header) { h.Set("Docker-Content-Digest", "x") },
		"two digests": func(h http.Header) {
			h["Docker-Content-Digest"] = []string{other.String(), digest.FromString("x").String()}
		},
		"a page without content": func(h http.Header) { h.Set("Content-Type", "text/html"); h.Set("Content-Length", "0") },
	} {
		for way, source := range map[string]func(b []byte) io.Reader{
			"file":   func(b []byte) io.Reader { return bytes.NewReader(b) },
			"stream": func(b []byte) io.Reader { return bytes.NewBuffer(b) },
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
					srv.On("HeadBlob").Always().Do(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
						w.Header().Set("Content-Length", "50")
						answer(w.Header())
						w.WriteHeader(http.StatusOK)
					})
					r := acrsuite.NewClient(t, srv).Repository("samples/app")
					b := acrsuite.Content(2 << 20)
					var last acr.Progress
					o := &acr.UploadOptions{Digest: digest.FromBytes(b), Progress: func(p acr.Progress) { last = p }}
					desc, err := r.UploadBlob(t.Context(), source(b), o)
					if err != nil || desc.Size != int64(len(b)) || last.Skipped || last.Fraction() != 1 {
						t.Fatalf("%+v %+v %v", desc, last, err)
					}
					if got := acrsuite.Download(t, r, desc.Digest); !bytes.Equal(got, b) {
						t.Error("the blob was not uploaded")
					}
				})
			})
		}
	}
}

// A blob that the registry has is not sent, even if the storage that would tell its size is out of reach.
func TestUploadHeadToStorageOutOfReach(t *testing.T) {
	t.Parallel()
	for way, source := range map[string]func(b []byte) io.Reader{
		"file":   func(b []byte) io.Reader { return bytes.NewReader(b) },
		"stream": func(b []byte) io.Reader { return bytes.NewBuffer(b) },
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				r := acrsuite.NewClient(t, srv).Repository("samples/app")
				b := acrsuite.Content(2 << 20)
				dgst := srv.SeedBlob(t, "samples/app", b)
				srv.On("HeadBlob").Always().Do(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
					w.Header().Set("Location", strings.Replace(srv.Endpoint(), "127.0.0.1", "storage.blob.core.windows.net", 1)+"/x")
					w.Header().Set("Docker-Content-Digest", dgst.String())
					w.WriteHeader(http.StatusTemporaryRedirect)
				})
				var last acr.Progress
				o := &acr.UploadOptions{Digest: dgst, Progress: func(p acr.Progress) { last = p }}
				desc, err := r.UploadBlob(t.Context(), source(b), o)
				if err != nil || desc.Size != int64(len(b)) || last.Fraction() != 1 || last.Offset != int64(len(b)) {
					t.Errorf("%+v %+v %v", desc, last, err)
				}
				if sent := srv.Ledger().Count("StartUpload") > 0; sent != (way == "stream") { // the size of a stream is not known
					t.Errorf("it was sent: %v", sent)
				}
			})
		})
	}
}

// A refused question whether a blob is there is no refusal of the upload: a token that may only push is refused the question.
// Where the upload would be refused as well, it is not tried.
func TestUploadHeadRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault func(srv *acrtest.Server)
		want  error // nil: the blob is uploaded
	}{
		"401":     {func(srv *acrtest.Server) { srv.On("HeadBlob").Always().Status(http.StatusUnauthorized) }, nil},
		"403":     {func(srv *acrtest.Server) { srv.On("HeadBlob").Always().Status(http.StatusForbidden) }, nil},
		"405":     {func(srv *acrtest.Server) { srv.On("HeadBlob").Always().Status(http.StatusMethodNotAllowed) }, nil},
		"500":     {func(srv *acrtest.Server) { srv.On("HeadBlob").Always().Status(http.StatusInternalServerError) }, nil},
		"429":     {func(srv *acrtest.Server) { srv.On("HeadBlob").Always().Status(http.StatusTooManyRequests) }, acr.ErrThrottled},
		"sign-in": {func(srv *acrtest.Server) { srv.On("GetAccessToken").Always().Status(http.StatusForbidden) }, acr.ErrNoRole},
	} {
		for way, source := range map[string]func(b []byte) io.Reader{
			"file":    func(b []byte) io.Reader { return bytes.NewReader(b) },
			"stream":  func(b []byte) io.Reader { return bytes.NewBuffer(b) },
			"mounted": func(b []byte) io.Reader { return bytes.NewBuffer(b) },
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
					row.fault(srv)
					r := acrsuite.NewClient(t, srv).Repository("samples/app")
					b := acrsuite.Content(2 << 20)
					o := &acr.UploadOptions{Digest: digest.FromBytes(b)}
					if way == "mounted" {
						srv.SeedBlob(t, "samples/base", b)
						o.MountFrom = []string{"samples/base"}
					}
					desc, err := r.UploadBlob(t.Context(), source(b), o)
					switch {
					case row.want != nil:
						if !errors.Is(err, row.want) {
							t.Error(err)
						}
						if n := srv.Ledger().Count("UploadChunk", "CompleteUpload"); n > 0 {
							t.Errorf("%d requests of an upload were sent", n)
						}
					case err != nil || desc.Size != int64(len(b)):
						t.Errorf("%+v: %v", desc, err)
					}
				})
			})
		}
	}
}
