package acr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// BlobWriter uploads a blob that is written to it. It is created with [Repository.StartUpload] or
// [Repository.ResumeUpload], and must be ended with Commit, Cancel or Close. It holds two chunks in
// memory, by default of 8 MiB each.
//
// Only one goroutine may use it at a time. Write, ReadFrom, Commit, Cancel and Close fail and
// change nothing if they are called while another one of them runs. Only Checkpoint may be called
// at any time.
type BlobWriter struct {
	session *uploadSession
	options UploadOptions
	w       *transfer.Writer
	meter   *meter
	ctx     context.Context
	spool   *spoolFile
	stop    func(error)
	ended   atomic.Bool
}

// StartUpload opens an upload for content that is written piece by piece. For a reader use
// [Repository.UploadBlob]. ctx applies until the writer is ended. It costs one request, then one
// for each chunk and one for Commit.
//
// Errors:
//   - [ErrInvalidArgument] if the repository name or an option is invalid
//   - [*Error] if the registry refuses the upload
func (r *Repository) StartUpload(ctx context.Context, opts *StartUploadOptions) (*BlobWriter, error) {
	b, err := r.newBlobWriter(ctx, given(opts).upload())
	if err != nil {
		return nil, err
	}
	var spool transfer.Spool
	if b.options.Spool {
		if b.spool, err = newSpool(b.options.SpoolDir); err != nil {
			b.finish(err)
			return nil, failed("StartUpload", err)
		}
		spool = b.spool
	}
	if b.w, err = transfer.NewWriter(b.ctx, b.session, b.options.transfer(b.ctx, b.session, nil, b.meter), spool); err == nil {
		err = b.w.Open()
	}
	if err != nil {
		b.finish(err)
		return nil, failed("StartUpload", err)
	}
	return b, nil
}

// ResumeUpload continues an upload that another writer has started, possibly in another process. It
// costs one request, which asks the registry how much of the upload it has. Write the content from
// [BlobWriter.Offset] on; what the registry already has is not sent again.
//
// Errors:
//   - [ErrUploadLost] if the registry no longer knows the upload, if it has less of it than the
//     checkpoint states, or if the HashState cannot be used
//   - [ErrUntrusted] if the checkpoint's Location is not an upload of this repository
//   - [ErrInvalidArgument] if the repository name, the checkpoint or an option is invalid, or if
//     the checkpoint belongs to another repository, or to another registry (which also matches
//     [ErrUntrusted])
//   - [*Error] if the registry refuses the request
func (r *Repository) ResumeUpload(ctx context.Context, cp Checkpoint, opts *ResumeUploadOptions) (*BlobWriter, error) {
	if r.bad() != nil {
		return nil, r.bad()
	}
	if err := cp.check(r); err != nil {
		return nil, err
	}
	if _, err := wire.CheckUploadURL(cp.Location, r.client.login, r.name); err != nil {
		return nil, failed("ResumeUpload", err)
	}
	b, err := r.newBlobWriter(ctx, given(opts).upload())
	if err != nil {
		return nil, err
	}
	if b.w, err = transfer.ResumeWriter(b.ctx, b.session, *cp.transfer(), b.options.transfer(b.ctx, b.session, nil, b.meter)); err != nil {
		b.finish(err)
		return nil, failed("ResumeUpload", err)
	}
	return b, nil
}

// newBlobWriter creates a writer with the options that both kinds of uploads have.
func (r *Repository) newBlobWriter(ctx context.Context, o UploadOptions) (*BlobWriter, error) {
	if err := cmp.Or(r.bad(), checkContext(ctx)); err != nil {
		return nil, err
	}
	b := &BlobWriter{session: &uploadSession{r: r}, options: o}
	if err := b.options.check(r.client); err != nil {
		return nil, err
	}
	b.meter, b.ctx, b.stop = r.newMeter(ctx, "StartUpload", b.options.Digest, b.options.Progress, b.options.Checkpoint != nil)
	return b, nil
}

// finish releases everything except the session at the registry, once. It panics if a callback panicked.
func (b *BlobWriter) finish(err error) {
	if !b.ended.CompareAndSwap(false, true) {
		return
	}
	if b.spool != nil {
		b.spool.remove()
	}
	b.stop(err)
}

// Offset returns the number of bytes written so far, including those before the upload was resumed.
func (b *BlobWriter) Offset() int64 {
	if b.bad() != nil {
		return 0
	}
	return b.w.Offset()
}

// bad returns an error for a writer that was not made by StartUpload or ResumeUpload.
func (b *BlobWriter) bad() error {
	if b == nil || b.w == nil {
		return unmade("BlobWriter")
	}
	return nil
}

