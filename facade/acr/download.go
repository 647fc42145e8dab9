package acr

import (
	"context"
	"io"
	"os"
	"strconv"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/partial"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// DownloadOptions are the options of [Repository.DownloadBlob].
type DownloadOptions struct {
	// Size is the expected size of the blob in bytes. A response of another size fails with
	// [ErrSizeMismatch] before anything is written. Default: any size.
	Size int64

	// Concurrency is the maximum number of ranges that are requested at the same time, each on a
	// connection of its own. The download starts with one connection and adds more only if it is
	// slower than about 250 MB/s. With 1 the blob is read as one stream. At most 100.
	// Default: 10.
	Concurrency int

	// PartSize is the size of a range in bytes. At most Concurrency+2 ranges are held in memory.
	// From 1 KiB to 1 GiB. Default: 4 MiB.
	PartSize int64

	// Progress, if not nil, is called about ten times a second during the download and once at the
	// end. All calls are made from one goroutine. If Progress panics, the download panics with the
	// same value. If the context ends while Progress runs, the download may return before that call
	// does; no call begins after the download has returned.
	Progress func(Progress)
}

// DownloadFileOptions are the options of [Repository.DownloadBlobFile].
type DownloadFileOptions struct {
	// Size is that of [DownloadOptions].
	Size int64
	// Concurrency is that of [DownloadOptions].
	Concurrency int
	// PartSize is that of [DownloadOptions].
	PartSize int64
	// Progress is that of [DownloadOptions].
	Progress func(Progress)

	// Root, if not nil, is the directory that path is relative to. No file outside of it is read or
	// written, whatever symbolic links are in it. Default: path is relative to the working
	// directory, or absolute.
	Root *os.Root

	// NoSync does not flush the file to stable storage before it is renamed. Default: the file is
	// flushed.
	NoSync bool

	// NoResume starts from the beginning, and deletes the partial file if the download fails.
	// Default: a partial file is kept and continued.
	NoResume bool
}

// The client opens no more connections than that. A smaller part costs less than its request does, and
// nobody has the memory for some larger ones.
const (
	maxConcurrency = 100
	minPart        = 1 << 10
	maxPart        = 1 << 30
)

// download returns the options that both kinds of downloads have.
func (o *DownloadFileOptions) download() *DownloadOptions {
	return &DownloadOptions{Size: o.Size, Concurrency: o.Concurrency, PartSize: o.PartSize, Progress: o.Progress}
}

// transfer returns the options of the loop.
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
	if o.Concurrency > maxConcurrency {
		return nil, badArgument("Concurrency", strconv.Itoa(o.Concurrency), "it must be at most 100")
	}
	if o.PartSize > 0 && (o.PartSize < minPart || o.PartSize > maxPart) {
		return nil, badArgument("PartSize", strconv.FormatInt(o.PartSize, 10), "it must be 0 or from 1 KiB to 1 GiB")
	}
	return &transfer.DownloadOptions{Digest: dgst, Size: size, Workers: o.Concurrency, Part: o.PartSize, Meter: &m.Meter}, nil
}

// DownloadBlob writes a blob to dst and returns its descriptor when size and digest are right. If
// it fails, do not use what was written. It costs one request to the registry and one to storage;
// if it adds connections, each further range costs one more request to storage. The empty blob
// costs none, as with [Repository.GetBlob]. By default it takes at most 48 MiB of memory.
//
// If dst has a method Truncate(size int64) error, as *os.File has, dst is cut to the size of the
// blob. Otherwise dst keeps what it had after the end of the blob; if a wrong response has been
// written beyond that end, DownloadBlob fails with [ErrSizeMismatch].
//
// If ctx ends while dst is blocked in WriteAt, DownloadBlob returns all the same; the blocked call
// stays behind in a goroutine.
//
// Errors:
//   - [ErrBlobUnknown] if the blob does not exist (also matches [ErrNotFound])
//   - [ErrDigestMismatch] if the content has another digest
//   - [ErrSizeMismatch] if the content is longer or shorter than stated
//   - [ErrStalled] if no data arrives for a long time, several times in a row
//   - [ErrInvalidArgument] if the repository name, digest, dst or an option is invalid
//   - the error of dst if writing to it fails
func (r *Repository) DownloadBlob(ctx context.Context, dgst digest.Digest, dst io.WriterAt, opts *DownloadOptions) (desc ocispec.Descriptor, err error) {
	o := given(opts)
	if err := r.checkBlob(ctx, dgst); err != nil {
		return ocispec.Descriptor{}, err
	}
	if isNil(dst) {
		return ocispec.Descriptor{}, badArgument("dst", "", "it is nil")
	}
	m, ctx, stop := r.newMeter(ctx, "DownloadBlob", dgst, o.Progress, false)
	defer func() { stop(err) }()
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

// DownloadBlobFile downloads a blob to a file. The file appears at path only when it is complete,
// verified and flushed; it replaces an existing file, or a symbolic link to one. Until then the
// data is in a hidden file in the same directory. The file has mode 0600. Requests and memory are
// those of [Repository.DownloadBlob].
//
// A failed download leaves a hidden .partial file; the next call for the same path and digest
// hashes it again and continues. On Windows, AIX and Solaris nothing is left, and the next call
// starts from the beginning. Concurrent calls for the same path use separate hidden files.
//
// Errors:
//   - the errors of [Repository.DownloadBlob], if the download fails
//   - [*os.PathError] or [*os.LinkError] if a file cannot be created, written or renamed, or if
//     path is a directory, a pipe or a device, or leads out of Root
func (r *Repository) DownloadBlobFile(ctx context.Context, dgst digest.Digest, path string, opts *DownloadFileOptions) (desc ocispec.Descriptor, err error) {
	o := given(opts)
	if err := r.checkBlob(ctx, dgst); err != nil {
		return desc, err
	}
	m, ctx, stop := r.newMeter(ctx, "DownloadBlobFile", dgst, o.Progress, false)
	defer func() { stop(err) }()
	t, err := o.download().transfer(dgst, m)
	if err != nil {
		return desc, err
	}
	f, err := partial.Open(path, dgst, partial.Options{Sync: !o.NoSync, Resume: !o.NoResume, Root: o.Root})
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
