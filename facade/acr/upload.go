package acr

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// cheapUpload is the size up to which an upload costs no more than asking whether the blob exists.
const cheapUpload = 1 << 20

// UploadBlob uploads the rest of src as a blob and returns its descriptor.
//
// If src is an io.ReadSeeker of known size (such as *os.File), it is read in place and can be read
// again if the upload session is lost. On success its offset is at the end, otherwise where it
// was. Any other reader is buffered (two chunks) and cannot be read again. If ctx ends while src
// is blocked in Read or ReadAt, UploadBlob returns all the same; the blocked call stays behind in
// a goroutine, and what it returns is discarded.
//
// If UploadBlob succeeds, the registry has accepted the content under the returned digest. The
// client does not check afterwards that the registry has the blob, because a replica may not know
// it yet. To check it, call [Repository.HeadBlob].
//
// A blob of at most 4 MiB usually costs one request. A larger one costs one request to open the
// upload, one for each chunk, and one to complete it. That one carries the last chunk if it has at
// most 4 MiB, or with TrustDigest. If Digest is set, and the blob has more than 1 MiB or its size
// is unknown, a HEAD request comes first; if the repository already has the blob, nothing else is
// sent.
//
// If the upload fails, UploadBlob cancels it at the registry with one more request, unless it can
// be resumed; see Checkpoint in [UploadOptions]. It waits up to five seconds for that request. If
// ctx has ended, it waits only a moment: the request then continues in the background for up to
// five seconds, so the upload may still be open when UploadBlob returns. If the request fails, the
// registry drops the upload by itself later.
//
// Errors:
//   - [ErrUploadLost] if the session was lost and src cannot be read again, if the session was lost
//     three times, or if five consecutive requests made no progress
//   - [ErrDigestMismatch] if the content has another digest than UploadOptions.Digest
//   - [ErrSizeMismatch] if the content has another size than UploadOptions.Size
//   - [ErrSourceChanged] if src changed while it was read, or since the checkpoint in
//     UploadOptions.Resume
//   - [ErrStalled] if the registry accepts no data for a long time, several times in a row
//   - [ErrInvalidArgument] if the repository name, src or an option is invalid, or if the
//     checkpoint in UploadOptions.Resume belongs to another registry or repository
//   - [*Error] if the registry refuses the upload
//   - the error of src if reading from it fails
func (r *Repository) UploadBlob(ctx context.Context, src io.Reader, opts *UploadOptions) (desc ocispec.Descriptor, err error) {
	o := given(opts)
	if err := cmp.Or(r.bad(), checkContext(ctx)); err != nil {
		return desc, err
	}
	if isNil(src) {
		return desc, badArgument("src", "", "it is nil")
	}
	if err := o.check(r.client); err != nil {
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
	if o.Resume != nil {
		if err := o.Resume.isOf(source); err != nil {
			return desc, failed("UploadBlob", err)
		}
	}
	m, ctx, stop := r.newMeter(ctx, "UploadBlob", o.Digest, o.Progress, o.Checkpoint != nil)
	defer func() { stop(err) }()
	s := &uploadSession{r: r}
	res, err := s.upload(ctx, source, &o, m)
	if err != nil {
		_ = source.leave(0) // there is an error to tell of already
		return desc, failed("UploadBlob", err)
	}
	m.SetDone()
	return blobDescriptor(o.MediaType, res.Digest, res.Size), source.leave(res.Size)
}

// upload avoids sending the blob if possible, and otherwise sends it.
func (s *uploadSession) upload(ctx context.Context, src *source, o *UploadOptions, m *meter) (transfer.Result, error) {
	t := o.transfer(ctx, s, src, m)
	if src.size != transfer.Unknown && t.Size != transfer.Unknown && src.size != t.Size {
		return transfer.Result{}, contradicts(ErrSizeMismatch, "stated %d bytes, the source has %d", t.Size, src.size)
	}
	if o.Digest != "" && o.Resume == nil {
		size, err := s.reuse(ctx, src, t, o, m)
		if err != nil || size != transfer.Unknown {
			return transfer.Result{Digest: o.Digest, Size: size}, err
		}
	}
	if src.at != nil {
		t.Check, t.InPlace = src.unchanged, src.inPlace()
		return transfer.Upload(ctx, s, src.at, src.size, t)
	}
	return s.stream(ctx, src.r, o, t)
}

// reuse looks for the blob in the repository, or mounts it, and returns its size. It returns
// transfer.Unknown if the blob has to be uploaded.
func (s *uploadSession) reuse(ctx context.Context, src *source, t *transfer.UploadOptions, o *UploadOptions, m *meter) (int64, error) {
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
			switch size, err = s.head(ctx, o.Digest); {
			case hopeless(ctx, err):
				return size, err
			case err != nil:
				return transfer.Unknown, nil //nolint:nilerr // uploading it tells its size as well
			}
		}
		m.SetMounted(size)
		return size, nil
	}
	t.Begin = open
	if size != transfer.Unknown && size <= cheapUpload {
		return transfer.Unknown, nil
	}
	seen, err := s.r.lookAtBlob(staying(ctx), o.Digest, scopePullPush(s.r.name)...)
	there := seen.size
	_, unreachable := errors.AsType[*storageError](err)
	switch {
	case hopeless(ctx, err):
	case unreachable && size != transfer.Unknown:
		there, err = size, nil // the registry has it, and the size is known
		m.SetSkipped(there)
	case err != nil || !seen.named && there != size:
		return transfer.Unknown, nil //nolint:nilerr // uploading is right in any case, and says what is wrong if something is
	case size != transfer.Unknown && there != size:
		err = contradicts(ErrSizeMismatch, "the repository has a blob of %d bytes with this digest, expected %d", there, size)
	default:
		m.SetSkipped(there)
	}
	if open != nil {
		s.abandon(ctx, open.Location)
	}
	return there, err
}

