package acr_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// BenchmarkUploadBlob uploads to the emulator in this process, over TLS: cost must grow with the size, requests with the chunks, and what is
// allocated (the emulator's share and the blob it keeps included) with the size at most.
func BenchmarkUploadBlob(b *testing.B) {
	sources := map[string]func(content []byte) io.Reader{
		"file":   func(content []byte) io.Reader { return bytes.NewReader(content) },
		"stream": func(content []byte) io.Reader { return acrsuite.Stream{Reader: bytes.NewReader(content)} },
	}
	for _, how := range []string{"file", "stream"} {
		for _, size := range []int{64 << 10, 4 << 20, 40 << 20, 400 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", how, size>>10), func(b *testing.B) {
				srv := acrsuite.NewServer(b)
				c := acrsuite.NewClientVia(b, srv, srv.HTTPClient())
				r := c.Repository("bench/blobs")
				blob := bytes.Repeat([]byte("0123456789abcdef"), size/16)
				requests := 0
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					srv.Ledger().Reset()
					desc, err := r.UploadBlob(b.Context(), sources[how](blob), &acr.UploadOptions{})
					if err != nil {
						b.Fatal(err)
					}
					requests = srv.Ledger().Count("StartUpload", "UploadChunk", "CompleteUpload", "HeadBlob")
					b.StopTimer()
					if err := r.DeleteBlob(b.Context(), desc.Digest); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(requests), "requests/op")
			})
		}
	}
}
