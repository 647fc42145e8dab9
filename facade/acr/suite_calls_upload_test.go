package acr_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/acrkit/acrkit/facade/acr"
)

// uploadOps is what an upload may send.
var uploadOps = []string{"UploadChunk", "CompleteUpload", "GetUploadStatus", "CancelUpload", "HeadBlob"}

// uploadCalls are those that send a blob.
var uploadCalls = []call{
	{method: "Repository.UploadBlob", kind: uploadCall, op: "StartUpload", also: uploadOps, takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().UploadBlob(ctx, bytes.NewReader(f.begun), nil)
		return err
	}},
	{method: "Repository.UploadBlob in chunks", kind: uploadCall, op: "StartUpload", also: uploadOps, takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().UploadBlob(ctx, stream{bytes.NewReader(f.begun)}, chunked)
		return err
	}},
	{method: "Repository.StartUpload", kind: uploadCall, op: "StartUpload", also: uploadOps, takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, chunked)
		if err != nil {
			return err
		}
		return w.Cancel()
	}},
	{method: "Repository.ResumeUpload", kind: uploadCall, op: "GetUploadStatus", also: uploadOps, takes: "name", prepare: begin, run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().ResumeUpload(ctx, f.checkpoint, chunked)
		return writer(f, w, err, f.begun, byWrite)
	}},
	{method: "BlobWriter.Write", kind: uploadCall, op: "UploadChunk", also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, chunked)
		return writer(f, w, err, f.begun, byWrite)
	}},
	{method: "BlobWriter.ReadFrom", kind: uploadCall, op: "UploadChunk", also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, chunked)
		return writer(f, w, err, f.begun, byReadFrom)
	}},
	{method: "BlobWriter.Commit", kind: uploadCall, op: "CompleteUpload", also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, nil)
		return writer(f, w, err, f.begun, byWrite)
	}},
	{method: "BlobWriter.Cancel", kind: uploadCall, op: "CancelUpload", also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, chunked)
		if err != nil {
			return err
		}
		if err := byWrite(w, f.begun); err != nil {
			return errors.Join(err, w.Close())
		}
		return w.Cancel()
	}},
	{method: "Repository.MountBlob", kind: uploadCall, op: "StartUpload", also: []string{"HeadBlob", "CancelUpload"}, takes: "name from digest", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().MountBlob(ctx, f.fresh, f.source)
		return err
	}},
}

// stream hides that a reader could be read again.
type stream struct{ io.Reader }

// begin leaves an upload behind of which the first part is sent.
func begin(f *fixture) error {
	w, err := f.repository().StartUpload(f.ctx, &acr.UploadOptions{ChunkSize: 1024})
	if err != nil {
		return err
	}
	if _, err = w.Write(f.begun[:2048]); err != nil {
		return err
	}
	for { // what is written is sent while the caller goes on
		cp, err := w.Checkpoint()
		if err != nil {
			return err
		}
		if f.checkpoint = cp; cp.Offset >= 1024 {
			return w.Close()
		}
		if _, err := w.Write(nil); err != nil {
			return err
		}
	}
}

// writer uploads the content with the writer that open gives.
func writer(f *fixture, w *acr.BlobWriter, err error, content []byte, use func(w *acr.BlobWriter, content []byte) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = w.Cancel() }() // after Commit it does nothing
	secrets.lookValue("a BlobWriter", w)
	if err := use(w, content[w.Offset():]); err != nil {
		return err
	}
	desc, err := w.Commit()
	if err == nil && desc.Size != int64(len(content)) {
		err = fmt.Errorf("uploaded %d bytes of %d", desc.Size, len(content))
	}
	if err == nil && !f.srv.HasBlob(f.name, desc.Digest) {
		err = errors.New("the registry does not have the blob")
	}
	return err
}

func byWrite(w *acr.BlobWriter, content []byte) error {
	_, err := w.Write(content)
	return err
}

func byReadFrom(w *acr.BlobWriter, content []byte) error {
	_, err := w.ReadFrom(stream{bytes.NewReader(content)})
	return err
}

var chunked = &acr.UploadOptions{ChunkSize: 1024}
