package images

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxArchiveEntries bounds how many files of an archive are remembered.
const maxArchiveEntries = 1 << 20

// OpenArchive opens a layout in a tar archive for reading. The archive may be one of WriteArchive,
// "docker save", "skopeo copy ... oci-archive:" or "oras backup", or a layout directory packed with
// tar. OpenArchive reads only the headers of its files. If it is compressed with gzip, OpenArchive
// first unpacks it to a temporary file, which is removed when the layout is closed.
//
// Errors:
//   - [ErrNotLayout] if the file is not such an archive (those of docker before version 25 have no
//     manifests), if it is a pipe or a device, or if it is compressed and unpacks to more than 256
//     MiB and more than a hundred times its size
//   - *[fs.PathError] if the file cannot be opened
func OpenArchive(name string) (*Layout, error) { return openArchive(context.Background(), name) }

func openArchive(ctx context.Context, name string) (*Layout, error) {
	l := &Layout{path: name, verified: map[digest.Digest]fileState{}}
	f, err := openRegular(name)
	if err != nil {
		return nil, l.fail(err)
	}
	a := &archive{file: f, entries: map[string]archiveEntry{}}
	l.files = a
	if err = a.unzip(ctx); err == nil {
		err = a.scan()
	}
	if err == nil {
		err = l.load()
	}
	if err != nil {
		_ = a.Close() // it was only read
		return nil, l.fail(err)
	}
	return l, nil
}

// openRegular opens a file. It does not wait for the other end of a pipe.
func openRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: an archive must be a regular file, not a pipe, device or directory", ErrNotLayout)
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, err
	}
	return f, nil
}

// unzip puts a temporary file in the place of one that is compressed with gzip.
func (a *archive) unzip(ctx context.Context) error {
	magic := make([]byte, 2)
	n, err := a.file.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(magic[:n]) != "\x1f\x8b" {
		return nil
	}
	zip, err := gzip.NewReader(a.file)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotLayout, err)
	}
	temp, err := os.CreateTemp("", ".images-*.tar")
	if err != nil {
		return err
	}
	_ = os.Remove(temp.Name()) // where the system allows it, nothing is left even if the process is killed
	packed := a.file
	defer func() { _ = packed.Close() }() // it was only read
	a.file, a.temporary = temp, true
	if err := unpack(ctx, temp, zip, packed); err != nil {
		return err
	}
	_, err = temp.Seek(0, io.SeekStart)
	return err
}

// Limits on what an archive may unpack to: a small file could fill the disk. Layers that are
// compressed themselves do not shrink, and others rarely to a tenth.
const (
	maxGrowth   = 100
	growthAbove = 256 << 20 // a smaller one may grow more
)

// unpack copies what a compressed file unpacks to.
func unpack(ctx context.Context, temp io.Writer, zip io.Reader, packed io.Seeker) error {
	for out := int64(0); ; {
		n, err := io.CopyN(temp, zip, 4<<20)
		out += n
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case isFileError(err): // the disk is full, for instance
			return err
		case err != nil:
			return fmt.Errorf("%w: it cannot be unpacked: %w", ErrNotLayout, err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		in, err := packed.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if out > growthAbove && out > maxGrowth*in {
			return fmt.Errorf("%w: it unpacks to more than %d times its size; if that is expected, unpack it first", ErrNotLayout, maxGrowth)
		}
	}
}

// archive is a tar archive whose headers have been read.
type archive struct {
	file      *os.File
	temporary bool
	entries   map[string]archiveEntry
}

// archiveEntry is where a file lies in the archive.
type archiveEntry struct {
	offset, size int64
	refuse       string // why it is not read
}

// scan reads the headers. The position behind a header is where archive/tar has left the file: the
// size of an entry may stand in an extended header of its own, so that no header tells its own
// length.
func (a *archive) scan() error {
	r := tar.NewReader(a.file)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: the archive cannot be read: %w", ErrNotLayout, err)
		}
		name := path.Clean(h.Name)
		if !isLayoutFile(name) {
			continue // nothing that is needed, whatever it is
		}
		if len(a.entries) >= maxArchiveEntries {
			return fmt.Errorf("%w: it has more than %d files", ErrNotLayout, maxArchiveEntries)
		}
		e := archiveEntry{size: h.Size}
		if e.offset, err = a.file.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
		e.refuse = a.refusal(name, h)
		a.entries[name] = e
	}
}

// refusal says why an entry is not read, if it is not.
func (a *archive) refusal(name string, h *tar.Header) string {
	switch {
	case h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.map"] != "":
		return "is stored as a sparse file"
	case h.Typeflag != tar.TypeReg:
		return "is not a regular file"
	}
	if _, twice := a.entries[name]; twice && path.Dir(name) == "." {
		return "is there twice" // blobs are told apart by their digest, these are not
	}
	return ""
}

// isLayoutFile tells whether a name is one of those that a layout consists of.
func isLayoutFile(name string) bool {
	switch name {
	case ocispec.ImageLayoutFile, ocispec.ImageIndexFile, "manifest.json":
		return true
	}
	return strings.HasPrefix(name, ocispec.ImageBlobsDir+"/") && strings.Count(name, "/") == 2
}

// open implements layoutFiles.
func (a *archive) open(name string) (*layoutFile, error) {
	e, ok := a.entries[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if e.refuse != "" {
		return nil, fmt.Errorf("%w: %s %s", ErrNotLayout, name, e.refuse)
	}
	return &layoutFile{SectionReader: io.NewSectionReader(a.file, e.offset, e.size), state: fileState{size: e.size, modTime: e.offset}}, nil
}

// Close implements io.Closer.
func (a *archive) Close() error {
	err := a.file.Close()
	if a.temporary {
		_ = os.Remove(a.file.Name()) // where it could not be removed while it was open
	}
	return err
}
