// Package partial is the file that a download writes to: hidden until it is complete, so that
// nobody finds half a blob under its name, and continued by the next download of the same blob to
// the same path. [Write] does the same for a file that is written at once.
//
// Beside the hidden file lies a small one, the record, that says how far it is written. On systems
// where a file cannot be claimed for one user (claim_other.go) nothing is continued.
package partial

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// state is the content of the record.
type state struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Offset int64         `json:"offset"` // up to here the file is complete
}

// Options are the options of [Open].
type Options struct {
	// Sync flushes the file to stable storage before it gets its name, and the directory after
	// that.
	Sync bool
	// Resume continues the file of an earlier download, and keeps this one for the next if it
	// breaks off.
	Resume bool
	// Root, if not nil, is what path is relative to. Nothing outside of it is touched.
	Root *os.Root
}

// File is a file that is being downloaded. It is a transfer.Destination.
type File struct {
	*file

	path   string // the name that the file gets when it is complete
	sync   bool
	state  state
	record string // path of the record; empty: not kept
	saved  int64  // the offset in the record
}

var _ transfer.Destination = (*File)(nil)

// saveEvery is how many bytes a killed process may lose.
const saveEvery = 16 << 20

// maxBase limits how much of the file's name is part of the hidden names, which have at most 255
// bytes.
const maxBase = 200

// Open opens the partial file of an earlier download, or creates a new one, with mode 0600 in the
// directory of path. No two calls have the same file open. End it with Complete or Leave. It fails
// with an *os.PathError if path cannot be the name of a file.
func Open(path string, dgst digest.Digest, o Options) (*File, error) {
	var dir directory = anywhere{}
	if o.Root != nil {
		dir = o.Root
	}
	folder, base, err := split(dir, path)
	if err != nil {
		return nil, err
	}
	p := &File{path: path, sync: o.Sync, state: state{Digest: dgst, Size: transfer.Unknown}}
	if o.Resume {
		name := filepath.Join(folder, "."+base+"."+dgst.Encoded()[:12]+".partial")
		f, err := claim(dir, name)
		if err != nil {
			return nil, err
		}
		if f != nil {
			p.file, p.record = f, name+".json"
			p.load()
			return p, nil
		}
	}
	if p.file, err = create(dir, folder, base); err != nil {
		return nil, err
	}
	return p, nil
}

// split returns the folder of a file, and the part of its name that hidden names contain. It fails
// if path cannot be the name of a file: now rather than when all is written.
func split(dir directory, path string) (folder, base string, err error) {
	folder, base = filepath.Split(path)
	if base == "" {
		return "", "", &os.PathError{Op: "open", Path: path, Err: errors.New("not a file name")}
	}
	if folder == "" {
		folder = "."
	}
	if err := replaceable(dir, path, folder); err != nil {
		return "", "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	return folder, strings.ToValidUTF8(base[:min(len(base), maxBase)], ""), nil
}

// replaceable returns an error if the file at path, if there is one, must not be replaced: a directory,
// a pipe or a device, a link to one of these (as /dev/stdout is), or somebody else's file in a
// directory where everybody leaves the files of others alone.
func replaceable(dir directory, path, folder string) error {
	info, err := dir.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil { // such as a name that is too long, which only the rename would say
		if e, ok := errors.AsType[*os.PathError](err); ok {
			err = e.Err
		}
		return err
	}
	target, err := dir.Stat(path)
	switch {
	case err != nil: // a link that leads nowhere
	case target.IsDir():
		return syscall.EISDIR
	case !target.Mode().IsRegular():
		return errors.New("not a regular file")
	}
	if parent, err := dir.Stat(folder); err == nil && parent.Mode()&os.ModeSticky != 0 && foreign(info) {
		return os.ErrPermission
	}
	return nil
}

// Prefix returns the part that an earlier call has written.
func (p *File) Prefix() (io.ReaderAt, int64) { return p, p.state.Offset }

// Sized sets the size of the file. Disk space is not reserved: on many file systems that would
// write everything twice.
func (p *File) Sized(size int64) error {
	p.state.Size = size
	return nil
}

// Written records up to where the file is complete.
func (p *File) Written(off int64) {
	p.state.Offset = off
	p.saved = min(p.saved, off) // the download started again
	if off >= p.saved+saveEvery {
		p.save()
	}
}

// Complete renames the file to its final name.
func (p *File) Complete(size int64) error {
	// An earlier call may have made it longer, by a size that was wrong.
	if err := p.Truncate(size); err != nil {
		return err
	}
	if p.sync {
		if err := p.Sync(); err != nil {
			return err
		}
	}
	if err := rename(p.file, p.path); err != nil {
		return err
	}
	p.forget()
	if p.sync {
		syncDirectory(p.dir, filepath.Dir(p.path))
	}
	return nil
}

// Leave keeps the file for the next call, unless it is useless.
func (p *File) Leave(err error) {
	bad := errors.Is(err, transfer.ErrDigestMismatch) || errors.Is(err, transfer.ErrSizeMismatch)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		bad = false // only the answer was too short
	}
	if p.record == "" || bad || p.state.Offset == 0 {
		discard(p.file)
		p.forget()
		return
	}
	_ = p.Truncate(p.state.Offset) // what lies behind has gaps
	p.save()
	_ = p.Close() // there is an error to tell of already
}

// load reads how far an earlier call has got; what is wrong with that counts as nothing.
func (p *File) load() {
	f, err := openState(p.dir, p.record)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err := f.Stat(); err != nil || !private(info) {
		return
	}
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return
	}
	var s state
	if json.Unmarshal(b, &s) != nil || s.Digest != p.state.Digest || s.Offset < 0 || s.Size != transfer.Unknown && s.Size < s.Offset {
		return
	}
	info, err := p.Stat()
	if err != nil || info.Size() < s.Offset || sparse(info, s.Offset) {
		return
	}
	s.Size = transfer.Unknown
	p.state, p.saved = s, s.Offset
}

// nextState is the suffix of the record while it is being written.
const nextState = ".new"

// forget deletes the record of a file that no longer exists.
func (p *File) forget() {
	if p.record != "" {
		_ = p.dir.Remove(p.record)
		_ = p.dir.Remove(p.record + nextState) // of a killed process
	}
}

// save writes the record. If that fails, the next call downloads some bytes again.
func (p *File) save() {
	p.saved = p.state.Offset
	if p.record == "" {
		return
	}
	b, err := json.Marshal(p.state)
	if err != nil {
		return
	}
	next := p.record + nextState
	_ = p.dir.Remove(next) // of a killed process
	// A link that somebody put there is not followed.
	f, err := p.dir.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	if _, err = f.Write(b); errors.Join(err, f.Close()) == nil {
		_ = p.dir.Rename(next, p.record)
	}
}
