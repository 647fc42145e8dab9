package acr

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// UploadOptions are the options of [Repository.UploadBlob]. The zero value (or nil) is right for
// most uploads.
type UploadOptions struct {
	// Digest is the expected digest, sha256 or sha512. A blob of more than 1 MiB or of unknown size
	// is not uploaded if the repository already has it; with Resume, this is checked only if the
	// upload cannot be continued. If the content has another digest, the upload fails with
	// [ErrDigestMismatch] before it is completed. Default: the sha256 of the content is computed.
	Digest digest.Digest

	// TrustDigest skips computing the digest of a source that can be read again, and sends Digest
	// instead. The registry refuses content with another digest. Use it for content from a
	// content-addressed store. Default: the digest is computed.
	TrustDigest bool

	// Size is the expected size in bytes. If the content has another size, the upload fails with
	// [ErrSizeMismatch] before it is completed. Default: any size.
	Size int64

	// MountFrom lists repositories of the same registry that may have the blob. They are tried in
	// order before anything is sent, with one request each. It requires Digest. The identity must
	// be allowed to pull from them; others are skipped. Default: none.
	MountFrom []string

	// MediaType is the media type in the returned descriptor. Default: application/octet-stream.
	MediaType string

	// ChunkSize is the size of each request body in bytes. If the registry refuses a chunk as too
	// large, it is halved; if the registry requires a minimum (of at most 64 MiB), it is increased.
	// At most 4 GiB. Default: 16 MiB for a source that can be read again, doubling while a chunk
	// takes less than about a second; 8 MiB for a stream, of which two chunks are held in memory.
	ChunkSize int64

	// Spool copies a stream to a temporary file in SpoolDir, so that it can be read again if the
	// upload session is lost. Sources that can be read again are not copied. Default: streams are
	// not copied.
	Spool bool
	// SpoolDir is the directory of the temporary file. Default: that of the system.
	SpoolDir string

	// Checkpoint, if not nil, is called with the state another process needs to resume the upload:
	// when an upload session begins, after each acknowledged chunk and after a resume (the location
	// changes, so always keep the latest one). The upload continues while Checkpoint runs; if
	// several checkpoints occur in that time, only the latest is delivered. All calls are made from
	// one goroutine, the one that calls Progress. If Checkpoint panics, the upload panics with the
	// same value. If the context ends while Checkpoint runs, the upload may return before that call
	// does; no call begins after the upload has returned.
	//
	// If UploadBlob fails, the upload stays open at the registry if Checkpoint is set and a chunk
	// was acknowledged, or if it was continued with Resume. In all other cases, and always if the
	// content is wrong, it is canceled, and its checkpoints are of no use. For the upload of a
	// [BlobWriter] see [BlobWriter.Commit].
	Checkpoint func(Checkpoint)

	// Resume continues an interrupted UploadBlob of the same source. Set the source to the offset
	// where the blob begins, as for a new upload: UploadBlob itself skips what the registry already
	// has. It must be a source that can be read again; for a stream see [Repository.ResumeUpload].
	// It costs one request. If the registry no longer accepts the checkpoint (see [Checkpoint]),
	// the upload starts from the beginning, and Progress.Restarts counts that. But if the upload
	// was completed in the meantime, nothing is sent again; that costs one more request, and is
	// noticed only if Digest is set or at most 5 MiB follow the checkpoint. If the source has
	// another size, or is an *os.File with another modification time, UploadBlob fails with
	// [ErrSourceChanged] and sends nothing. Other changes are not noticed unless Digest is set.
	// Default: a new upload.
	Resume *Checkpoint

	// Progress, if not nil, is called about ten times a second during the upload and once at the
	// end. All calls are made from one goroutine. If Progress panics, the upload panics with the
	// same value. If the context ends while Progress runs, the upload may return before that call
	// does; no call begins after the upload has returned.
	Progress func(Progress)
}

