package acr

import (
	"context"
	"errors"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// cheapUpload is the size up to which an upload costs no more than asking whether the blob is there.
const cheapUpload = 1 << 20

// UploadBlob uploads the rest of src as a blob and returns its descriptor.
//
// A source that can be read again (an io.ReadSeeker whose size can be told: *os.File, *bytes.Reader, *io.SectionReader) is sent from where
// it lies, by ReadAt where it has that, and survives the loss of an upload session; it is left at its end on success and where it was
// otherwise. Any other reader is read ahead into two buffers of a chunk. A small blob costs one request, a large one two and one for each
// chunk; with Digest given, first a HEAD that may spare them.
//
// Errors: ErrUploadLost when the session was lost and the source cannot be read again (or was lost three times), or when five requests in a
// row brought no byte further; ErrDigestMismatch, ErrSizeMismatch, ErrSourceChanged, ErrStalled, *Error; what the source or, before there
// is a session, the network failed with. The upload is then cancelled at the registry, unless a Checkpoint was told of it or it was resumed.
func (r *Repository) UploadBlob(ctx context.Context, src io.Reader, opts *UploadOptions) (desc ocispec.Descriptor, err error) {
	var o UploadOptions
	if opts != nil {
		o = *opts
	}
	if r.err != nil {
		return desc, r.err
	}
	if src == nil {
		return desc, badArgument("src", "", "it is nil")
	}
	if err := o.check(); err != nil {
		return desc, err
	}
	if o.Resume != nil {
		if err := o.Resume.check(r); err != nil {
			return desc, err
		}
	}
	source, err := inspect(src)
	if err != nil {
		return desc, failed("UploadBlob", err)
	}
	m, ctx, stop := newMeter(ctx, o.Progress, o.Checkpoint != nil)
	defer stop()
	s := &uploadSession{r: r}
	res, err := s.upload(ctx, source, &o, m)
	if err != nil {
		_ = source.leave(0) // there is an error to tell of already
		return desc, failed("UploadBlob", err)
	}
	m.SetDone()
	return blobDescriptor(o.MediaType, res.Digest, res.Size), source.leave(res.Size)
}

// upload looks for ways around sending the blob, and sends it.
func (s *uploadSession) upload(ctx context.Context, src *source, o *UploadOptions, m *meter) (transfer.Result, error) {
	t := o.transfer(ctx, s, m)
	if src.size != transfer.Unknown && t.Size != transfer.Unknown && src.size != t.Size {
		return transfer.Result{}, contradicts(ErrSizeMismatch, "stated %d bytes, the source has %d", t.Size, src.size)
	}
	if o.Digest != "" && o.Resume == nil {
		size, err := s.without(ctx, src, t, o, m)
		if err != nil || size != transfer.Unknown {
			return transfer.Result{Digest: o.Digest, Size: size}, err
		}
	}
	if src.at != nil {
		t.Check = src.unchanged
		return transfer.Upload(ctx, s, src.at, src.size, t)
	}
	return s.stream(ctx, src.r, o, t)
}

// without finds the blob in the repository, or mounts it there, and returns its size. transfer.Unknown: it has to be uploaded.
func (s *uploadSession) without(ctx context.Context, src *source, t *transfer.UploadOptions, o *UploadOptions, m *meter) (int64, error) {
	open, mounted, err := s.mountFrom(ctx, o.Digest, o.MountFrom)
	if err != nil {
		return transfer.Unknown, err
	}
	size := src.size
	if size == transfer.Unknown {
		size = t.Size
	}
	if mounted {
		if size == transfer.Unknown {
			if size, err = s.head(ctx, o.Digest); err != nil {
				return transfer.Unknown, err
			}
		}
		m.SetMounted(size)
		return size, nil
	}
	t.Begin = open
	if size != transfer.Unknown && size <= cheapUpload {
		return transfer.Unknown, nil
	}
	there, err := s.head(ctx, o.Digest)
	switch {
	case errors.Is(err, ErrNotFound):
		return transfer.Unknown, nil
	case err == nil && size != transfer.Unknown && there != size:
		err = contradicts(ErrSizeMismatch, "the repository has %d bytes with the digest, %d were stated", there, size)
	case err == nil:
		m.SetSkipped(there)
	}
	if open != nil {
		s.abandon(ctx, open.Location)
	}
	return there, err
}

// stream uploads what can be read only once.
func (s *uploadSession) stream(ctx context.Context, r io.Reader, o *UploadOptions, t *transfer.UploadOptions) (res transfer.Result, err error) {
	if o.Resume != nil {
		return res, badArgument("Resume", "", "the source cannot be read again; for a stream use ResumeUpload")
	}
	var spool transfer.Spool
	if o.Spool {
		f, err := newSpool(o.SpoolDir)
		if err != nil {
			if t.Begin != nil {
				s.abandon(ctx, t.Begin.Location)
			}
			return res, err
		}
		defer f.remove()
		spool = f
	}
	w, err := transfer.NewWriter(ctx, s, t, spool)
	if err != nil {
		return res, err
	}
	defer func() {
		cp, _ := w.Checkpoint()
		told := o.Checkpoint != nil && cp.Offset > 0
		w.Abort(ctx, err != nil && told && transfer.Resumable(err))
	}()
	if err = w.ReadStream(r); err != nil {
		return res, err
	}
	return w.Commit()
}