// stream uploads a source that can be read only once.
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
		_ = w.Abort(ctx, err != nil && transfer.Resumable(err)) // no other call runs
	}()
	if _, err = w.ReadStream(r); err != nil {
		return res, err
	}
	return w.Commit()
}

// hopeless reports whether an upload would fail as the question for the blob did: the context has ended, the sign-in was refused, or the
// registry asks for fewer requests. Any other refusal is of the question alone: an identity that may only push is refused it.
func hopeless(ctx context.Context, err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err != nil && ctx.Err() != nil
	}
	_, signIn := tokenCalls[e.Operation]
	return signIn || e.StatusCode == http.StatusTooManyRequests && e.Operation != opGetBlobContent.id
}

// source is the reader of an UploadBlob, and what it can do.
type source struct {
	r     io.Reader
	at    io.ReaderAt // from the reader's offset; nil if it can be read only once
	size  int64       // from that offset
	seek  io.Seeker
	start int64
	file  *os.File
	stat  fs.FileInfo
}

// inspect finds out what the reader can do.
func inspect(r io.Reader) (*source, error) {
	once := &source{r: r, size: transfer.Unknown}
	seeker, ok := r.(io.Seeker)
	if !ok {
		return once, nil
	}
	s := &source{r: r, seek: seeker}
	file, isFile := r.(*os.File)
	if isFile {
		info, err := file.Stat()
		if err != nil {
			return nil, fmt.Errorf("reading the size of the source: %w", err)
		}
		if !info.Mode().IsRegular() {
			return once, nil // pipes and terminals have the methods, but cannot seek
		}
		s.file, s.stat = file, info
	}
	var err error
	if s.start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
		return once, nil //nolint:nilerr // it cannot seek
	}
	end := int64(0)
	if isFile {
		if end = s.stat.Size(); end == 0 {
			once.stat = s.stat // a file that was emptied since a checkpoint is told by its time
			return once, nil   // empty, or a file without a size, as in /proc
		}
	} else {
		if end, err = seeker.Seek(0, io.SeekEnd); err != nil {
			return once, nil //nolint:nilerr // as above
		}
		if _, err = seeker.Seek(s.start, io.SeekStart); err != nil {
			return nil, fmt.Errorf("the source cannot seek back to its offset: %w", err)
		}
		if end < 0 || s.start < 0 {
			return nil, errors.New("the source states a negative offset")
		}
	}
	s.size = max(end-s.start, 0)
	if at, ok := r.(io.ReaderAt); ok {
		s.at = io.NewSectionReader(at, s.start, s.size)
		return s, nil
	}
	s.at = &seekAt{r: r, s: seeker, start: s.start}
	return s, nil
}

