package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
)

// blob is content that all repositories share, and how many links hold it.
type blob struct {
	digest  digest.Digest
	size    int64
	content content
	refs    int
}

// pool holds each content once, whatever number of repositories link to it.
type pool struct {
	tree *tree // nil: memory
	mu   sync.Mutex
	all  map[digest.Digest]*blob
	// replay keeps the files of what is released: a journal can link again what it unlinked.
	replay bool
}

func newPool(t *tree) *pool { return &pool{tree: t, all: make(map[digest.Digest]*blob)} }

// add takes what was uploaded in, unless the content is there already, and holds it. The sink is
// still to be discarded.
func (p *pool) add(d digest.Digest, up sink) (*blob, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.all[d]
	if b != nil {
		b.refs++
		return b, nil
	}
	c, err := up.finish(d)
	if err != nil {
		return nil, err
	}
	b = &blob{digest: d, size: up.size(), content: c, refs: 1}
	p.all[d] = b
	return b, nil
}

// hold returns the content with one more hold on it. A content that is not known yet lies in a
// directory since an earlier run.
func (p *pool) hold(d digest.Digest, size int64) *blob {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.all[d]
	if b == nil {
		b = &blob{digest: d, size: size}
		if p.tree != nil {
			b.content = file{p.tree.blob(d)}
		} else {
			b.content = &segments{}
		}
		p.all[d] = b
	}
	b.refs++
	return b
}

// release gives up one hold; the last one frees the content.
func (p *pool) release(b *blob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.refs--
	if b.refs > 0 {
		return
	}
	delete(p.all, b.digest)
	if !p.replay {
		b.content.discard()
	}
}

func (p *pool) get(d digest.Digest) *blob {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[d]
}

// sink takes the bytes of an upload.
type sink interface {
	// buffer returns space for the next bytes, which written then takes in.
	buffer() []byte
	written(n int) error
	size() int64
	// reader reads what was written.
	reader() (ContentReader, error)
	// settle waits for the disk to have the bytes, if it is waited for.
	settle() error
	// finish makes it content. The sink keeps its bytes, which it shares with the content, until it
	// is discarded.
	finish(d digest.Digest) (content, error)
	discard()
	// close gives up what the process holds and leaves the bytes where they outlive it.
	close()
}

// memorySink collects segments.
type memorySink struct{ s segments }

func (m *memorySink) buffer() []byte                        { return m.s.tail() }
func (m *memorySink) written(n int) error                   { m.s.grow(n); return nil }
func (m *memorySink) size() int64                           { return m.s.size() }
func (m *memorySink) reader() (ContentReader, error)        { return m.s.open() }
func (m *memorySink) settle() error                         { return nil }
func (m *memorySink) finish(digest.Digest) (content, error) { m.s.trim(); c := m.s; return &c, nil }
func (m *memorySink) discard()                              { m.s = segments{} }
func (m *memorySink) close()                                {}

// fileSink appends to a file. The buffer is held between requests only by a session that a request
// is using.
type fileSink struct {
	tree *tree
	path string
	f    *os.File
	n    int64
	b    *[]byte
}

func (s *fileSink) buffer() []byte {
	if s.b == nil {
		s.b = takeBuffer()
	}
	return *s.b
}

func (s *fileSink) written(n int) error {
	if err := s.open(); err != nil {
		return err
	}
	m, err := s.f.WriteAt((*s.b)[:n], s.n)
	s.n += int64(m)
	return err
}

func (s *fileSink) size() int64 { return s.n }

func (s *fileSink) reader() (ContentReader, error) {
	if s.n == 0 {
		return &segments{}, nil
	}
	return file{s.path}.open()
}

func (s *fileSink) settle() error {
	if !s.tree.disk.wait {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	return s.tree.disk.file(s.f)
}

func (s *fileSink) finish(d digest.Digest) (content, error) {
	if err := s.open(); err != nil { // an empty blob has had no write that made its file
		return nil, err
	}
	s.close()
	path := s.tree.blob(d)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := keep(s.path, path); err != nil {
		return nil, fmt.Errorf("keep blob: %w", err)
	}
	return file{path}, nil
}

// keep gives a file a second name, in place of what has that name; on a file system that has no
// links, the file's only one.
func keep(old, name string) error {
	if os.Link(old, name) == nil {
		return nil
	}
	if errors.Is(os.Remove(name), fs.ErrNotExist) || os.Link(old, name) != nil {
		return os.Rename(old, name)
	}
	return nil
}

func (s *fileSink) open() (err error) {
	if s.f == nil {
		s.f, err = os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	}
	return err
}

func (s *fileSink) discard() {
	s.close()
	_ = os.Remove(s.path) // what stays is swept at the next start
}

func (s *fileSink) close() {
	if s.b != nil {
		copyBuffers.Put(s.b)
		s.b = nil
	}
	if s.f != nil {
		_ = s.f.Close() // every write has been seen to succeed
		s.f = nil
	}
}
