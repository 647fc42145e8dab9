package transport_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// BenchmarkUpload is a chunk of 16 MiB over TLS to a server that reads it.
func BenchmarkUpload(b *testing.B) {
	home, _ := serve(b, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	tr := transport.New(parse(b, home.URL), nil, nil)
	defer tr.CloseIdleConnections()
	transport.TrustForTest(tr, home.Client())
	data := bytes.Repeat([]byte("x"), 16<<20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		resp, err := tr.Do(request(b, call.Upload, http.MethodPatch, home.URL, data))
		if err != nil {
			b.Fatal(err)
		}
		wire.Drain(resp)
	}
}

// BenchmarkSmallRequest is what a request costs beyond its bytes.
func BenchmarkSmallRequest(b *testing.B) {
	home, _ := serve(b, func(http.ResponseWriter, *http.Request) {})
	tr := transport.New(parse(b, home.URL), nil, nil)
	defer tr.CloseIdleConnections()
	transport.TrustForTest(tr, home.Client())
	b.ReportAllocs()
	for b.Loop() {
		resp, err := tr.Do(request(b, call.API, http.MethodGet, home.URL, nil))
		if err != nil {
			b.Fatal(err)
		}
		wire.Drain(resp)
	}
}
