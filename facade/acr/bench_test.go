package acr_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// BenchmarkTags lists 1, 10 and 100 times a thousand tags with their properties. Time grows with them; what is held does not: KB-more is
// how much more memory is in use in the middle of the last page than in the middle of the first.
func BenchmarkTags(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			srv := acrtest.New(b)
			srv.SeedTags(b, "library/many", n)
			r := acrsuite.NewClientVia(b, srv, srv.HTTPClient()).Repository("library/many")
			var held [2]uint64
			each(b, r, func(i int) {
				switch i {
				case 500:
					held[0] = acrsuite.InUse()
				case n - 500:
					held[1] = acrsuite.InUse()
				}
			})
			b.ReportAllocs()
			for b.Loop() {
				each(b, r, func(int) {})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/tag")
			if n > 1_000 {
				b.ReportMetric((float64(held[1])-float64(held[0]))/1024, "KB-more")
			}
		})
	}
}

// each calls f with the count of tags seen.
func each(b *testing.B, r *acr.Repository, f func(int)) {
	b.Helper()
	i := 0
	for _, err := range r.Tags(b.Context(), nil) {
		if err != nil {
			b.Fatal(err)
		}
		i++
		f(i)
	}
}

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
