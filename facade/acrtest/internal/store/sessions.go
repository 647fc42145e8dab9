package store

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// sessions are the uploads under way.
type sessions struct {
	mu    sync.Mutex
	all   map[string]*Upload
	swept time.Time
}

// sweepEvery is how often the start of a session looks for expired ones.
const sweepEvery = time.Minute

func (s *sessions) init() { s.all = make(map[string]*Upload) }

func (s *sessions) add(st *Store, u *Upload, k sink) {
	u.store, u.sink = st, k
	u.turn = newTurn()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[u.ID] = u
}

// Uploads gives the number of open sessions of a repository.
func (st *Store) Uploads(name string) (n int) {
	now := st.opts.Now()
	st.sessions.mu.Lock()
	defer st.sessions.mu.Unlock()
	for _, u := range st.sessions.all {
		if u.Repository == name && !u.expired(now) {
			n++
		}
	}
	return n
}

func (s *sessions) sweepDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := now.Sub(s.swept); d >= 0 && d < sweepEvery {
		return false
	}
	s.swept = now
	return true
}

// expire ends the sessions whose time is over and that no request is using.
func (s *sessions) expire(now time.Time) (n int) {
	s.mu.Lock()
	var old []*Upload
	for _, u := range s.all {
		if u.expired(now) {
			old = append(old, u)
		}
	}
	s.mu.Unlock()
	for _, u := range old {
		if !u.turn.tryTake() {
			continue
		}
		if !u.gone {
			u.Cancel()
			n++
		}
		u.turn.give()
	}
	return n
}

// load finds the sessions that an earlier run left, and removes those whose time is over.
func (s *sessions) load(st *Store) error {
	t := st.tree
	files, err := os.ReadDir(t.uploads())
	if err != nil {
		return err
	}
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok {
			if _, err := os.Stat(t.session(f.Name())); err != nil {
				_ = os.Remove(filepath.Join(t.uploads(), f.Name())) // bytes without a session
			}
			continue
		}
		meta, err := os.ReadFile(t.session(id))
		u := new(Upload)
		if err != nil || json.Unmarshal(meta, u) != nil || u.ID != id {
			_ = os.Remove(t.session(id)) // the process ended before the session was acknowledged
			continue
		}
		var size int64
		if info, err := os.Stat(t.upload(id)); err == nil {
			size = info.Size()
		}
		u.acked = -1
		s.add(st, u, st.newSink(id, size))
	}
	s.expire(st.opts.Now())
	return nil
}

// close closes the files of all sessions.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.all {
		u.sink.close()
	}
}

// newID returns a random version 4 UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	x := hex.EncodeToString(b[:])
	return strings.Join([]string{x[:8], x[8:12], x[12:16], x[16:20], x[20:]}, "-")
}
