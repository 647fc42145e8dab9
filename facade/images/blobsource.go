package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// blobSource is a blob of the source, opened when it is first read: a blob that the target has, or
// can mount, never is. It keeps the error of the source, so that it can be told from one of the
// target.
type blobSource interface {
	io.ReadCloser
	failure() error
}

// open returns a blob of the source. Blobs of layouts, and small ones of repositories, can be read
// again: an upload survives the loss of its session.
func (j *job) open(ctx context.Context, b *blobNode) blobSource {
	d := b.descriptor
	l, isLayout := j.from.(*Layout)
	switch {
	case isLayout:
		return &seekableSource{size: d.Size, load: func() (io.ReaderAt, io.Closer, error) {
			f, err := l.openBlob(d.Digest, d.Size)
			return f, f, l.fail(err)
		}}
	case j.source != nil && d.Size <= wholeBlob:
		return &seekableSource{size: d.Size, load: func() (io.ReaderAt, io.Closer, error) { return j.readWhole(ctx, d) }}
	case j.source != nil:
		return &streamSource{lazyReader: lazyReader{open: func() (io.ReadCloser, error) {
			r, err := j.source.GetBlob(ctx, d.Digest, &acr.GetBlobOptions{Size: d.Size})
			return r, orasError(err)
		}}}
	}
	return &streamSource{lazyReader: lazyReader{open: func() (io.ReadCloser, error) {
		r, err := j.from.Fetch(ctx, d)
		if err != nil {
			return nil, err
		}
		return &verifyingReader{r: r, closer: r, verifier: d.Digest.Verifier(), left: d.Size, digest: d.Digest}, nil
	}}}
}

// readWhole reads a small blob of a repository.
func (j *job) readWhole(ctx context.Context, d ocispec.Descriptor) (io.ReaderAt, io.Closer, error) {
	r, err := j.source.GetBlob(ctx, d.Digest, &acr.GetBlobOptions{Size: d.Size})
	if err != nil {
		return nil, nil, orasError(err)
	}
	var content bytes.Buffer
	content.Grow(int(d.Size) + bytes.MinRead)
	_, err = content.ReadFrom(io.LimitReader(r, d.Size+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, nil, orasError(err)
	}
	return bytes.NewReader(content.Bytes()), io.NopCloser(nil), nil
}

// seekableSource can be read at any offset, more than once.
type seekableSource struct {
	size int64
	load func() (io.ReaderAt, io.Closer, error)

	once   sync.Once
	at     io.ReaderAt
	closer io.Closer
	mu     sync.Mutex
	err    error
	pos    int64
}

// ReadAt implements io.ReaderAt.
func (s *seekableSource) ReadAt(p []byte, off int64) (int, error) {
	s.once.Do(func() {
		at, closer, err := s.load()
		if err != nil {
			s.note(err)
			return
		}
		s.at, s.closer = at, closer
	})
	if err := s.failure(); err != nil {
		return 0, err
	}
	if s.at == nil {
		return 0, fs.ErrClosed
	}
	n, err := s.at.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.note(err)
	}
	return n, err
}

func (s *seekableSource) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

func (s *seekableSource) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Read implements io.Reader.
func (s *seekableSource) Read(p []byte) (int, error) {
	if s.pos >= s.size {
		return 0, io.EOF
	}
	n, err := s.ReadAt(p[:min(int64(len(p)), s.size-s.pos)], s.pos)
	s.pos += int64(n)
	return n, err
}

// Seek implements io.Seeker. It reads nothing.
func (s *seekableSource) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.pos
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek to %d: %w", offset, fs.ErrInvalid)
	}
	s.pos = offset
	return offset, nil
}

// Close closes what was opened. An upload whose context ended may still be in ReadAt.
func (s *seekableSource) Close() error {
	s.once.Do(func() {}) // nothing is loaded any more; and it waits for a load that has begun
	if s.closer == nil {
		return nil
	}
	return s.closer.Close()
}

// streamSource can be read once.
type streamSource struct {
	lazyReader

	mu     sync.Mutex
	failed error
}

// Read implements io.Reader.
func (s *streamSource) Read(p []byte) (int, error) {
	n, err := s.lazyReader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed == nil {
			s.failed = err
		}
	}
	return n, err
}

func (s *streamSource) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// isFileError tells whether an error is of a file and not of a registry.
func isFileError(err error) bool {
	_, isPath := errors.AsType[*fs.PathError](err)
	_, isLink := errors.AsType[*os.LinkError](err)
	return isPath || isLink
}
