package store

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// Lost gives the blobs whose files were missing or too short when the directory was opened, as the
// loss of power can leave them. No repository has them any more, so that they can be pushed again.
func (st *Store) Lost() []digest.Digest { return st.lost }

// unlinkLost takes the blobs whose file is not as large as it was out of all repositories.
func (st *Store) unlinkLost(sizes map[digest.Digest]int64) error {
	for r := range st.primary.repositories.snapshot() {
		for d, l := range r.links {
			if size, ok := sizes[d]; ok && size >= l.blob.size {
				continue
			}
			rec := &record{Op: opUnlink, Time: st.time(), Repository: r.name, Digest: d}
			if err := st.journal.append(rec); err != nil {
				return err
			}
			st.replay(rec)
			if !slices.Contains(st.lost, d) {
				st.lost = append(st.lost, d)
			}
		}
	}
	return nil
}
