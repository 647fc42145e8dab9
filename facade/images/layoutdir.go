package images

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var errReadOnly = fmt.Errorf("the layout is an archive, which is read only: %w", errors.ErrUnsupported)

// layoutDir is the directory of a layout. Everything goes through its os.Root, which no link leads
// out of; links inside it are refused too, so that no file has two names.
type layoutDir struct {
	root *os.Root
	mode fs.FileMode // of blobs
}

// openLayoutDir opens the directory, and makes an empty layout of it if there is nothing in it and
// create says so.
func openLayoutDir(dir string, create bool) (*layoutDir, error) {
	if create {
		if err := os.MkdirAll(dir, 0o755); err != nil { // as a umask allows: images are rarely secret
			return nil, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	d := &layoutDir{root: root}
	if create {
		if err := d.create(); err != nil {
			_ = root.Close() // there is an error to tell of already
			return nil, err
		}
	}
	d.mode = d.blobMode()
	return d, nil
}

// blobMode returns the mode of new blobs: whoever may read the layout may read them.
func (d *layoutDir) blobMode() fs.FileMode {
	info, err := d.root.Lstat(ocispec.ImageLayoutFile)
	if err != nil {
		return 0o600
	}
	return info.Mode().Perm()&0o644 | 0o600
}

// create writes the files of an empty layout. The marker comes last: until then the directory is no
// layout. Other processes may be doing the same.
func (d *layoutDir) create() error {
	if d.has(ocispec.ImageLayoutFile) {
		return nil
	}
	if err := d.mayCreate(); err != nil {
		return err
	}
	unlock, err := d.lock(context.Background())
	if err != nil {
		return err
	}
	defer unlock()
	if d.has(ocispec.ImageLayoutFile) {
		return nil // another process was faster
	}
	index, err := newLayoutIndex().bytes()
	if err != nil {
		return err
	}
	marker, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	if err := d.directory(ocispec.ImageBlobsDir); err != nil {
		return err
	}
	if !d.has(ocispec.ImageIndexFile) {
		if err := d.replace(ocispec.ImageIndexFile, index, 0o644, true); err != nil {
			return err
		}
	}
	return d.replace(ocispec.ImageLayoutFile, marker, 0o644, true)
}

// has tells whether something is there under a name.
func (d *layoutDir) has(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// mayCreate refuses a directory with anything else in it than what a call that was killed may have
// left, or another process may be writing.
func (d *layoutDir) mayCreate() error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	_ = f.Close() // it was only read
	if err != nil {
		return err
	}
	for _, name := range names {
		switch {
		case name == ocispec.ImageLayoutFile, name == ocispec.ImageBlobsDir, name == lockName, strings.HasPrefix(name, tempPrefix):
		case name == ocispec.ImageIndexFile:
			if _, err := readIndex(d); err != nil {
				return err // somebody else's file of that name
			}
		default:
			return fmt.Errorf("%w: the directory is not empty: it has %q", ErrNotLayout, shown(name))
		}
	}
	return nil
}

// Close closes the directory.
func (d *layoutDir) Close() error { return d.root.Close() }

// errReplaced is the error of a file that another one took the place of while it was opened.
var errReplaced = errors.New("replaced while it was opened")

// open opens a regular file. Neither a link nor a pipe is opened, also where somebody puts it there
// in this moment. Other processes replace index.json by a new one: then that is opened.
func (d *layoutDir) open(name string) (f *layoutFile, err error) {
	for range 20 {
		if f, err = d.openOnce(name); !errors.Is(err, errReplaced) {
			break
		}
	}
	return f, err
}

func (d *layoutDir) openOnce(name string) (*layoutFile, error) {
	if err := d.plainPath(path.Dir(name)); err != nil {
		return nil, err
	}
	before, err := d.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, notRegular(name, before)
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(before, info) {
		err = fmt.Errorf("%w: %s was %w", ErrNotLayout, name, errReplaced)
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, err
	}
	return &layoutFile{SectionReader: io.NewSectionReader(f, 0, info.Size()), closer: f, state: stateOf(info)}, nil
}

func stateOf(info fs.FileInfo) fileState {
	return fileState{size: info.Size(), modTime: info.ModTime().UnixNano()}
}

func notRegular(name string, info fs.FileInfo) error {
	return fmt.Errorf("%w: %s is not a regular file (%s)", ErrNotLayout, name, info.Mode().Type())
}

// plainPath refuses a path with a link in it.
func (d *layoutDir) plainPath(dir string) error {
	if dir == "." {
		return nil
	}
	if err := d.plainPath(path.Dir(dir)); err != nil {
		return err
	}
	info, err := d.root.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is not a directory (%s)", ErrNotLayout, dir, info.Mode().Type())
	}
	return nil
}

const removedMeanwhile = "was removed from the layout meanwhile, as Prune does: copy the image again"

// holds fails if the file of a blob is not there any more.
func (d *layoutDir) holds(b ocispec.Descriptor) error {
	if info, err := d.root.Lstat(blobPath(b.Digest)); err != nil || !info.Mode().IsRegular() || info.Size() != b.Size {
		return notFound("%s %s", b.Digest, removedMeanwhile)
	}
	return nil
}

// directory makes a directory and those above it.
func (d *layoutDir) directory(name string) error {
	err := d.root.MkdirAll(name, 0o755)
	if e := d.plainPath(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
		return e // says more than that it could not be made
	}
	return err
}

// temporary makes a new file beside the one that it is to replace.
func (d *layoutDir) temporary(name string, mode fs.FileMode) (*os.File, string, error) {
	temp := path.Join(path.Dir(name), tempPrefix+rand.Text())
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	return f, temp, err
}

// tempPrefix begins the names of temporary files.
const tempPrefix = ".images-"

// replace gives a file new content at once.
func (d *layoutDir) replace(name string, content []byte, mode fs.FileMode, flush bool) error {
	return d.write(name, mode, flush, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// write makes a file of what fill writes. It gets its name only when fill has succeeded and, with
// flush, everything is on stable storage.
func (d *layoutDir) write(name string, mode fs.FileMode, flush bool, fill func(io.Writer) error) (err error) {
	f, temp, err := d.temporary(name, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = d.root.Remove(temp) // there is an error to tell of already
		}
	}()
	err = fill(f)
	if err == nil && flush {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.root.Rename(temp, name); errors.Is(err, fs.ErrNotExist) {
		return notFound("a temporary file %s", removedMeanwhile)
	} else if err != nil {
		return err
	}
	if flush {
		d.syncDirectory(path.Dir(name))
	}
	return nil
}

// syncDirectory makes a rename last.
func (d *layoutDir) syncDirectory(dir string) {
	f, err := d.root.Open(dir)
	if err != nil {
		return
	}
	_ = f.Sync()  // not every system can
	_ = f.Close() // it was only read
}