// inPlace reports whether reading the source costs little more than a copy: it is in memory, or the system reads
// the file ahead. Any other reader may have a network behind it.
func (s *source) inPlace() bool {
	switch s.r.(type) {
	case *os.File, *bytes.Reader, *strings.Reader:
		return true
	}
	return false
}

// unchanged fails if the source has changed since the upload began: the blob would not be the one
// that was hashed.
func (s *source) unchanged() error {
	if s.file != nil {
		now, err := s.file.Stat()
		if err != nil {
			return fmt.Errorf("reading the size of the source: %w", err)
		}
		switch {
		case now.Size() != s.stat.Size():
			return fmt.Errorf("%w: it had %d bytes and has %d", ErrSourceChanged, s.stat.Size(), now.Size())
		case !now.ModTime().Equal(s.stat.ModTime()):
			return fmt.Errorf("%w: its modification time was %s and is %s", ErrSourceChanged, stamp(s.stat.ModTime()), stamp(now.ModTime()))
		}
		return nil
	}
	if sized, ok := s.r.(interface{ Size() int64 }); ok && sized.Size()-s.start > s.size {
		return fmt.Errorf("%w: it had %d bytes and has %d", ErrSourceChanged, s.start+s.size, sized.Size())
	}
	return nil
}

// stamp is a time in an error.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// modified returns when the source was last written if it is a file, otherwise zero. It is in UTC,
// since JSON leaves out the seconds of odd time zones.
func (s *source) modified() time.Time {
	if s.stat == nil || s.stat.ModTime().Year() > 9999 { // JSON has no such year
		return time.Time{}
	}
	return s.stat.ModTime().UTC()
}

// leave sets the offset of the reader to that after reading size bytes.
func (s *source) leave(size int64) error {
	if s.at == nil {
		return nil
	}
	if a, ok := s.at.(*seekAt); ok {
		if !a.mu.TryLock() {
			return nil // still blocked in a read that the upload has given up
		}
		defer a.mu.Unlock()
	}
	if _, err := s.seek.Seek(s.start+size, io.SeekStart); err != nil {
		return failed("UploadBlob", fmt.Errorf("the blob is uploaded, but the source cannot be moved to its end: %w", err))
	}
	return nil
}

// seekAt implements io.ReaderAt with a reader that can only seek.
type seekAt struct {
	mu    sync.Mutex
	r     io.Reader
	s     io.Seeker
	start int64
}

// ReadAt implements io.ReaderAt.
func (a *seekAt) ReadAt(p []byte, off int64) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.s.Seek(a.start+off, io.SeekStart); err != nil {
		return 0, err
	}
	n := 0
	for empty := 0; n < len(p); {
		m, err := a.r.Read(p[n:])
		if m < 0 || m > len(p)-n {
			return -1, nil // transfer says what is wrong with that
		}
		if n += m; n == len(p) {
			break
		}
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty++; empty >= maxEmptyReads {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// maxEmptyReads is how often in a row a source may read nothing without an error.
const maxEmptyReads = 100

// spoolFile is a temporary file.
type spoolFile struct{ *os.File }

// newSpool creates a temporary file that only its owner can read.
func newSpool(dir string) (*spoolFile, error) {
	f, err := os.CreateTemp(dir, ".acr-spool-*")
	if err != nil {
		return nil, fmt.Errorf("creating the temporary file of UploadOptions.Spool: %w", err)
	}
	_ = os.Remove(f.Name()) // if the system allows it, nothing is left even if the process is killed
	return &spoolFile{f}, nil
}

// remove closes and deletes the file.
func (f *spoolFile) remove() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}
