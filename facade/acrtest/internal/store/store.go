// Package store keeps the content of an emulated registry: blobs, manifests, tags, attributes and upload sessions, in memory
// or in a directory. It knows nothing of HTTP.
package store

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// Options configure a Store; the zero value keeps everything in memory.
type Options struct {
	// Dir keeps the content in this directory, made if need be, so that it survives a restart. One process at a time.
	Dir string
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// SoftDelete keeps deleted manifests and tags for that long; 0 deletes at once.
	SoftDelete time.Duration
	// ReplicaLag lets reads see each write only that much later; 0 at once.
	ReplicaLag time.Duration
	// UploadTTL is how long an upload session lives; 24 hours when 0.
	UploadTTL time.Duration
}

// Store is the content of one registry. All methods may be called concurrently.
type Store struct{ opts Options }

func Open(opts Options) (*Store, error) { return &Store{opts: opts}, nil }
func (st *Store) Close() error          { return nil }

// SigningKey returns the 32 bytes that sign upload states and storage links; a directory keeps them over a restart.
func (st *Store) SigningKey() []byte { return make([]byte, 32) }

// PutBlob stores r's bytes and links them to the repository. want is the digest they must have; empty: sha256.
func (st *Store) PutBlob(name string, r io.Reader, want digest.Digest) (Blob, error) {
	return Blob{}, nil
}
func (st *Store) Blob(name string, d digest.Digest) (Blob, error)            { return Blob{}, nil }
func (st *Store) Content(d digest.Digest) (Blob, error)                      { return Blob{}, nil }
func (st *Store) MountBlob(name, from string, d digest.Digest) (Blob, error) { return Blob{}, nil }
func (st *Store) DeleteBlob(name string, d digest.Digest) error              { return nil }
func (st *Store) PutManifest(name string, p Push) (Manifest, error)          { return Manifest{}, nil }
func (st *Store) Manifest(name, reference string) (Manifest, error)          { return Manifest{}, nil }
func (st *Store) DeleteManifest(name string, d digest.Digest) error          { return nil }
func (st *Store) Tag(name, tag string) (Tag, error)                          { return Tag{}, nil }
func (st *Store) PutTag(name, tag string, d digest.Digest) error             { return nil }
func (st *Store) DeleteTag(name, tag string) (digest.Digest, error)          { return "", nil }
func (st *Store) Repository(name string) (Repository, error)                 { return Repository{}, nil }
func (st *Store) DeleteRepository(name string) ([]digest.Digest, []string, error) {
	return nil, nil, nil
}
func (st *Store) UpdateRepository(name string, c Change) (Repository, error) {
	return Repository{}, nil
}
func (st *Store) UpdateTag(name, tag string, c Change) (Tag, error) { return Tag{}, nil }
func (st *Store) UpdateManifest(name string, d digest.Digest, c Change) (Manifest, error) {
	return Manifest{}, nil
}
func (st *Store) Repositories(p Page) (names []string, more bool) { return nil, false }
func (st *Store) Tags(name string, of digest.Digest, p Page) (tags []Tag, more bool, err error) {
	return nil, false, nil
}
func (st *Store) Manifests(name string, p Page) (manifests []Manifest, more bool, err error) {
	return nil, false, nil
}
func (st *Store) Referrers(name string, d digest.Digest, artifactType string, p Page) (manifests []Manifest, more bool) {
	return nil, false
}

// Batch collects the writes of f into few writes to the disk: for seeding.
func (st *Store) Batch(f func() error) error { return f() }

// Collect frees what nothing refers to any more.
func (st *Store) Collect(grace time.Duration) Collected { return Collected{} }

// Collected says what a Collect freed.
type Collected struct{ Blobs, Sessions, Manifests int }

func (st *Store) StartUpload(name string) (*Upload, error) { return nil, nil }
func (st *Store) Upload(name, id string) (*Upload, error)  { return nil, nil }

// Upload is one upload session.
type Upload struct {
	ID, Repository string
	Started        time.Time
}

func (u *Upload) Acquire(ctx context.Context) error { return nil }
func (u *Upload) Release()                          {}

// Blob is a blob's content as it is linked to a repository.
type Blob struct {
	Digest  digest.Digest
	Size    int64
	Created time.Time
}
