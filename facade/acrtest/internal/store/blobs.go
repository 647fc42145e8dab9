package store

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// Blob is a blob as it is linked to a repository.
type Blob struct {
	Repository string // empty where none was asked
	Digest     digest.Digest
	Size       int64
	Created    time.Time // when it was linked

	content content
}

// Open opens the blob's bytes. They stay readable until the reader is closed, also when the blob is
// deleted meanwhile.
//
// Errors: ErrBlobUnknown when it was deleted since it was looked up.
func (b Blob) Open() (ContentReader, error) { return b.content.open() }

func (l *link) properties(repository string) Blob {
	return Blob{Repository: repository, Digest: l.blob.digest, Size: l.blob.size, Created: l.created, content: l.blob.content}
}

// Blob returns a blob of a repository.
//
// Errors: ErrBlobUnknown, also for an unknown repository; ErrDisallowed when reading the repository
// is disabled.
func (st *Store) Blob(name string, d digest.Digest) (b Blob, err error) {
	st.read(func(s *state) {
		b, err = s.blob(name, d)
	})
	return b, err
}

func (s *state) blob(name string, d digest.Digest) (Blob, error) {
	l := s.linked(name, d)
	if l == nil {
		return Blob{}, ErrBlobUnknown
	}
	if s.repositories.get(name).attributes.ReadDisabled {
		return Blob{}, ErrDisallowed
	}
	return l.properties(name), nil
}

// linked returns the repository's link to a blob, or nil.
func (s *state) linked(name string, d digest.Digest) *link {
	if r := s.repositories.get(name); r != nil {
		return r.links[d]
	}
	return nil
}

// Content returns a blob that some repository links to.
//
// Errors: ErrBlobUnknown.
func (st *Store) Content(d digest.Digest) (Blob, error) {
	b := st.pool.get(d)
	if b == nil {
		return Blob{}, ErrBlobUnknown
	}
	return Blob{Digest: b.digest, Size: b.size, content: b.content}, nil
}

// PutBlob stores the bytes of r in a repository. want is the digest that they must have; empty,
// they get that by SHA-256.
//
// Errors: ErrDigestMismatch, or what r says.
func (st *Store) PutBlob(name string, r io.Reader, want digest.Digest) (Blob, error) {
	u, err := st.StartUpload(name)
	if err != nil {
		return Blob{}, err
	}
	if err := u.Acquire(context.Background(), nil); err != nil {
		return Blob{}, err
	}
	defer u.Release()
	if _, err := u.Append(r); err != nil {
		u.Cancel()
		return Blob{}, err
	}
	if want == "" {
		if want, err = u.Digest(); err != nil {
			return Blob{}, err
		}
	}
	return u.Commit(want)
}

// MountBlob links a blob of another repository.
//
// Errors: ErrBlobUnknown; ErrDisallowed when reading the other repository is disabled.
func (st *Store) MountBlob(name, from string, d digest.Digest) (Blob, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	b, err := st.primary.blob(from, d)
	if err == nil {
		err = st.knownBlob(from, d)
	}
	if err != nil {
		return Blob{}, err
	}
	if err := st.commit(&record{Op: opLink, Time: st.time(), Repository: name, Digest: d, Size: b.Size}); err != nil {
		return Blob{}, err
	}
	return st.primary.linked(name, d).properties(name), nil
}

// link links content that the caller holds.
func (st *Store) link(name string, b *blob) (Blob, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.commit(&record{Op: opLink, Time: st.time(), Repository: name, Digest: b.digest, Size: b.size}); err != nil {
		return Blob{}, err
	}
	return st.primary.linked(name, b.digest).properties(name), nil
}

// DeleteBlob takes a blob from a repository, also where a manifest names it.
//
// Errors: ErrBlobUnknown, also for an unknown repository; ErrDisallowed when the repository is
// locked against writes.
func (st *Store) DeleteBlob(name string, d digest.Digest) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.primary.linked(name, d) == nil || st.knownBlob(name, d) != nil {
		return ErrBlobUnknown
	}
	if st.primary.repositories.get(name).attributes.WriteDisabled {
		return ErrDisallowed
	}
	return st.commit(&record{Op: opUnlink, Time: st.time(), Repository: name, Digest: d})
}

// knownBlob returns ErrBlobUnknown if the replica that a write is made at lacks the blob.
func (st *Store) knownBlob(name string, d digest.Digest) error {
	return st.known(func(s *state) error {
		if s.linked(name, d) == nil {
			return ErrBlobUnknown
		}
		return nil
	})
}
