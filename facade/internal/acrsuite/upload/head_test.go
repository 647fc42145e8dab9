package upload_test

import (
	"bytes"
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
