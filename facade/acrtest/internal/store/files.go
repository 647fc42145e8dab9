package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// copySize is the size of the buffers between a connection and a file.
const copySize = 256 << 10

var copyBuffers sync.Pool

// takeBuffer takes a buffer that goes back to copyBuffers.
func takeBuffer() *[]byte {
	if b, ok := copyBuffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, copySize)
	return &b
}

// file is content in a file of its own.
type file struct{ path string }

func (f file) open() (ContentReader, error) {
	h, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrBlobUnknown // deleted since it was looked up
	}
	if err != nil {
		return nil, err
	}
	return openFile{h}, nil
}

// discard removes the file. A file that cannot be removed now is removed at the next start, when
// nothing refers to it.
func (f file) discard() { _ = os.Remove(f.path) }

type openFile struct{ *os.File }

func (f openFile) WriteRange(w io.Writer, off, n int64) error {
	b := takeBuffer()
	defer copyBuffers.Put(b)
	// The section hides the file's WriteTo, which would go round the buffer.
	_, err := io.CopyBuffer(onlyWriter{w}, io.NewSectionReader(f, off, n), *b)
	return err
}

// onlyWriter hides ReadFrom, which would go round the buffer.
type onlyWriter struct{ io.Writer }

// tree is the layout of a directory.
type tree struct {
	root string
	disk disk
}

func (t tree) journal() string         { return filepath.Join(t.root, "journal") }
func (t tree) lock() string            { return filepath.Join(t.root, "lock") }
func (t tree) key() string             { return filepath.Join(t.root, keyFile) }
func (t tree) blobs() string           { return filepath.Join(t.root, "blobs") }
func (t tree) uploads() string         { return filepath.Join(t.root, "uploads") }
func (t tree) upload(id string) string { return filepath.Join(t.root, "uploads", id) }
func (t tree) session(id string) string {
	return filepath.Join(t.root, "uploads", id+".json")
}

func (t tree) blob(d digest.Digest) string {
	hex := d.Encoded()
	return filepath.Join(t.root, "blobs", d.Algorithm().String(), hex[:2], hex)
}

// claim makes sure that a directory without a journal, in which nothing is known and all of it
// would be swept away, holds nothing under the names that are to be used.
func (t tree) claim() error {
	if _, err := os.Lstat(t.journal()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range []string{t.blobs(), t.uploads()} {
		entries, err := os.ReadDir(dir)
		if len(entries) > 0 {
			return fmt.Errorf("%w: %s", ErrForeign, filepath.Join(dir, entries[0].Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if info, err := os.Lstat(t.key()); err == nil && info.Size() != keySize {
		return fmt.Errorf("%w: %s", ErrForeign, t.key())
	}
	return nil
}

func (t tree) make() error {
	for _, dir := range []string{t.blobs(), t.uploads()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// replace writes a file whole or not at all: into a temporary file beside it that then takes its
// name. For that the disk is not waited for.
func (d disk) replace(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error is the one that matters
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	// Here the disk is waited for in any case: the new file takes the place of one that holds
	// everything.
	if err := (disk{wait: true, waited: d.waited}).file(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// sweep removes the blob files that known does not want, and gives the sizes of the others.
func (t tree) sweep(known func(digest.Digest) bool) (sizes map[digest.Digest]int64, err error) {
	root, err := os.OpenRoot(t.blobs())
	if err != nil {
		return nil, err
	}
	sizes = make(map[digest.Digest]int64)
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		algorithm, _, _ := strings.Cut(name, "/")
		d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), e.Name())
		if !known(d) {
			return root.Remove(name)
		}
		info, err := e.Info()
		if err == nil {
			sizes[d] = info.Size()
		}
		return err
	})
	return sizes, errors.Join(err, root.Close())
}
