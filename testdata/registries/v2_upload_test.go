package registries_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

func uploadStream(ctx context.Context, e *env) error {
	content := noise(5<<20 + 1)
	d, err := e.repository.UploadBlob(ctx, stream{bytes.NewReader(content)}, &acr.UploadOptions{ChunkSize: 1 << 20})
	if err != nil {
		return err
	}
	return e.holds(ctx, e.repository, d.Digest, content)
}

func uploadTwice(ctx context.Context, e *env) error {
	content := noise(3 << 20)
	opts := &acr.UploadOptions{Digest: digest.FromBytes(content)}
	if _, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), opts); err != nil {
		return err
	}
	var last acr.Progress
	opts.Progress = func(p acr.Progress) { last = p }
	if _, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), opts); err != nil {
		return err
	}
	if !last.Skipped || last.Sent != 0 {
		return fmt.Errorf("%d bytes were sent again", last.Sent)
	}
	return nil
}

func resumeUpload(ctx context.Context, e *env) error {
	content := noise(3 << 20)
	acknowledged := make(chan acr.Checkpoint, 3)
	w, err := e.repository.StartUpload(ctx, &acr.StartUploadOptions{ChunkSize: 1 << 20, Checkpoint: func(cp acr.Checkpoint) { acknowledged <- cp }})
	if err != nil {
		return err
	}
	if _, err := w.Write(content[:1<<20+1]); err != nil { // a chunk, and a byte that stays with the writer
		return err
	}
	cp := <-acknowledged
	if cp.Offset == 0 { // that of the session's opening, unless the chunk was faster
		cp = <-acknowledged
	}
	if cp.Offset != 1<<20 {
		return fmt.Errorf("a checkpoint at %d, want %d", cp.Offset, 1<<20)
	}
	resumed, err := e.other.Repository(e.name).ResumeUpload(ctx, cp, nil)
	if err != nil {
		return err
	}
	if _, err := resumed.Write(content[resumed.Offset():]); err != nil {
		return err
	}
	d, err := resumed.Commit()
	if err != nil {
		return err
	}
	_ = w.Cancel()
	return e.holds(ctx, e.repository, d.Digest, content)
}

func cancelUpload(ctx context.Context, e *env) error {
	w, err := e.repository.StartUpload(ctx, &acr.StartUploadOptions{ChunkSize: 1 << 20})
	if err != nil {
		return err
	}
	if _, err := w.Write(noise(1 << 20)); err != nil {
		return err
	}
	cp, err := w.Checkpoint()
	if err != nil {
		return err
	}
	if err := w.Cancel(); err != nil {
		return err
	}
	_, err = e.repository.ResumeUpload(ctx, cp, nil)
	return want(err, acr.ErrUploadLost)
}

func uploadWrongDigest(ctx context.Context, e *env) error {
	_, err := e.repository.UploadBlob(ctx, strings.NewReader("one"), &acr.UploadOptions{Digest: digest.FromString("another"), TrustDigest: true})
	if errors.Is(err, acr.ErrDigestMismatch) { // found here, before the registry had to
		return nil
	}
	return want(err, acr.ErrorCode("DIGEST_INVALID"))
}
