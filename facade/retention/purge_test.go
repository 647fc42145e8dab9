package retention_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
)

// Each row of the table "From acr purge": what acr-cli documents for the flags is what the rules do, but for the two
// differences that the table names.
func TestFromACRPurge(t *testing.T) {
	t.Parallel()
	const dev = `"tags":{"regexp":["dev-.*"]}`
	for _, row := range []struct {
		flags, members string
		left           []string // tags
		untagged       bool     // whether untagged manifests are left
	}{
		{`--filter 'app:dev-.*' --ago 30d`, `"delete":[{"name":"old",` + dev + `,"olderThan":"30d"}]`,
			[]string{"dev-locked", "dev-young", "my-dev-1", "release", "z"}, true},
		{`--filter 'app:dev-.*' --ago 30d --keep 2`, `"keep":[{"name":"k",` + dev + `,"newest":2}],"delete":[{"name":"old",` + dev + `,"olderThan":"30d"}]`,
			[]string{"dev-3", "dev-locked", "dev-young", "my-dev-1", "release", "z"}, true},
		{`--filter 'app:dev-.*' --ago 30d --untagged`, `"delete":[{"name":"old",` + dev + `,"olderThan":"30d"},{"name":"u","untagged":true,"olderThan":"30d"}]`,
			[]string{"dev-locked", "dev-young", "my-dev-1", "release", "z"}, false},
		{`--filter 'app:.*' --ago 30d --untagged-only`, `"delete":[{"name":"u","untagged":true,"olderThan":"30d"}]`,
			[]string{"dev-1", "dev-2", "dev-3", "dev-locked", "dev-young", "my-dev-1", "release", "z"}, false},
		{`--filter 'app:dev-.*' --ago 30d --include-locked`, `"unlock":true,"delete":[{"name":"old",` + dev + `,"olderThan":"30d"}]`,
			[]string{"dev-young", "my-dev-1", "release", "z"}, true},
	} {
		t.Run(row.flags, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put(w.image(), "dev-locked")
			w.patch(repository, "dev-locked", locked)
			for n := range 3 {
				w.days(1)
				w.put(w.image(), fmt.Sprintf("dev-%d", n+1))
			}
			w.put(w.image(), "my-dev-1")
			w.put(w.image(), "release")
			child := w.put(w.image())
			index := w.put(w.index(child), "release")
			loose := w.put(w.image())
			w.days(60)
			w.put(w.image(), "dev-young")
			w.put(w.image(), "z")
			w.days(2)
			r := rulesOf(t, row.members)
			dry := w.plan(r) // --dry-run
			w.clean(r, nil)
			s := w.shoot(repository)
			var tags []string
			for name := range s.tags {
				tags = append(tags, name)
			}
			slices.Sort(tags)
			if !slices.Equal(tags, row.left) {
				t.Errorf("left: %v, want %v", tags, row.left)
			}
			if _, there := s.manifests[loose]; there != row.untagged {
				t.Errorf("the untagged manifest is left: %v", there)
			}
			for _, d := range []digest.Digest{child, index} {
				if _, there := s.manifests[d]; !there {
					t.Errorf("%s of the index was lost", d)
				}
			}
			if total := dry.Repositories[0].Tags.Total - dry.Repositories[0].Tags.Delete; total != len(tags) {
				t.Errorf("the dry run left %d tags, the run %d", total, len(tags))
			}
		})
	}
}
