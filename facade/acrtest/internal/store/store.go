// Package store keeps the content of an emulated registry: blobs, manifests, tags, attributes and
// upload sessions, in memory or in a directory. It knows nothing of HTTP.
//
// Every change of metadata is a record: it is appended to a journal, if there is a directory, and
// then made in the state. One lock guards the state; it is held for look-ups and changes, never
// while a body is read, hashed or written.
package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Options configure a Store; the zero value keeps everything in memory.
type Options struct {
	// Dir keeps the content in this directory, made if need be, so that it survives a restart and
	// the sudden end of the process. One process at a time.
	Dir string
	// Sync waits for the disk before a change is acknowledged, so that it survives the loss of
	// power as well; upload sessions do not.
	Sync bool
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// SoftDelete keeps deleted manifests and tags for that long; 0 deletes at once.
	SoftDelete time.Duration
	// ReplicaLag delays when a replica sees the writes made elsewhere; 0 is at once.
	ReplicaLag time.Duration
	// Replicas is the number of replicas that Replica returns. With 0, reads see every write only
	// after ReplicaLag, as if another replica served them.
	Replicas int
	// Times says which changes move the time of a manifest's last update.
	Times Times
	// KeepEmpty keeps repositories whose last manifest was deleted until they are deleted
	// themselves.
	KeepEmpty bool
	// UploadTTL is how long an upload session lives; 24 hours when 0.
	UploadTTL time.Duration

	waited    func(path string) // told what the disk was waited for
	compactAt int               // lines from which the journal is looked at for what no longer counts; 1000 when 0
}

// resolution is that of the service's time stamps.
const resolution = 100 * time.Nanosecond

// maxDrift bounds how far the time of changes may run ahead of the clock.
const maxDrift = time.Minute

// Store is the content of one registry, as one of its replicas sees it. All methods may be called
// at the same time.
type Store struct {
	*core

	// at is the replica that answers reads; nil: reads see all writes at once.
	at *replica
}

// core is what all replicas share.
type core struct {
	opts    Options
	tree    *tree // nil: memory
	pool    *pool
	key     []byte
	release func() // the lock on the directory

	mu       sync.RWMutex
	now      time.Time // of the last change
	primary  *state    // with all changes
	journal  *journal  // nil: memory
	replicas []*replica

	sessions sessions
	lost     []digest.Digest
}

// Open opens the store, with what an earlier run left in the directory.
//
// Errors: ErrInUse, ErrForeign, ErrCorrupt, or what the file system says.
func Open(opts Options) (*Store, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.UploadTTL == 0 {
		opts.UploadTTL = 24 * time.Hour
	}
	if opts.compactAt == 0 {
		opts.compactAt = 1000
	}
	st := &Store{core: &core{opts: opts, key: make([]byte, keySize)}}
	_, _ = rand.Read(st.key) // never fails since Go 1.24
	if opts.Dir != "" {
		st.tree = &tree{root: opts.Dir, disk: disk{wait: opts.Sync, waited: opts.waited}}
	}
	st.pool = newPool(st.tree)
	st.primary = newState(st.pool)
	st.sessions.init()
	for range opts.Replicas {
		st.replicas = append(st.replicas, &replica{state: newState(st.pool), lag: opts.ReplicaLag, writable: true})
	}
	if opts.Replicas == 0 && opts.ReplicaLag > 0 {
		st.at = &replica{state: newState(st.pool), lag: opts.ReplicaLag}
		st.replicas = []*replica{st.at}
	}
	if st.tree != nil {
		if err := st.load(); err != nil {
			return nil, errors.Join(err, st.Close())
		}
	}
	return st, nil
}

// load reads the directory.
func (st *Store) load() (err error) {
	if err := os.MkdirAll(st.tree.root, 0o755); err != nil {
		return err
	}
	if st.release, err = lockDir(st.tree.lock()); err != nil {
		return err
	}
	if err := st.tree.claim(); err != nil {
		return err
	}
	if err := st.tree.make(); err != nil {
		return err
	}
	if err := st.openJournal(); err != nil {
		return err
	}
	if st.key, err = st.Keep(keyFile, st.key); err != nil {
		return err
	}
	if len(st.key) != keySize {
		return fmt.Errorf("%w: %s", ErrForeign, st.tree.key())
	}
	// A blob comes before the record that links it and goes after the record that unlinks it, so
	// what nothing links to is the rest of a change that never was, or of one that was made whole.
	sizes, err := st.tree.sweep(func(d digest.Digest) bool { return st.pool.get(d) != nil })
	if err != nil {
		return err
	}
	if err := st.unlinkLost(sizes); err != nil {
		return err
	}
	if err := st.tree.disk.directories(filepath.Dir(st.tree.root), st.tree.root); err != nil {
		return err
	}
	return st.sessions.load(st)
}

// openJournal replays the journal, and writes it anew where it says much that no longer counts.
func (st *Store) openJournal() error {
	st.pool.replay = true
	j, err := openJournal(st.tree.journal(), st.tree.disk, st.replay)
	st.pool.replay = false
	if err != nil {
		return err
	}
	st.journal = j
	if j.lines < st.opts.compactAt || j.lines < 2*st.primary.size() {
		return nil
	}
	if err := compact(st.tree.journal(), st.tree.disk, st.primary); err != nil {
		return err
	}
	if err := j.close(); err != nil {
		return err
	}
	st.journal, err = openJournal(st.tree.journal(), st.tree.disk, func(*record) {})
	return err
}

// replay makes a change of the journal at the start, when every replica has heard of it.
func (st *Store) replay(rec *record) {
	st.now = rec.Time
	st.primary.apply(rec)
	for _, r := range st.replicas {
		r.state.apply(rec)
	}
}

// Close gives up the directory. No other method may be under way or called later.
func (st *Store) Close() error {
	st.sessions.close()
	var err error
	if st.journal != nil {
		err = st.journal.close()
	}
	if st.release != nil {
		st.release()
	}
	return err
}

// SigningKey returns the 32 bytes that sign upload states and storage links; a directory keeps them
// over a restart.
func (st *Store) SigningKey() []byte { return st.key }

// time returns the time of the next change. The caller holds the lock. Changes within one tick of
// the clock, as all are under a clock that stands still, get ticks of their own, so that a list by
// time is one by order of change. A clock that was put back is followed.
func (st *Store) time() time.Time {
	now := st.opts.Now().UTC().Truncate(resolution)
	if ahead := st.now.Sub(now); ahead >= 0 && ahead < maxDrift {
		now = st.now.Add(resolution)
	}
	st.now = now
	return now
}

// commit makes a change, of which the caller has made sure under the lock, which it holds.
func (st *Store) commit(rec *record) error {
	rec.Times = st.opts.Times
	rec.Keep = st.opts.KeepEmpty && rec.Op == opManifest
	if st.journal != nil {
		if err := st.journal.append(rec); err != nil {
			return err
		}
	}
	now := st.opts.Now()
	for _, r := range st.replicas {
		r.advance(st.core, now)
	}
	st.primary.apply(rec)
	for _, r := range st.replicas {
		if r == st.at && r.writable {
			r.write(rec)
		} else {
			r.queue(st.pool, rec, now)
			r.advance(st.core, now)
		}
	}
	return nil
}

// read calls f with the state that reads see. f must not change it, nor keep what can change.
func (st *Store) read(f func(*state)) {
	if st.at == nil {
		st.mu.RLock()
		defer st.mu.RUnlock()
		f(st.primary)
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.at.advance(st.core, st.opts.Now())
	f(st.at.state)
}

// known calls f with the state of the replica that a write is made at, and returns what f says is
// missing there. The caller holds the lock, and checks the primary itself.
func (st *Store) known(f func(*state) error) error {
	if st.at == nil || !st.at.writable {
		return nil
	}
	st.at.advance(st.core, st.opts.Now())
	return f(st.at.state)
}

// visible returns the repository if it can be seen: if it holds a manifest.
func (s *state) visible(name string) *repository {
	if r := s.repositories.get(name); r != nil && r.visible() {
		return r
	}
	return nil
}

func (r *repository) visible() bool { return r.kept || r.manifests.len() > 0 }

// size is about the number of records of a compacted journal.
func (s *state) size() (n int) {
	for r := range s.repositories.byKey.all() {
		n += 1 + len(r.links) + r.manifests.len() + r.tags.len() + r.deletedManifests.len() + r.deletedTags.len()
	}
	return n
}
