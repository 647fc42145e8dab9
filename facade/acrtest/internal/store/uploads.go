package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
)

// Upload is an upload session. One request uses it at a time: between Acquire and Release.
type Upload struct {
	ID         string
	Repository string
	Started    time.Time

	store *Store
	turn  *turn

	// What follows belongs to the request that has the turn.
	sink  sink
	hash  hash.Hash // SHA-256 of the bytes in the sink; nil for a session of an earlier run until it is needed
	acked int64
	gone  bool
}

// StartUpload starts a session.
func (st *Store) StartUpload(name string) (*Upload, error) {
	now := st.opts.Now().UTC()
	if st.sessions.sweepDue(now) {
		st.sessions.expire(now)
	}
	u := &Upload{ID: newID(), Repository: name, Started: now, hash: sha256.New()}
	if st.tree != nil {
		meta, err := json.Marshal(u)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(st.tree.session(u.ID), meta, 0o600); err != nil {
			return nil, err
		}
	}
	st.sessions.add(st, u, st.newSink(u.ID, 0))
	return u, nil
}

func (st *Store) newSink(id string, size int64) sink {
	if st.tree == nil {
		return new(memorySink)
	}
	return &fileSink{tree: st.tree, path: st.tree.upload(id), n: size}
}

// Upload returns a session of a repository.
//
// Errors: ErrUploadUnknown, also when the session has expired or was started at another replica.
func (st *Store) Upload(name, id string) (*Upload, error) {
	st.sessions.mu.Lock()
	defer st.sessions.mu.Unlock()
	u := st.sessions.all[id]
	if u == nil || u.Repository != name || u.expired(st.opts.Now()) || !u.reachable(st) {
		return nil, ErrUploadUnknown
	}
	return u, nil
}

// reachable reports whether the session can be used at the replica: one of an earlier run at any,
// others where they were started.
func (u *Upload) reachable(st *Store) bool {
	return st.at == nil || !st.at.writable || u.store.at == nil || u.store.at == st.at
}

func (u *Upload) expired(now time.Time) bool { return now.Sub(u.Started) > u.store.opts.UploadTTL }

// Acquire waits for the session's turn. breakOff, which may be nil, is called from another
// goroutine, before Release returns, when another request has waited long enough for this one, of
// which nothing is heard: it ends the reading that Append is about.
//
// Errors: ErrUploadUnknown when the session ended meanwhile; the context's.
func (u *Upload) Acquire(ctx context.Context, breakOff func()) error {
	if err := u.turn.take(ctx, breakOff); err != nil {
		return err
	}
	if u.gone {
		u.turn.give()
		return ErrUploadUnknown
	}
	return nil
}

// Release ends the turn.
func (u *Upload) Release() {
	if !u.gone {
		u.sink.close()
	}
	u.turn.give()
}

// Offset is how many bytes have arrived.
func (u *Upload) Offset() int64 { return u.sink.size() }

// Acknowledged is the offset that Acknowledge was last called at. It differs from Offset when a
// request broke off, or -1 when that is not known because the session is of an earlier run.
func (u *Upload) Acknowledged() int64 { return u.acked }

// Acknowledge notes that the caller is about to be told the offset.
func (u *Upload) Acknowledge() { u.acked = u.Offset() }

// Append takes in the bytes of r as they come. Those that came before an error stay.
func (u *Upload) Append(r io.Reader) (n int64, err error) {
	h, err := u.hasher()
	if err != nil {
		return 0, err
	}
	u.turn.hear(true)
	defer u.turn.hear(false)
	for {
		m, err := u.fill(u.sink.buffer(), r, h)
		if m > 0 {
			if err := u.sink.written(m); err != nil {
				u.hash = nil // it is computed anew from what was written
				return n, err
			}
			n += int64(m)
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// fill reads until b is full, for a connection gives little at a time and the disk is to be asked
// seldom. The hash sees each piece while it is warm.
func (u *Upload) fill(b []byte, r io.Reader, h hash.Hash) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		u.turn.hear(true)
		h.Write(b[n : n+m])
		n += m
	}
	return n, err
}

// hasher returns the state of the hash, computed anew for a session of an earlier run.
func (u *Upload) hasher() (hash.Hash, error) {
	if u.hash != nil {
		return u.hash, nil
	}
	h := sha256.New()
	if err := u.writeTo(h); err != nil {
		return nil, err
	}
	u.hash = h
	return h, nil
}

func (u *Upload) writeTo(w io.Writer) error {
	r, err := u.sink.reader()
	if err != nil {
		return err
	}
	err = r.WriteRange(w, 0, u.sink.size())
	return errors.Join(err, r.Close())
}

// Digest is the SHA-256 of what has arrived.
func (u *Upload) Digest() (digest.Digest, error) {
	h, err := u.hasher()
	if err != nil {
		return "", err
	}
	return digest.NewDigestFromBytes(digest.SHA256, h.Sum(nil)), nil
}

// Commit makes what has arrived a blob of the repository and ends the session, also when the digest
// is another: then the bytes are lost.
//
// Errors: ErrDigestMismatch; that of a digest that is none, which leaves the session as it was; or
// what the file system says.
func (u *Upload) Commit(want digest.Digest) (Blob, error) {
	if err := want.Validate(); err != nil {
		return Blob{}, err
	}
	got, err := u.digest(want.Algorithm())
	if err != nil {
		return Blob{}, err
	}
	if got != want {
		u.Cancel()
		return Blob{}, ErrDigestMismatch
	}
	if err := u.sink.settle(); err != nil {
		return Blob{}, err
	}
	b, err := u.store.pool.add(want, u.sink)
	if err != nil {
		return Blob{}, err
	}
	defer u.store.pool.release(b) // the link holds it then
	if err := u.store.settle(want); err != nil {
		return Blob{}, err
	}
	linked, err := u.store.link(u.Repository, b)
	if err != nil {
		return Blob{}, err
	}
	// Only now: a process that is killed before this has the session with all its bytes, and its
	// completion can be repeated.
	u.end()
	u.sink.discard()
	return linked, nil
}

// settle waits for the disk to have the name of a blob's file, if it is waited for.
func (st *Store) settle(d digest.Digest) error {
	if st.tree == nil {
		return nil
	}
	dir := filepath.Dir(st.tree.blob(d))
	return st.tree.disk.directories(st.tree.blobs(), filepath.Dir(dir), dir)
}

// digest computes the digest by any algorithm. The session's own hash serves for SHA-256; for
// others the bytes are read again.
func (u *Upload) digest(a digest.Algorithm) (digest.Digest, error) {
	if a == digest.SHA256 {
		return u.Digest()
	}
	d := a.Digester()
	if err := u.writeTo(d.Hash()); err != nil {
		return "", err
	}
	return d.Digest(), nil
}

// Cancel ends the session and drops its bytes.
func (u *Upload) Cancel() {
	u.end() // first: a session without its bytes would be one that has forgotten them
	u.sink.discard()
}

// end takes the session from the list. Whoever waits for its turn finds it gone.
func (u *Upload) end() {
	u.gone = true
	s := &u.store.sessions
	s.mu.Lock()
	delete(s.all, u.ID)
	s.mu.Unlock()
	if t := u.store.tree; t != nil {
		_ = os.Remove(t.session(u.ID)) // without its bytes it is swept at the next start
	}
}
