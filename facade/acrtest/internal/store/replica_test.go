package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// Random changes at two replicas, whose clocks of arrival overlap: nothing breaks on the way, each
// replica sees its own pushes at once, and in the end all of them are as the primary is.
func TestReplicasConverge(t *testing.T) {
	t.Parallel()
	for _, soft := range []time.Duration{0, time.Hour} {
		for seed := range uint64(60) {
			c := newClock()
			st := open(t, Options{Now: c.now, Replicas: 2, ReplicaLag: time.Minute, SoftDelete: soft})
			random := rand.New(rand.NewPCG(seed, uint64(soft)))
			for range 200 {
				c.advance(time.Duration(random.IntN(20)) * time.Second)
				changeAtRandom(t, random, st.Replica(random.IntN(2)))
			}
			c.advance(time.Minute)
			for n := range 2 {
				at := st.Replica(n)
				at.Repositories(Page{N: 1}) // what is due arrives
				if got, want := dump(t, at.at.state), dump(t, st.primary); got != want {
					t.Fatalf("seed %d, soft delete %v: replica %d differs\n\n%s", seed, soft, n, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
				}
			}
			if err := emptied(st, c); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

// changeAtRandom makes one change, or is refused.
func changeAtRandom(t *testing.T, random *rand.Rand, st *Store) {
	t.Helper()
	name := []string{"a", "b"}[random.IntN(2)]
	tag := fmt.Sprintf("t%d", random.IntN(4))
	blob := digest.FromString("layer")
	d := digest.FromBytes(image(blob, random.IntN(4)))
	switch random.IntN(10) {
	case 0, 1, 2:
		must[Blob](t)(st.PutBlob(name, strings.NewReader("layer"), ""))
		m, err := st.PutManifest(name, Push{MediaType: mediaType, Content: image(blob, random.IntN(4)), Tags: []string{tag}})
		if err != nil {
			return
		}
		if _, err := st.Pull(name, m.Digest.String()); err != nil {
			t.Errorf("a manifest cannot be pulled where it was just pushed: %v", err)
		}
	case 3:
		_, _ = st.PutManifest(name, Push{MediaType: mediaType, Content: referring(blob, d, "application/x")})
	case 4:
		_ = st.PutTag(name, tag, d)
	case 5:
		_, _ = st.DeleteTag(name, tag)
	case 6:
		_ = st.DeleteManifest(name, d)
	case 7:
		enable := random.IntN(3) > 0
		_, _ = st.UpdateTag(name, tag, Change{Write: &enable})
		_, _ = st.UpdateManifest(name, d, Change{Delete: &enable})
	case 8:
		_ = st.Restore(name, d, tag, true)
		_ = st.DeleteBlob(name, blob)
	case 9:
		if random.IntN(4) == 0 {
			_, _, _ = st.DeleteRepository(name)
		}
		_, _ = st.MountBlob(name, "a", blob)
	}
}

// emptied deletes everything and says if any content is still held.
func emptied(st *Store, c *clock) error {
	on := true
	for r := range st.primary.repositories.snapshot() {
		for m := range r.manifests.snapshot() {
			_, _ = st.UpdateManifest(r.name, m.m.Digest, Change{Delete: &on, Write: &on})
		}
		for tag := range r.tags.snapshot() {
			_, _ = st.UpdateTag(r.name, tag.name, Change{Delete: &on, Write: &on})
		}
		if r.manifests.len() > 0 {
			if _, _, err := st.DeleteRepository(r.name); err != nil {
				return err
			}
		}
	}
	c.advance(48 * time.Hour)
	if _, err := st.Collect(0); err != nil {
		return err
	}
	c.advance(time.Hour)
	st.Replica(0).Repositories(Page{N: 1})
	st.Replica(1).Repositories(Page{N: 1})
	if n := len(st.pool.all); n > 0 {
		return fmt.Errorf("%d contents are still held", n)
	}
	return nil
}