// Write appends p to the blob. A full chunk is sent while the next one is written, so an error may
// belong to an earlier Write.
//
// Errors:
//   - [ErrUploadLost] if the registry no longer knows the upload and the content cannot be sent
//     again, or if five consecutive requests made no progress
//   - [ErrSizeMismatch] if more than StartUploadOptions.Size bytes are written
//   - [ErrClosed] if the writer has been ended
//   - [*Error] if the registry refuses a chunk
func (b *BlobWriter) Write(p []byte) (int, error) {
	if err := b.bad(); err != nil {
		return 0, err
	}
	n, err := b.w.Write(p)
	return n, failed("UploadChunk", err)
}

// ReadFrom appends everything that src returns; io.Copy uses it. It reads directly into the
// chunks. If the writer's context ends while src is blocked in Read, ReadFrom returns all the
// same; the blocked call stays behind in a goroutine, and what it returns is discarded.
//
// Errors are those of [BlobWriter.Write] and of src.
func (b *BlobWriter) ReadFrom(src io.Reader) (int64, error) {
	if err := b.bad(); err != nil {
		return 0, err
	}
	if isNil(src) {
		return 0, badArgument("src", "", "it is nil")
	}
	n, err := b.w.ReadStream(src)
	return n, failed("UploadChunk", err)
}

// Checkpoint returns the state of the upload after the last chunk that the registry acknowledged.
// It may be called at any time, also after an error. It fails only if the writer was not created
// with [Repository.StartUpload] or [Repository.ResumeUpload].
func (b *BlobWriter) Checkpoint() (Checkpoint, error) {
	if err := b.bad(); err != nil {
		return Checkpoint{}, err
	}
	cp, ok := b.w.Checkpoint()
	if !ok {
		return Checkpoint{}, failed("Checkpoint", errors.New("no upload session has been opened yet"))
	}
	return checkpoint(b.session.r.name, cp), nil
}

// Commit sends the rest, completes the upload and returns the descriptor of the blob. After an
// error the upload is still open, unless it is lost: call Cancel, or call Close and resume later
// from the Checkpoint.
//
// Errors:
//   - [ErrUploadLost] if the registry no longer knows the upload and the content cannot be sent
//     again, or if five consecutive requests made no progress
//   - [ErrDigestMismatch] if the content has another digest than StartUploadOptions.Digest
//   - [ErrSizeMismatch] if the content has another size than StartUploadOptions.Size
//   - [ErrClosed] if the writer has been ended
//   - [*Error] if the registry refuses the upload
func (b *BlobWriter) Commit() (ocispec.Descriptor, error) {
	if err := b.bad(); err != nil {
		return ocispec.Descriptor{}, err
	}
	res, err := b.w.Commit()
	if err != nil {
		return ocispec.Descriptor{}, failed("CompleteUpload", err)
	}
	b.meter.SetDone()
	b.finish(nil)
	return blobDescriptor(b.options.MediaType, res.Digest, res.Size), nil
}

// Cancel ends the writer and the upload at the registry, with one request. After a successful
// Commit, or after Close, it does nothing, so it can be deferred.
func (b *BlobWriter) Cancel() error {
	if err := b.bad(); err != nil {
		return err
	}
	if b.ended.Load() {
		return nil
	}
	return b.end("CancelUpload", func() error { return b.w.Abort(b.ctx, false) })
}

// end ends the writer by the call, and then releases everything, also if the caller's code panics in the call. If another
// method runs, it changes nothing.
func (b *BlobWriter) end(operation string, call func() error) (err error) {
	defer func() {
		if !errors.Is(err, transfer.ErrConcurrentUse) {
			b.finish(err)
		}
		err = failed(operation, err)
	}()
	return call()
}

// Close sends full chunks and ends the writer without completing the upload, so that
// [Repository.ResumeUpload] can continue from the last Checkpoint. It returns the error of the
// first chunk that failed, if any. After a successful Commit, or after Cancel, it does nothing.
func (b *BlobWriter) Close() error {
	if err := b.bad(); err != nil {
		return err
	}
	if b.ended.Load() {
		return nil
	}
	return b.end("UploadChunk", b.w.Close)
}

// String returns the repository's name in the form "acr.BlobWriter(NAME)".
func (b *BlobWriter) String() string {
	if b.bad() != nil {
		return "acr.BlobWriter()"
	}
	return "acr.BlobWriter(" + b.session.r.name + ")"
}

// Format prints String for every verb.
func (b *BlobWriter) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }
