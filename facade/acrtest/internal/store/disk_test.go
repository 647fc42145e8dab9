//go:build unix

package store

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// platter is what a disk holds for sure: the bytes of files and the names in directories as they
// were when last waited for.
type platter struct {
	t     *testing.T
	files map[uint64][]byte            // by inode
	names map[uint64]map[string]uint64 // of a directory, by inode
}

func newPlatter(t *testing.T) *platter {
	return &platter{t: t, files: map[uint64][]byte{}, names: map[uint64]map[string]uint64{}}
}

func inode(t *testing.T, path string) (number uint64, dir bool) {
	t.Helper()
	var info syscall.Stat_t
	if err := syscall.Stat(path, &info); err != nil {
		t.Fatal(err)
	}
	return info.Ino, info.Mode&syscall.S_IFMT == syscall.S_IFDIR
}

// waited writes a file or a directory down.
func (p *platter) waited(path string) {
	number, dir := inode(p.t, path)
	if !dir {
		p.files[number] = must[[]byte](p.t)(os.ReadFile(path))
		return
	}
	names := map[string]uint64{}
	for _, e := range must[[]os.DirEntry](p.t)(os.ReadDir(path)) {
		n, isDir := inode(p.t, filepath.Join(path, e.Name()))
		if names[e.Name()] = n; isDir && p.names[n] == nil {
			p.names[n] = map[string]uint64{}
		}
	}
	p.names[number] = names
}

// restore makes a directory as it would be found after the power was lost: a file that was not
// waited for is empty.
func (p *platter) restore(number uint64, path string) {
	for name, n := range p.names[number] {
		at := filepath.Join(path, name)
		if p.names[n] == nil {
			if err := os.WriteFile(at, p.files[n], 0o600); err != nil {
				p.t.Fatal(err)
			}
			continue
		}
		if err := os.Mkdir(at, 0o755); err != nil {
			p.t.Fatal(err)
		}
		p.restore(n, at)
	}
}

// TestPowerLoss takes the power away after each acknowledged change, and wants all of it to be
// there when it is back. What the disk was not waited for is lost in it, all of it.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	p, c := newPlatter(t), newClock()
	dir := t.TempDir()
	root, _ := inode(t, dir)
	opts := Options{Dir: dir, Now: c.now, Sync: true, waited: p.waited, compactAt: 60}
	check := func(st *Store) {
		t.Helper()
		after := t.TempDir()
		p.restore(root, after)
		found := must[*Store](t)(Open(Options{Dir: after, Now: c.now}))
		defer func() { _ = found.Close() }()
		if diff := cmp.Diff(dump(t, st.primary), dump(t, found.primary)); diff != "" {
			t.Fatalf("after the power was lost (-acknowledged +found):\n%s", diff)
		}
		if lost := found.Lost(); len(lost) > 0 {
			t.Fatalf("the bytes of %v are lost", lost)
		}
		for _, b := range found.pool.all {
			r := must[ContentReader](t)(b.content.open())
			v := b.digest.Verifier()
			if err := r.WriteRange(v, 0, b.size); err != nil || !v.Verified() {
				t.Fatalf("%s is damaged: %v", b.digest, err)
			}
			_ = r.Close()
		}
	}
	st := must[*Store](t)(Open(opts))
	check(st)
	random := rand.New(rand.NewPCG(9, 9))
	for range 25 {
		churn(t, st, c, random, 1)
		check(st)
	}
	for st.journal.lines < 60 || st.journal.lines < 2*st.primary.size() {
		churn(t, st, c, random, 10)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	lines := st.journal.lines
	st = open(t, opts)
	if st.journal.lines >= lines {
		t.Fatal("the journal was not written anew")
	}
	for range 5 {
		check(st)
		churn(t, st, c, random, 1)
	}
}
