package acr

import (
	"context"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

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
	// each chunk in about a second; 8 MiB for a stream, of which two are held in memory. A registry that refuses a chunk as too large
	// halves it, one that names a least size (at most 64 MiB) raises it.
	ChunkSize int64

	// Spool copies a stream to a temporary file in SpoolDir (empty: the system's), so that even what cannot be read twice survives the
	// loss of an upload session. Sources that can be read again are never spooled.
	Spool    bool
	SpoolDir string

	// Checkpoint, where given, is called with what another process needs to go on, whenever the registry has acknowledged a chunk or a part
	// of one, and when the upload was resumed: its location has then changed, so keep the newest in place of the one before. While it
	// runs the upload goes on; of the checkpoints meanwhile only the newest is told. Like Progress it is called from one goroutine, and
	// what it panics with is raised again. With it, an upload that fails after the first checkpoint is left open at the registry, unless
	// it is lost or its content is wrong.
	Checkpoint func(Checkpoint)

	// Resume goes on with an interrupted UploadBlob of the same source, which must be one that can be read again; it is read from its
	// current offset as before. That costs one request. Where the registry no longer knows the upload, it starts anew. For a stream see
	// ResumeUpload.
	Resume *Checkpoint

	// Progress, where given, is told how the upload goes: a few times a second and at its end, always from one goroutine. What it panics
	// with is raised again in the caller of the upload.
	Progress func(Progress)
}

// check refuses what is wrong with the options.
func (o *UploadOptions) check() error {
	if o.Digest != "" {
		if err := checkDigest(o.Digest); err != nil {
			return err
		}
	}
	if err := notNegative("Size", o.Size); err != nil {
		return err
	}
	if err := notNegative("ChunkSize", o.ChunkSize); err != nil {
		return err
	}
	for _, from := range o.MountFrom {
		if err := checkName(from); err != nil {
			return err
		}
	}
	return nil
}

// transfer turns the options into those of the loop.
func (o *UploadOptions) transfer(ctx context.Context, s *uploadSession, m *meter) *transfer.UploadOptions {
	t := &transfer.UploadOptions{
		ChunkSize: o.ChunkSize,
		Digest:    o.Digest,
		Trust:     o.TrustDigest && o.Digest != "",
		Size:      transfer.Unknown,
		Meter:     &m.Meter,
		Limits:    &s.r.client.limits,
		Reporter:  m.reporter,
		Tune:      transfer.TuningOf(ctx),
	}
	if o.Size > 0 || o.Digest != "" && o.Digest == o.Digest.Algorithm().FromBytes(nil) {
		t.Size = o.Size
	}
	if f := o.Checkpoint; f != nil {
		name := s.r.name
		t.Acked = func(cp transfer.Checkpoint) { f(checkpoint(name, cp)) }
	}
	if o.Resume != nil {
		t.Resume = o.Resume.transfer()
	}
	return t
}