// StartUploadOptions are the options of [Repository.StartUpload]. ChunkSize and the callbacks work
// as in [UploadOptions].
type StartUploadOptions struct {
	// Digest is the expected digest of the content. Default: the sha256 is computed.
	Digest digest.Digest
	// Size is the expected size of the content in bytes. Default: any size.
	Size int64
	// MediaType is the media type in the descriptor that Commit returns. Default:
	// application/octet-stream.
	MediaType string
	// ChunkSize is the size of each request body in bytes. At most 4 GiB. Default: 8 MiB.
	ChunkSize int64
	// Spool copies the content to a temporary file in SpoolDir, so that it can be sent again if the
	// upload session is lost. Default: it is not copied.
	Spool bool
	// SpoolDir is the directory of the temporary file. Default: that of the system.
	SpoolDir string
	// Checkpoint, if not nil, is called with the state that [Repository.ResumeUpload] needs.
	Checkpoint func(Checkpoint)
	// Progress, if not nil, is called while the content is sent, and once at the end. It must not
	// call methods of the writer other than Checkpoint; to end the upload, cancel the context.
	Progress func(Progress)
}

// upload returns the same options for UploadBlob.
func (o StartUploadOptions) upload() UploadOptions {
	return UploadOptions{
		Digest: o.Digest, Size: o.Size, MediaType: o.MediaType, ChunkSize: o.ChunkSize, Spool: o.Spool, SpoolDir: o.SpoolDir,
		Checkpoint: o.Checkpoint, Progress: o.Progress,
	}
}

// ResumeUploadOptions are the options of [Repository.ResumeUpload]. ChunkSize and the callbacks
// work as in [UploadOptions]; Digest and Size are those of the whole content.
type ResumeUploadOptions struct {
	// Digest is the expected digest of the content. Default: the sha256 is computed.
	Digest digest.Digest
	// Size is the expected size of the content in bytes. Default: any size.
	Size int64
	// MediaType is the media type in the descriptor that Commit returns. Default:
	// application/octet-stream.
	MediaType string
	// ChunkSize is the size of each request body in bytes. At most 4 GiB. Default: 8 MiB.
	ChunkSize int64
	// Checkpoint, if not nil, is called with the state that [Repository.ResumeUpload] needs.
	Checkpoint func(Checkpoint)
	// Progress, if not nil, is called while the content is sent, and once at the end. It must not
	// call methods of the writer other than Checkpoint; to end the upload, cancel the context.
	Progress func(Progress)
}

// upload returns the same options for UploadBlob.
func (o ResumeUploadOptions) upload() UploadOptions {
	return UploadOptions{
		Digest: o.Digest, Size: o.Size, MediaType: o.MediaType, ChunkSize: o.ChunkSize, Checkpoint: o.Checkpoint, Progress: o.Progress,
	}
}

// maxChunk is more than anybody needs: two chunks of a stream are held in memory.
const maxChunk = 4 << 30

// check checks the options.
func (o *UploadOptions) check(c *Client) error {
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
	if o.ChunkSize > maxChunk {
		return badArgument("ChunkSize", strconv.FormatInt(o.ChunkSize, 10), "it must be at most 4 GiB")
	}
	if len(o.MountFrom) > 0 && o.Digest == "" {
		return badArgument("MountFrom", o.MountFrom[0], "it needs the Digest of the blob")
	}
	for _, from := range o.MountFrom {
		if err := c.checkName(from); err != nil {
			return err
		}
	}
	return nil
}

// transfer returns the options of the loop. The source is nil if the content is written piece by
// piece.
func (o *UploadOptions) transfer(ctx context.Context, s *uploadSession, src *source, m *meter) *transfer.UploadOptions {
	t := &transfer.UploadOptions{
		ChunkSize: o.ChunkSize,
		Digest:    o.Digest,
		Trust:     o.TrustDigest && o.Digest != "",
		Size:      transfer.Unknown,
		Meter:     &m.Meter,
		Limits:    &s.r.client.limits,
		Reporter:  m.reporter,
		Tune:      transfer.TuningOf(ctx),

		CommitTime: s.r.client.options.ResponseTimeouts.Write,
	}
	if o.Size > 0 || o.Digest != "" && o.Digest == o.Digest.Algorithm().FromBytes(nil) {
		t.Size = o.Size
	}
	if f := o.Checkpoint; f != nil {
		name := s.r.name
		t.Acked = func(cp transfer.Checkpoint) { f(checkpoint(name, cp).of(src)) }
	}
	if o.Resume != nil {
		t.Resume = o.Resume.transfer()
	}
	return t
}

