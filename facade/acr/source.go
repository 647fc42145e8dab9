package acr

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

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
			return nil, fmt.Errorf("looking at the source: %w", err)
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
			return once, nil // empty, or a file without a size, as in /proc
		}
	} else {
		if end, err = seeker.Seek(0, io.SeekEnd); err != nil {
			return once, nil //nolint:nilerr // as above
		}
		if _, err = seeker.Seek(s.start, io.SeekStart); err != nil {
			return nil, fmt.Errorf("the source cannot seek back to its offset: %w", err)
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

// unchanged fails if the source has changed since the upload began: the blob would not be the one
// that was hashed.
func (s *source) unchanged() error {
	if s.file != nil {
		now, err := s.file.Stat()
		if err != nil {
			return fmt.Errorf("looking at the source: %w", err)
		}
		if now.Size() != s.stat.Size() || !now.ModTime().Equal(s.stat.ModTime()) {
			return fmt.Errorf("%w: it had %d bytes and has %d", ErrSourceChanged, s.stat.Size(), now.Size())
		}
		return nil
	}
	if sized, ok := s.r.(interface{ Size() int64 }); ok && sized.Size()-s.start > s.size {
		return fmt.Errorf("%w: it had %d bytes and has %d", ErrSourceChanged, s.start+s.size, sized.Size())
	}
	return nil
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
	n, err := io.ReadFull(a.r, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// spoolFile is a temporary file.
type spoolFile struct{ *os.File }

// newSpool creates a temporary file that only its owner can read.
func newSpool(dir string) (*spoolFile, error) {
	f, err := os.CreateTemp(dir, ".acr-spool-*")
	if err != nil {
		return nil, fmt.Errorf("spooling: %w", err)
	}
	_ = os.Remove(f.Name()) // if the system allows it, nothing is left even if the process is killed
	return &spoolFile{f}, nil
}

// remove closes and deletes the file.
func (f *spoolFile) remove() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}
