package acr

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Checkpoint is what another process needs to go on with an upload. It can be serialised as JSON. It holds no credential; its Location
// names the registry's session, which anyone who may push to the repository could go on with: keep it as you keep the content.
type Checkpoint struct {
	Repository string           `json:"repository"`
	Location   string           `json:"location"`
	Offset     int64            `json:"offset"`    // acknowledged by the registry
	Algorithm  digest.Algorithm `json:"algorithm"` // of HashState
	HashState  []byte           `json:"hashState"` // of the bytes before Offset
}

// BlobWriter uploads what is written to it. It is made by StartUpload or ResumeUpload and must be ended with Commit or Cancel. Its
// methods may not be called at the same time, except Checkpoint.
type BlobWriter struct{}

// StartUpload opens an upload. ctx governs all that the writer does until Commit or Cancel. It costs one request. Of the options
// Resume, MountFrom and TrustDigest have no effect.
func (r *Repository) StartUpload(ctx context.Context, opts *UploadOptions) (*BlobWriter, error) {
	return nil, errBlobSketch
}

// ResumeUpload goes on with an upload that another writer, perhaps of another process, has begun. The registry is asked how far it got.
// Offset tells from where on the content is to be written. Errors: ErrUploadLost when the registry no longer knows the upload, or has less
// of it than the checkpoint says.
func (r *Repository) ResumeUpload(ctx context.Context, cp Checkpoint, opts *UploadOptions) (*BlobWriter, error) {
	return nil, errBlobSketch
}

// Offset is how much content the writer has taken, what it was resumed at included.
func (w *BlobWriter) Offset() int64 { return 0 }

// Write takes p; it is sent, once a chunk is full, while the next one is being written.
func (w *BlobWriter) Write(p []byte) (int, error) { return 0, errBlobSketch }

// ReadFrom writes all of src, without copying it once more.
func (w *BlobWriter) ReadFrom(src io.Reader) (int64, error) { return 0, errBlobSketch }

// Checkpoint is the state as of the last chunk that the registry acknowledged. It may be called at any time.
func (w *BlobWriter) Checkpoint() (Checkpoint, error) { return Checkpoint{}, errBlobSketch }

// Commit completes the upload and returns the descriptor of the blob.
func (w *BlobWriter) Commit() (ocispec.Descriptor, error) { return ocispec.Descriptor{}, errBlobSketch }

// Cancel ends the upload at the registry. After Commit it does nothing, so it can be deferred.
func (w *BlobWriter) Cancel() error { return errBlobSketch }
