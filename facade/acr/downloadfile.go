package acr

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// DownloadBlobFile is DownloadBlob to a file, which appears under its name, in place of a file or symbolic link that was there, only when it
// is complete, verified and flushed. Until then it is a hidden file in the same directory. It is readable to its owner alone (mode 0600), and
// stays so.
//
// A download that broke off leaves the hidden file, and beside it a small one that says how far it is. The next call for the same path and
// digest continues it: what is there is hashed again first, so that only what is right counts. On Windows, AIX and Solaris nothing is left,
// and the next call begins anew. Two calls for the same path at once share nothing.
// Errors: those of DownloadBlob, *os.PathError, *os.LinkError.
func (r *Repository) DownloadBlobFile(ctx context.Context, dgst digest.Digest, path string, opts *DownloadOptions) (desc ocispec.Descriptor, err error) {
	var o DownloadOptions
	if opts != nil {
		o = *opts
	}
	if err := r.checkBlob(dgst); err != nil {
		return desc, err
	}
	m, ctx, stop := newMeter(ctx, o.Progress, false)
	defer stop()
	t, err := o.transfer(dgst, m)
	if err != nil {
		return desc, err
	}
	f, err := openPartial(path, dgst, !o.NoResume)
	if err != nil {
		return desc, transferred("DownloadBlobFile", err)
	}
	complete := false
	defer func() {
		if !complete {
			f.leave(err)
		}
	}()
	t.Prefix, t.PrefixSize = f, f.state.Offset
	t.Sized, t.Written = f.sized, f.written
	t.Complete = func(size int64) error { return f.complete(path, size, !o.NoSync) }
	size, err := transfer.Download(ctx, &blobSource{r: r, dgst: dgst}, f, t)
	if err != nil {
		return desc, transferred("DownloadBlobFile", err)
	}
	complete = true
	return blobDescriptor("", dgst, size), nil
}

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
