package acr

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/partial"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// DownloadOptions are the choices of DownloadBlob and DownloadBlobFile. The zero value, or nil, is right for most downloads.
type DownloadOptions struct {
	// Size the blob must have, as its descriptor says; an answer of another size is refused before the first byte (ErrSizeMismatch).
	// 0: whatever the registry says.
	Size int64

	// Concurrency is how many ranges are in flight at most, each on a connection of its own; where the first connection proves fast enough
	// (about 250 MB/s) it stays the only one. 0: 10. 1: one stream.
	Concurrency int

	// PartSize is the size of a range in bytes; Concurrency+2 of them are held in memory at most. 0: 4 MiB.
	PartSize int64

	// Progress, where given, is told how the download goes: a few times a second and at its end, always from one goroutine. What it
	// panics with is raised again in the caller of the download.
	Progress func(Progress)

	// NoSync leaves out the flush of a downloaded file to stable storage before it gets its name.
	NoSync bool

	// NoResume lets DownloadBlobFile begin anew, and remove what it has got where it breaks off, instead of keeping it for the next call.
	NoResume bool
}

// transfer turns the options into those of the loop.
func (o *DownloadOptions) transfer(dgst digest.Digest, m *meter) (*transfer.DownloadOptions, error) {
	size, err := expectedSize(o.Size)
	if err != nil {
		return nil, err
	}
	if err := notNegative("Concurrency", int64(o.Concurrency)); err != nil {
		return nil, err
	}
	if err := notNegative("PartSize", o.PartSize); err != nil {
		return nil, err
	}
	return &transfer.DownloadOptions{Digest: dgst, Size: size, Workers: o.Concurrency, Part: o.PartSize, Meter: &m.Meter}, nil
}

// DownloadBlob writes a blob to dst, at the offsets it has in the blob, and returns its descriptor once size and digest agree. What has been
// written when it fails is not to be used. The registry is asked once for a link to the content, and storage once for each range; by default
// up to 48 MiB are held in memory.
//
// If dst has a method Truncate(size int64) error, as *os.File has, dst is cut to the size of the blob. Otherwise bytes that dst held behind
// the blob before the call stay there; the call fails with ErrSizeMismatch if it wrote such bytes itself, from an answer that turned out to
// be wrong.
//
// Errors: ErrDigestMismatch, ErrSizeMismatch, ErrStalled, ErrBlobUnknown, ErrInvalidArgument, what dst returns.
func (r *Repository) DownloadBlob(ctx context.Context, dgst digest.Digest, dst io.WriterAt, opts *DownloadOptions) (ocispec.Descriptor, error) {
	var o DownloadOptions
	if opts != nil {
		o = *opts
	}
	if err := r.checkBlob(dgst); err != nil {
		return ocispec.Descriptor{}, err
	}
	if dst == nil {
		return ocispec.Descriptor{}, badArgument("dst", "", "it is nil")
	}
	m, ctx, stop := newMeter(ctx, o.Progress, false)
	defer stop()
	t, err := o.transfer(dgst, m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	size, err := transfer.Download(ctx, &blobSource{r: r, dgst: dgst}, transfer.NewPlain(dst), t)
	if err != nil {
		return ocispec.Descriptor{}, failed("DownloadBlob", err)
	}
	return blobDescriptor("", dgst, size), nil
}

// DownloadBlobFile is DownloadBlob to a file, which appears under its name, in place of a file or symbolic link that was there, only when it
// is complete, verified and flushed. Until then it is a hidden file in the same directory. It is readable to its owner alone (mode 0600), and
// stays so.
//
// A download that broke off leaves the hidden file, and beside it a small one that says how far it is. The next call for the same path and
// digest continues it: what is there is hashed again first, so that only what is right counts. On Windows, AIX and Solaris nothing is left,
// and the next call begins anew. Two calls for the same path at once share nothing.
// Errors: those of DownloadBlob, *os.PathError, *os.LinkError.
func (r *Repository) DownloadBlobFile(ctx context.Context, dgst digest.Digest, path string, opts *DownloadOptions) (desc ocispec.Descriptor, err error) {
	var o DownloadOptions
	if opts != nil {
		o = *opts
	}
	if err := r.checkBlob(dgst); err != nil {
		return desc, err
	}
	m, ctx, stop := newMeter(ctx, o.Progress, false)
	defer stop()
	t, err := o.transfer(dgst, m)
	if err != nil {
		return desc, err
	}
	f, err := partial.Open(path, dgst, partial.Options{Sync: !o.NoSync, Resume: !o.NoResume})
	if err != nil {
		return desc, failed("DownloadBlobFile", err)
	}
	complete := false
	defer func() {
		if !complete {
			f.Leave(err)
		}
	}()
	size, err := transfer.Download(ctx, &blobSource{r: r, dgst: dgst}, f, t)
	if err != nil {
		return desc, failed("DownloadBlobFile", err)
	}
	complete = true
	return blobDescriptor("", dgst, size), nil
}
