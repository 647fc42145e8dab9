package acr_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/acrkit/acrkit/facade/acr"
)

// downloadCalls are those that get a blob.
var downloadCalls = []call{
	{method: "Repository.GetBlob", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		r, err := f.repository().GetBlob(ctx, f.blob, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		secrets.lookValue("a BlobReader", r)
		got, err := io.ReadAll(r)
		return same(got, f.content, err)
	}},
	{method: "BlobReader.WriteTo", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		r, err := f.repository().GetBlob(ctx, f.blob, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		var got bytes.Buffer
		_, err = r.WriteTo(&got)
		return same(got.Bytes(), f.content, err)
	}},
	{method: "Repository.GetBlobRange", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		r, err := f.repository().GetBlobRange(ctx, f.blob, 100, 1000)
		if err != nil {
			return err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		return same(got, f.content[100:1100], err)
	}},
	{method: "Repository.BlobReaderAt", kind: downloadCall, op: "GetBlob", also: []string{"HeadBlob"}, takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		r, err := f.repository().BlobReaderAt(ctx, f.blob)
		if err != nil {
			return err
		}
		got := make([]byte, 500)
		_, err = r.ReadAt(got, 200)
		secrets.lookValue("a BlobReaderAt", r)
		return same(got, f.content[200:700], err)
	}},
	{method: "Repository.DownloadBlob", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		var got inMemory
		_, err := f.repository().DownloadBlob(ctx, f.blob, &got, nil)
		return same(got.b, f.content, err)
	}},
	{method: "Repository.DownloadBlobFile", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		path := filepath.Join(f.t.TempDir(), "blob")
		if _, err := f.repository().DownloadBlobFile(ctx, f.blob, path, &acr.DownloadOptions{NoSync: true}); err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		return same(got, f.content, err)
	}},
}

// same demands that the content is the expected one.
func same(got, want []byte, err error) error {
	if err == nil && !bytes.Equal(got, want) {
		return fmt.Errorf("got %d bytes that are not the %d expected", len(got), len(want))
	}
	return err
}

// inMemory is an io.WriterAt.
type inMemory struct{ b []byte }

// WriteAt implements io.WriterAt; DownloadBlob calls it from one goroutine at a time for so small a blob.
func (m *inMemory) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}
