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

// partial is a file on its way.
type partial struct {
	*os.File
	state  partialState
	record string // path of the state; empty: not kept
	saved  int64
}

// saveEvery is how many bytes may be lost to a killed process.
const saveEvery = 16 << 20

// maxBase is how much of the file's name is in those of the files beside it, which have 255 bytes at most.
const maxBase = 200

// openPartial opens the partial file of an earlier call, or a new one. It never has more than one user.
func openPartial(path string, dgst digest.Digest, resume bool) (*partial, error) {
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
	state := partialState{Digest: dgst, Size: transfer.Unknown}
	if resume {
		name := filepath.Join(dir, "."+base+"."+dgst.Encoded()[:12]+".partial")
		f, err := claim(name)
		if err != nil {
			return nil, err
		}
		if f != nil {
			p := &partial{File: f, state: state, record: name + ".json"}
			p.load()
			return p, nil
		}
	}
	f, err := os.CreateTemp(dir, "."+base+".*.partial")
	if err != nil {
		return nil, err
	}
	return &partial{File: f, state: state}, nil
}

// sized makes room for the blob. The room is not reserved: on many file systems that would write all of it once more.
func (p *partial) sized(size int64) error {
	p.state.Size = size
	return p.Truncate(size)
}

// written notes how far the file is written without a gap.
func (p *partial) written(off int64) {
	p.state.Offset = off
	p.saved = min(p.saved, off) // it began anew
	if off >= p.saved+saveEvery {
		p.save()
	}
}

// complete gives the file its name.
func (p *partial) complete(path string, size int64, flush bool) error {
	// An earlier call may have made it longer, by a size that was wrong.
	if err := p.Truncate(size); err != nil {
		return err
	}
	if flush {
		if err := p.Sync(); err != nil {
			return err
		}
	}
	if err := rename(p.File, path); err != nil {
		return err
	}
	p.forget()
	if flush {
		syncDirectory(filepath.Dir(path))
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
