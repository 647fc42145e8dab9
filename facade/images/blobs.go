package images

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"

	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
)

// What a blob on its way holds in memory. The sum is kept below memoryBudget; the garbage collector
// lets the process grow to twice that.
const (
	memoryBudget  = 24 << 20
	wholeBlob     = 2 << 20  // up to here a blob from a repository is read into memory, so that it can be sent again
	streamMemory  = 16 << 20 // two chunks of a larger one
	rangeSize     = 2 << 20  // of a blob that is downloaded in ranges
	rangesAtOnce  = 6
	sourceMemory  = 4 << 20 // of a blob that package acr reads from a file; it sends a smaller one as a whole
	fileMemory    = 256 << 10
	maxBlobTries  = 3       // of a blob whose source cannot be read again
	progressAbove = 1 << 20 // smaller blobs are counted when they are done
)

// memory is how much a blob holds on its way.
func (j *job) memory(b *blobNode) int64 {
	size := b.descriptor.Size
	switch {
	case j.source != nil && j.layout != nil:
		return min(size, (rangesAtOnce+2)*rangeSize)
	case j.source != nil && size <= wholeBlob:
		return 2 * size // as it was read, and as it is sent
	case j.target != nil && !isLayout(j.from):
		return streamMemory
	case j.target != nil:
		return min(size, sourceMemory)
	default:
		return fileMemory
	}
}

func isLayout(v any) bool {
	_, ok := v.(*Layout)
	return ok
}

// sendBlobs brings the blobs to the target that it may lack: large ones first, so that none is left
// over at the end.
func (j *job) sendBlobs(ctx context.Context) error {
	var todo []*blobNode
	for _, b := range j.blobs {
		if b.todo {
			todo = append(todo, b)
		}
	}
	slices.SortStableFunc(todo, func(a, b *blobNode) int { return cmp.Compare(b.descriptor.Size, a.descriptor.Size) })
	q := newQueue(todo, memoryBudget, j.memory)
	workers := make([]struct{}, min(j.Concurrency, len(todo)))
	return each(ctx, max(len(workers), 1), workers, func(ctx context.Context, _ struct{}) error {
		stop := context.AfterFunc(ctx, q.close)
		defer stop()
		for {
			b, ok := q.next()
			if !ok {
				return nil
			}
			err := j.sendBlob(ctx, b)
			q.done(b)
			if err != nil {
				q.close()
				return err
			}
		}
	})
}

// sendBlob brings one blob to the target.
func (j *job) sendBlob(ctx context.Context, b *blobNode) error {
	var err error
	switch {
	case j.target != nil:
		err = j.upload(ctx, b)
	default:
		err = j.write(ctx, b)
	}
	if err != nil {
		return err
	}
	j.meter.finished()
	return nil
}

// upload brings a blob to a repository.
func (j *job) upload(ctx context.Context, b *blobNode) error {
	for try := 1; ; try++ {
		src := j.open(ctx, b)
		count := j.meter.blob(b.descriptor.Size)
		_, err := j.target.UploadBlob(ctx, src, &acr.UploadOptions{
			Digest: b.descriptor.Digest, Size: b.descriptor.Size, MediaType: b.descriptor.MediaType, MountFrom: j.mountFrom,
			Progress: count.progress,
		})
		closeErr, sourceErr := src.Close(), src.failure()
		switch {
		case err == nil && closeErr == nil:
			b.action = count.outcome()
			count.end(b.action)
			return nil
		case sourceErr != nil:
			count.abort()
			return j.fault(FromSource, b.role, b.descriptor, incomplete(sourceErr))
		case err == nil:
			count.abort()
			return j.fault(FromSource, b.role, b.descriptor, closeErr)
		case !errors.Is(err, acr.ErrUploadLost) || try == maxBlobTries || ctx.Err() != nil:
			count.abort()
			return j.fault(AtTarget, b.role, b.descriptor, err)
		}
		count.restart() // the session is lost, and what was read cannot be read again
	}
}

// incomplete says that a manifest names something that the source lacks.
func incomplete(err error) error {
	if errors.Is(err, errdef.ErrNotFound) && !errors.Is(err, ErrIncomplete) {
		return &incompleteError{err}
	}
	return err
}

type incompleteError struct{ err error }

func (e *incompleteError) Error() string { return ErrIncomplete.Error() + ": " + e.err.Error() }

func (e *incompleteError) Unwrap() []error { return []error{ErrIncomplete, e.err} }

// write brings a blob to a layout or to a target of oras-go.
func (j *job) write(ctx context.Context, b *blobNode) error {
	there, err := j.has(ctx, b)
	if err != nil {
		return err
	}
	if there {
		b.action = Present
		j.meter.present(b.descriptor.Size)
		return nil
	}
	count := j.meter.blob(b.descriptor.Size)
	if j.source != nil && j.layout != nil {
		err = j.download(ctx, b, count)
	} else {
		err = j.push(ctx, b, count)
	}
	if err != nil {
		count.abort()
		return err
	}
	b.action = Send
	count.end(Send)
	return nil
}

// download gets a blob of a repository into a layout. What an earlier call got of it is continued.
func (j *job) download(ctx context.Context, b *blobNode, count *blobMeter) error {
	name := blobPath(b.descriptor.Digest)
	if err := j.layout.dir.directory(path.Dir(name)); err != nil {
		return j.fault(AtTarget, b.role, b.descriptor, err)
	}
	o := &acr.DownloadFileOptions{
		Root: j.layout.dir.root, Size: b.descriptor.Size, Concurrency: rangesAtOnce, PartSize: rangeSize, NoSync: j.layout.noSync,
	}
	if b.descriptor.Size > progressAbove {
		o.Progress = count.progress
	}
	_, err := j.source.DownloadBlobFile(ctx, b.descriptor.Digest, name, o)
	if err != nil {
		if isFileError(err) {
			if errors.Is(err, fs.ErrNotExist) {
				err = notFound("a partial file %s", removedMeanwhile)
			}
			return j.fault(AtTarget, b.role, b.descriptor, err)
		}
		return j.fault(FromSource, b.role, b.descriptor, incomplete(orasError(err)))
	}
	_ = j.layout.dir.root.Chmod(name, j.layout.dir.mode) // some file systems have no modes
	return j.fault(AtTarget, b.role, b.descriptor, j.layout.noteWritten(b.descriptor.Digest))
}

// push reads a blob from the source and pushes it.
func (j *job) push(ctx context.Context, b *blobNode, count *blobMeter) error {
	src := j.open(ctx, b)
	reader := &countingReader{r: src, tell: count.read}
	var err error
	if j.layout != nil {
		err = j.layout.writeBlob(ctx, b.descriptor, reader)
	} else if err = j.to.Push(ctx, b.descriptor, reader); errors.Is(err, errdef.ErrAlreadyExists) {
		err = nil
	}
	closeErr := src.Close()
	if sourceErr := src.failure(); sourceErr != nil {
		return j.fault(FromSource, b.role, b.descriptor, incomplete(sourceErr))
	}
	if err == nil && closeErr != nil {
		return j.fault(FromSource, b.role, b.descriptor, closeErr)
	}
	return j.fault(AtTarget, b.role, b.descriptor, err)
}

// countingReader tells how much was read.
type countingReader struct {
	r    io.Reader
	tell func(n int)
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.tell(n)
	return n, err
}
