package acr

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// BlobWriter uploads what is written to it. It is made by StartUpload or ResumeUpload and must be ended with Commit, Cancel or Close. Its
// methods must not be called concurrently, except Checkpoint. Two chunks are held in memory.
type BlobWriter struct {
	session *uploadSession
	options UploadOptions
	w       *transfer.Writer
	meter   *meter
	ctx     context.Context
	spool   *spoolFile
	stop    func()
	ended   bool
}

// StartUpload opens an upload, for content that is written bit by bit; UploadBlob is for what can be read. ctx governs all that the writer
// does until it is ended. It costs one request, then one for each chunk and one for Commit. Of the options Resume, MountFrom and TrustDigest
// have no effect.
// Errors: ErrInvalidArgument, *Error.
func (r *Repository) StartUpload(ctx context.Context, opts *UploadOptions) (*BlobWriter, error) {
	b, err := r.newBlobWriter(ctx, opts)
	if err != nil {
		return nil, err
	}
	var spool transfer.Spool
	if b.options.Spool {
		if b.spool, err = newSpool(b.options.SpoolDir); err != nil {
			b.finish()
			return nil, failed("StartUpload", err)
		}
		spool = b.spool
	}
	if b.w, err = transfer.NewWriter(b.ctx, b.session, b.options.transfer(b.ctx, b.session, b.meter), spool); err == nil {
		err = b.w.Open()
	}
	if err != nil {
		b.finish()
		return nil, failed("StartUpload", err)
	}
	return b, nil
}

// ResumeUpload goes on with an upload that another writer, perhaps of another process, has begun. The registry is asked how far it got,
// which costs one request. BlobWriter.Offset says from where on the content is to be written; what the registry has of that already is not
// sent again. Of the options Resume, MountFrom, TrustDigest and Spool have no effect: what was written before cannot be had once more.
// Errors: ErrUploadLost when the registry no longer knows the upload or has less of it than the checkpoint says, or when its HashState is of
// no use; ErrUntrusted, ErrInvalidArgument, *Error.
func (r *Repository) ResumeUpload(ctx context.Context, cp Checkpoint, opts *UploadOptions) (*BlobWriter, error) {
	if r.err != nil {
		return nil, r.err
	}
	if err := cp.check(r); err != nil {
		return nil, err
	}
	if _, err := wire.CheckUploadURL(cp.Location, r.client.login, r.name); err != nil {
		return nil, failed("ResumeUpload", err)
	}
	b, err := r.newBlobWriter(ctx, opts)
	if err != nil {
		return nil, err
	}
	if b.w, err = transfer.ResumeWriter(b.ctx, b.session, *cp.transfer(), b.options.transfer(b.ctx, b.session, b.meter)); err != nil {
		b.finish()
		return nil, failed("ResumeUpload", err)
	}
	return b, nil
}

// newBlobWriter is what both have in common.
func (r *Repository) newBlobWriter(ctx context.Context, opts *UploadOptions) (*BlobWriter, error) {
	if r.err != nil {
		return nil, r.err
	}
	b := &BlobWriter{session: &uploadSession{r: r}}
	if opts != nil {
		b.options = *opts
	}
	b.options.Resume, b.options.MountFrom, b.options.TrustDigest = nil, nil, false
	if err := b.options.check(); err != nil {
		return nil, err
	}
	b.meter, b.ctx, b.stop = newMeter(ctx, b.options.Progress, b.options.Checkpoint != nil)
	return b, nil
}

// finish lets go of everything but the session at the registry. It raises what a callback panicked with.
func (b *BlobWriter) finish() {
	b.ended = true
	if b.spool != nil {
		b.spool.remove()
	}
	b.stop()
}

// Offset is how many bytes of the content the writer has taken, those before the point of resumption included.
func (b *BlobWriter) Offset() int64 { return b.w.Offset() }

// Write takes p. A chunk is sent once it is full, while the next one is being written; so an error may be that of an earlier Write.
func (b *BlobWriter) Write(p []byte) (int, error) {
	n, err := b.w.Write(p)
	return n, failed("UploadChunk", err)
}

// ReadFrom writes all of src, which io.Copy uses: it reads straight into the chunks.
func (b *BlobWriter) ReadFrom(src io.Reader) (int64, error) {
	n, err := b.w.ReadFrom(src)
	return n, failed("UploadChunk", err)
}

// Checkpoint is the state as of the last chunk that the registry acknowledged. It may be called at any time, after an error too.
func (b *BlobWriter) Checkpoint() (Checkpoint, error) {
	cp, ok := b.w.Checkpoint()
	if !ok {
		return Checkpoint{}, failed("Checkpoint", errors.New("there is no upload yet"))
	}
	return checkpoint(b.session.r.name, cp), nil
}

// Commit sends what is left, completes the upload and returns the descriptor of the blob. After an error the upload is still open, unless
// it is lost: Cancel it, or Close the writer and go on from the Checkpoint.
// Errors: ErrUploadLost, ErrDigestMismatch, ErrSizeMismatch, ErrClosed, *Error.
func (b *BlobWriter) Commit() (ocispec.Descriptor, error) {
	res, err := b.w.Commit()
	if err != nil {
		return ocispec.Descriptor{}, failed("CompleteUpload", err)
	}
	b.meter.SetDone()
	b.finish()
	return blobDescriptor(b.options.MediaType, res.Digest, res.Size), nil
}

// Cancel ends the writer and the upload at the registry, with one request. After Commit or Close it does nothing, so it can be deferred.
func (b *BlobWriter) Cancel() error {
	if b.ended {
		return nil
	}
	b.w.Abort(b.ctx, false)
	b.finish()
	return nil
}

// Close ends the writer, once the chunks that are full have been sent, and leaves the upload at the registry open: ResumeUpload goes on
// with it from the last Checkpoint, also after an error, which is what a chunk failed with. After Commit or Cancel it does nothing.
func (b *BlobWriter) Close() error {
	if b.ended {
		return nil
	}
	err := b.w.Close()
	b.finish()
	return failed("UploadChunk", err)
}

// String names the repository.
func (b *BlobWriter) String() string { return "acr.BlobWriter(" + b.session.r.name + ")" }

// GoString is String.
func (b *BlobWriter) GoString() string { return b.String() }

// Format prints String for every verb.
func (b *BlobWriter) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }
