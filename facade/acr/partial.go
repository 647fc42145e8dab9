package acr

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// partialState is the small file beside a partial one.
type partialState struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Offset int64         `json:"offset"` // written without a gap
}

// partial is a file that is being downloaded.
type partial struct {
	*os.File
	path   string // the name that the file gets when it is complete
	sync   bool   // flush it to stable storage before that
	state  partialState
	record string // path of the state; empty: not kept
	saved  int64
}

var _ transfer.Destination = (*partial)(nil)

// saveEvery is how many bytes may be lost to a killed process.
const saveEvery = 16 << 20

// maxBase is how much of the file's name is in those of the files beside it, which have 255 bytes at most.
const maxBase = 200

// openPartial opens the partial file of an earlier call, or a new one. It never has more than one user.
func openPartial(path string, dgst digest.Digest, o *DownloadOptions) (*partial, error) {
	dir, base := filepath.Split(path)
	if base == "" {
		return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("not a file name")}
	}
	if dir == "" {
		dir = "."
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() { // now rather than when all is there
		return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	}
	base = strings.ToValidUTF8(base[:min(len(base), maxBase)], "")
	p := &partial{path: path, sync: !o.NoSync, state: partialState{Digest: dgst, Size: transfer.Unknown}}
	if !o.NoResume {
		name := filepath.Join(dir, "."+base+"."+dgst.Encoded()[:12]+".partial")
		f, err := claim(name)
		if err != nil {
			return nil, err
		}
		if f != nil {
			p.File, p.record = f, name+".json"
			p.load()
			return p, nil
		}
	}
	f, err := os.CreateTemp(dir, "."+base+".*.partial")
	if err != nil {
		return nil, err
	}
	p.File = f
	return p, nil
}

// Prefix returns the file as far as an earlier call has written it.
func (p *partial) Prefix() (io.ReaderAt, int64) { return p, p.state.Offset }

// Sized makes room for the blob. The room is not reserved: on many file systems that would write all of it once more.
func (p *partial) Sized(size int64) error {
	p.state.Size = size
	return p.Truncate(size)
}

// Written notes how far the file is written without a gap.
func (p *partial) Written(off int64) {
	p.state.Offset = off
	p.saved = min(p.saved, off) // it began anew
	if off >= p.saved+saveEvery {
		p.save()
	}
}

// Complete gives the file its name.
func (p *partial) Complete(size int64) error {
	// An earlier call may have made it longer, by a size that was wrong.
	if err := p.Truncate(size); err != nil {
		return err
	}
	if p.sync {
		if err := p.Sync(); err != nil {
			return err
		}
	}
	if err := rename(p.File, p.path); err != nil {
		return err
	}
	p.forget()
	if p.sync {
		syncDirectory(filepath.Dir(p.path))
	}
	return nil
}

// leave keeps what was got for the next call, unless it is worth nothing.
func (p *partial) leave(err error) {
	bad := errors.Is(err, ErrDigestMismatch) || errors.Is(err, ErrSizeMismatch)
	if p.record == "" || bad || p.state.Offset == 0 {
		discard(p.File)
		p.forget()
		return
	}
	p.save()
	_ = p.Close() // there is an error to tell of already
}

// syncDirectory makes a rename last.
func syncDirectory(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	_ = d.Sync() // not every system can
	_ = d.Close()
}

// load reads how far an earlier call has got; what is wrong with that counts as nothing.
func (p *partial) load() {
	f, err := openState(p.record)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return
	}
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return
	}
	var s partialState
	if json.Unmarshal(b, &s) != nil || s.Digest != p.state.Digest || s.Offset < 0 || s.Size != transfer.Unknown && s.Size < s.Offset {
		return
	}
	info, err := p.Stat()
	if err != nil || info.Size() < s.Offset {
		return
	}
	s.Size = transfer.Unknown
	p.state, p.saved = s, s.Offset
}

// nextState is behind the name of the state while it is being written.
const nextState = ".new"

// forget removes what speaks of a file that is no more.
func (p *partial) forget() {
	if p.record != "" {
		_ = os.Remove(p.record)
		_ = os.Remove(p.record + nextState) // of a killed process
	}
}

// save writes down how far the file is written. Failing costs the next call some bytes, no more.
func (p *partial) save() {
	p.saved = p.state.Offset
	if p.record == "" {
		return
	}
	b, err := json.Marshal(p.state)
	if err != nil {
		return
	}
	next := p.record + nextState
	_ = os.Remove(next) // of a killed process
	// A link that somebody put there is not followed.
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	if _, err = f.Write(b); errors.Join(err, f.Close()) == nil {
		_ = os.Rename(next, p.record)
	}
}
