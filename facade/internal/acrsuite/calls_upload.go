package acrsuite

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
var uploadCalls = []Call{
	{Method: "Repository.UploadBlob", Kind: UploadCall, Op: "StartUpload", Also: uploadOps, takes: "name", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().UploadBlob(ctx, bytes.NewReader(f.begun), nil)
		return err
	}},
	{Method: "Repository.UploadBlob in chunks", Kind: UploadCall, Op: "StartUpload", Also: uploadOps, takes: "name", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().UploadBlob(ctx, Stream{bytes.NewReader(f.begun)}, chunked)
		return err
	}},
	{Method: "Repository.StartUpload", Kind: UploadCall, Op: "StartUpload", Also: uploadOps, takes: "name", run: func(ctx context.Context, f *Fixture) error {
		w, err := f.Repository().StartUpload(ctx, StartOptions(chunked))
		if err != nil {
			return err
		}
		return w.Cancel()
	}},
	{Method: "Repository.ResumeUpload", Kind: UploadCall, Op: "GetUploadStatus", Also: uploadOps, takes: "name", Prepare: begin, run: func(ctx context.Context, f *Fixture) error {
		w, err := f.Repository().ResumeUpload(ctx, f.Checkpoint, ResumeOptions(chunked))
		return writer(f, w, err, f.begun, byWrite)
	}},
	{Method: "BlobWriter.Write", Kind: UploadCall, Op: "UploadChunk", Also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *Fixture) error {
		w, err := f.Repository().StartUpload(ctx, StartOptions(chunked))
		return writer(f, w, err, f.begun, byWrite)
	}},
	{Method: "BlobWriter.ReadFrom", Kind: UploadCall, Op: "UploadChunk", Also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *Fixture) error {
		w, err := f.Repository().StartUpload(ctx, StartOptions(chunked))
		return writer(f, w, err, f.begun, byReadFrom)
	}},
	{Method: "BlobWriter.Commit", Kind: UploadCall, Op: "CompleteUpload", Also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *Fixture) error {
		w, err := f.Repository().StartUpload(ctx, nil)
		return writer(f, w, err, f.begun, byWrite)
	}},
	{Method: "BlobWriter.Cancel", Kind: UploadCall, Op: "CancelUpload", Also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *Fixture) error {
		w, err := f.Repository().StartUpload(ctx, StartOptions(chunked))
		if err != nil {
			return err
		}
		if err := byWrite(w, f.begun); err != nil {
			return errors.Join(err, w.Close())
		}
		return w.Cancel()
	}},
	{Method: "Repository.MountBlob", Kind: UploadCall, Op: "StartUpload", Also: []string{"HeadBlob", "CancelUpload"}, takes: "name from digest", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().MountBlob(ctx, f.Fresh, f.Source)
		return err
	}},
}

// Stream hides that a reader could be read again.
type Stream struct{ io.Reader }

// begin leaves an upload behind of which the first part is sent.
func begin(f *Fixture) error {
	w, err := f.Repository().StartUpload(f.Ctx, &acr.StartUploadOptions{ChunkSize: 1024})
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
		if f.Checkpoint = cp; cp.Offset >= 1024 {
			return w.Close()
		}
		if _, err := w.Write(nil); err != nil {
			return err
		}
	}
}

// writer uploads the content with the writer that open gives.
func writer(f *Fixture, w *acr.BlobWriter, err error, content []byte, use func(w *acr.BlobWriter, content []byte) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = w.Cancel() }() // after Commit it does nothing
	Secrets.LookValue("a BlobWriter", w)
	if err := use(w, content[w.Offset():]); err != nil {
		return err
	}
	desc, err := w.Commit()
	if err == nil && desc.Size != int64(len(content)) {
		err = fmt.Errorf("uploaded %d bytes of %d", desc.Size, len(content))
	}
	if err == nil && !f.Srv.HasBlob(f.Name, desc.Digest) {
		err = errors.New("the registry does not have the blob")
	}
	return err
}

func byWrite(w *acr.BlobWriter, content []byte) error {
	_, err := w.Write(content)
	return err
}

func byReadFrom(w *acr.BlobWriter, content []byte) error {
	_, err := w.ReadFrom(Stream{bytes.NewReader(content)})
	return err
}

var chunked = &acr.UploadOptions{ChunkSize: 1024}