// Checkpoint is the state that another process needs to resume an upload, with
// [UploadOptions].Resume or [Repository.ResumeUpload]. Its JSON form has less than 1 KiB plus the
// Location. It contains no credential, but anyone who may push to the repository can continue the
// upload with it, so protect it like the content. It is valid while the registry keeps the
// unfinished upload; ACR does not document how long. It is void once the registry has taken a
// whole further chunk, even if the response never came, because the Location is another one then.
type Checkpoint struct {
	Repository string           `json:"repository"`
	Location   string           `json:"location"`
	Offset     int64            `json:"offset"`    // acknowledged by the registry
	Algorithm  digest.Algorithm `json:"algorithm"` // hash function of HashState
	HashState  []byte           `json:"hashState"` // state of the hash at Offset

	// Size is the size of the blob, and Modified the modification time of the source if that is an
	// *os.File. Both are zero if they are not known. UploadBlob refuses to resume with a source of
	// another size or time. If you are sure that a file with another time has the same content, for
	// example a copy, set Modified to zero.
	Size     int64     `json:"size,omitzero"`
	Modified time.Time `json:"modified,omitzero"`
}

// check fails if the checkpoint does not belong to an upload to the repository.
func (cp *Checkpoint) check(r *Repository) error {
	switch {
	case cp.Repository == "":
		return badArgument("checkpoint", "", "it does not name a repository")
	case cp.Repository != r.name:
		return badArgument("checkpoint", cp.Repository, "it belongs to another repository")
	case cp.Location == "":
		return badArgument("checkpoint", "", "its location is missing")
	case cp.Offset < 0:
		return badArgument("checkpoint", strconv.FormatInt(cp.Offset, 10), "its offset must not be negative")
	}
	return cp.checkOrigin(r.client.login)
}

// checkOrigin fails if the location is at another registry. The error has only the hosts: the path and query let anybody who may push
// continue the upload.
func (cp *Checkpoint) checkOrigin(login *url.URL) error {
	u, err := login.Parse(cp.Location)
	if err != nil || u.Host == "" {
		return nil //nolint:nilerr // wire.CheckUploadURL says what is wrong with it
	}
	if at, want := wire.OriginOf(u), wire.OriginOf(login); at != want {
		return foreignCheckpoint{&ArgumentError{Argument: "checkpoint", Value: at.String(), Reason: "it belongs to another registry, not to " + want.String()}}
	}
	return nil
}

// foreignCheckpoint is the error for a checkpoint of another registry. Its location is not trusted either.
type foreignCheckpoint struct{ *ArgumentError }

// Unwrap returns the ArgumentError.
func (f foreignCheckpoint) Unwrap() error { return f.ArgumentError }

// Is matches ErrUntrusted.
func (foreignCheckpoint) Is(target error) bool { return target == ErrUntrusted }

// of adds what is known of the source.
func (cp Checkpoint) of(src *source) Checkpoint {
	if src != nil {
		cp.Size, cp.Modified = max(src.size, 0), src.modified()
	}
	return cp
}

// isOf fails if the source has changed since the checkpoint: the blob would be the beginning of one
// file and the rest of another.
func (cp *Checkpoint) isOf(src *source) error {
	if cp.Size > 0 && src.size != transfer.Unknown && src.size != cp.Size {
		return fmt.Errorf("%w: the checkpoint is of a blob of %d bytes, the source has %d; upload it without Resume", ErrSourceChanged, cp.Size, src.size)
	}
	if now := src.modified(); !now.IsZero() && !cp.Modified.IsZero() && !now.Equal(cp.Modified) {
		return fmt.Errorf("%w: the checkpoint is of the file as of %s, it was written at %s; upload it without Resume",
			ErrSourceChanged, stamp(cp.Modified), stamp(now))
	}
	return nil
}

// checkpoint returns the public form.
func checkpoint(repository string, cp transfer.Checkpoint) Checkpoint {
	return Checkpoint{Repository: repository, Location: cp.Location, Offset: cp.Offset, Algorithm: cp.Algorithm, HashState: cp.HashState}
}

// transfer returns the form of the loop.
func (cp *Checkpoint) transfer() *transfer.Checkpoint {
	return &transfer.Checkpoint{Location: cp.Location, Offset: cp.Offset, Algorithm: cp.Algorithm, HashState: cp.HashState}
}
