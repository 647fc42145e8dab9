package acr

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var errBlobSketch = errors.New("acr: not written yet")

// UploadOptions are the choices of UploadBlob, StartUpload and ResumeUpload. The zero value, or nil, is right for most uploads.
type UploadOptions struct {
	// Digest the content must have, where it is known. The upload is then left out when the repository has the blob, and refused before
	// it is completed (ErrDigestMismatch) when the content turns out to be something else. sha256 or sha512. Empty: computed, sha256.
	Digest digest.Digest

	// TrustDigest leaves the check of Digest to the registry, which refuses other content when the upload is completed: a source that
	// can be read again is then not hashed here. For content that comes from a content-addressed store.
	TrustDigest bool

	// Size the content must have, where it is known; other content is refused before the upload is completed (ErrSizeMismatch).
	// 0: whatever the source holds.
	Size int64

	// MountFrom names repositories of the same registry that may hold the blob already: with Digest given they are tried in turn, at the
	// cost of one request each, before anything is sent. The identity needs pull rights there; a repository it cannot read is passed over.
	MountFrom []string

	// MediaType of the descriptor that comes back. Empty: application/octet-stream.
	MediaType string

	// ChunkSize is the number of bytes of one request. 0: 16 MiB for a source that can be read again, growing while the registry takes
	// each chunk in about a second; 8 MiB for a stream, of which three are held in memory. A registry that refuses a chunk as too large
	// halves it, one that names a least size (at most 64 MiB) raises it.
	ChunkSize int64

	// Spool copies a stream to a temporary file in SpoolDir (empty: the system's), so that even what cannot be read twice survives the
	// loss of an upload session. Sources that can be read again are never spooled.
	Spool    bool
	SpoolDir string

	// Checkpoint, where given, is called with what another process needs to go on, each time the registry has acknowledged a chunk.
	// Like Progress it is called from one goroutine.
	Checkpoint func(Checkpoint)

	// Resume goes on with an interrupted UploadBlob of the same source; the source is read from its current offset as before. When the
	// registry no longer knows the upload, it starts anew.
	Resume *Checkpoint

	// Progress, where given, is told how the upload goes: a few times a second and at its end, always from one goroutine. What it panics
	// with is raised again in the caller of the upload.
	Progress func(Progress)

	// PinAddress sends everything to the address that the registry's name resolved to first: a geo-replicated registry whose name moves
	// in the middle of a push otherwise spreads it over replicas that do not know of each other yet.
	PinAddress bool
}

// UploadBlob uploads the rest of src as a blob and returns its descriptor.
//
// A source that can be read again (an io.ReaderAt or io.ReadSeeker whose size can be told: *os.File, *bytes.Reader, *io.SectionReader)
// is sent from where it lies and survives the loss of an upload session; it is left at its end on success and where it was otherwise.
// Any other reader is read ahead into three buffers of a chunk. A small blob costs one request, a large one two and one for each chunk.
//
// Errors: ErrUploadLost when the session was lost and the source cannot be read again (or was lost three times), ErrDigestMismatch,
// ErrSizeMismatch, ErrSourceChanged, *Error. When it fails, the upload is cancelled at the registry, unless Checkpoint is set.
func (r *Repository) UploadBlob(ctx context.Context, src io.Reader, opts *UploadOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errBlobSketch
}

// StatBlob returns the descriptor (digest and size) of a blob. It costs one HEAD request. Errors: ErrBlobUnknown, ErrInvalidDigest.
func (r *Repository) StatBlob(ctx context.Context, dgst digest.Digest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errBlobSketch
}

// MountBlob makes a blob of another repository of the registry one of this repository, without moving a byte. It costs one request, a
// second one when the registry declines. Errors: ErrNotMounted, ErrInvalidDigest, ErrInvalidName.
func (r *Repository) MountBlob(ctx context.Context, dgst digest.Digest, from string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errBlobSketch
}

// DeleteBlob deletes a blob from the repository. It costs one request. Errors: ErrBlobUnknown, ErrInvalidDigest.
func (r *Repository) DeleteBlob(ctx context.Context, dgst digest.Digest) error { return errBlobSketch }

// Progress is how far an upload or download has got. Counts are bytes, from the start of the transfer.
type Progress struct {
	Total    int64 // size of the blob, -1 while it is not known
	Offset   int64 // acknowledged by the registry (upload), written and hashed in order (download)
	Sent     int64 // handed to the connection (upload) or received from it (download), repetitions included
	Resent   int64 // of these, bytes that had been sent or received before
	Hashed   int64 // hashed here
	Restarts int   // how many times it began again at the first byte
	Skipped  bool  // the repository had the blob already
	Mounted  bool  // the blob was mounted from another repository
	Done     bool  // the last event, of a transfer that succeeded
}
