package acrsuite

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
var downloadCalls = []Call{
	{Method: "Repository.GetBlob", Kind: DownloadCall, Op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		r, err := f.Repository().GetBlob(ctx, f.Blob, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		Secrets.LookValue("a BlobReader", r)
		got, err := io.ReadAll(r)
		return same(got, f.Content, err)
	}},
	{Method: "BlobReader.WriteTo", Kind: DownloadCall, Op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		r, err := f.Repository().GetBlob(ctx, f.Blob, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		var got bytes.Buffer
		_, err = r.WriteTo(&got)
		return same(got.Bytes(), f.Content, err)
	}},
	{Method: "Repository.GetBlobRange", Kind: DownloadCall, Op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		r, err := f.Repository().GetBlobRange(ctx, f.Blob, 100, 1000)
		if err != nil {
			return err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		return same(got, f.Content[100:1100], err)
	}},
	{Method: "Repository.BlobReaderAt", Kind: DownloadCall, Op: "GetBlob", Also: []string{"HeadBlob"}, takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		r, err := f.Repository().BlobReaderAt(ctx, f.Blob)
		if err != nil {
			return err
		}
		got := make([]byte, 500)
		_, err = r.ReadAt(got, 200)
		Secrets.LookValue("a BlobReaderAt", r)
		return same(got, f.Content[200:700], err)
	}},
	{Method: "Repository.DownloadBlob", Kind: DownloadCall, Op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		var got inMemory
		_, err := f.Repository().DownloadBlob(ctx, f.Blob, &got, nil)
		return same(got.b, f.Content, err)
	}},
	{Method: "Repository.DownloadBlobFile", Kind: DownloadCall, Op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		path := filepath.Join(f.T.TempDir(), "blob")
		if _, err := f.Repository().DownloadBlobFile(ctx, f.Blob, path, &acr.DownloadFileOptions{NoSync: true}); err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		return same(got, f.Content, err)
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
