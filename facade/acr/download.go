package acr

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// DownloadOptions are the choices of DownloadBlob and DownloadBlobFile. The zero value, or nil, is right for most downloads.
type DownloadOptions struct {
	// Size the blob must have, as its descriptor says; an answer of another size is refused before the first byte (ErrSizeMismatch).
	// 0: whatever the registry says.
	Size int64

	// Concurrency is how many ranges are in flight at most, each on a connection of its own. 0: 10. A connection that is fast enough by
	// itself gets no company. 1: one after the other.
	Concurrency int

	// PartSize is the size of a range; Concurrency+2 of them are held in memory at most. 0: 4 MiB.
	PartSize int64

	// Progress, where given, is told how the download goes: a few times a second and at its end, always from one goroutine. What it
	// panics with is raised again in the caller of the download.
	Progress func(Progress)

	// NoSync leaves out the flush of a downloaded file to stable storage before it gets its name.
	NoSync bool

	// NoResume removes what a broken-off DownloadBlobFile has got, instead of keeping it for the next call.
	NoResume bool
}

// DownloadBlob writes a blob to dst, at the offsets it has in the blob, and returns its descriptor once size and digest agree. What has
// been written when it fails is not to be used. The registry is asked once for a link to the content; the ranges share it.
// Errors: ErrDigestMismatch, ErrSizeMismatch, ErrBlobUnknown, ErrInvalidDigest, what dst returns.
func (r *Repository) DownloadBlob(ctx context.Context, dgst digest.Digest, dst io.WriterAt, opts *DownloadOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errBlobSketch
}

// DownloadBlobFile is DownloadBlob to a file, which appears under its name only when it is complete, verified and flushed. It is written
// to a hidden file beside it, readable to its owner alone; a broken-off download is continued by the next call.
func (r *Repository) DownloadBlobFile(ctx context.Context, dgst digest.Digest, path string, opts *DownloadOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errBlobSketch
}
