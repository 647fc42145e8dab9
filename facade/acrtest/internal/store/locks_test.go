package store_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// TestLocks is the table of what each attribute of each object blocks.
func TestLocks(t *testing.T) {
	t.Parallel()
	off := new(false)
	for attribute, change := range map[string]store.Change{
		"delete": {Delete: off}, "write": {Write: off}, "read": {Read: off}, "list": {List: off},
	} {
		for _, object := range []string{"repository", "tag", "manifest"} {
			t.Run(object+" "+attribute, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, store.Options{})
				d := f.image("r", 1, "t")
				var err error
				switch object {
				case "repository":
					_, err = f.UpdateRepository("r", change)
				case "tag":
					_, err = f.UpdateTag("r", "t", change)
				default:
					_, err = f.UpdateManifest("r", d, change)
				}
				f.ok(err)
				if diff := cmp.Diff(blockedBy[object+" "+attribute], f.blocked(d)); diff != "" {
					t.Errorf("blocked (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// blockedBy names the operations that each lock blocks.
var blockedBy = map[string][]string{
	"repository delete": {"delete repository"},
	"repository write":  {"push", "move tag", "push blob", "delete blob", "delete tag", "delete manifest", "delete repository"},
	"repository read":   {"pull tag", "pull digest", "pull blob", "mount"},
	"repository list":   {"catalog"},
	"tag delete":        {"delete tag", "delete manifest", "delete repository"},
	"tag write":         {"move tag", "delete tag", "delete manifest", "delete repository"},
	"tag read":          {"pull tag"},
	"tag list":          {"list tags"},
	"manifest delete":   {"delete manifest", "delete repository"},
	"manifest write":    {"delete manifest", "delete repository"},
	"manifest read":     {"pull tag", "pull digest"},
	"manifest list":     {"list manifests"},
}

// blocked tries everything and names what was blocked, least harm first.
func (f *fixture) blocked(d digest.Digest) (blocked []string) {
	f.t.Helper()
	try := func(operation string, err error) {
		f.t.Helper()
		switch {
		case errors.Is(err, store.ErrDisallowed):
			blocked = append(blocked, operation)
		case err != nil:
			f.t.Errorf("%s: %v", operation, err)
		}
	}
	layer := digest.FromString("layer")
	if names, _ := f.Repositories(store.Page{N: 10}); len(names) == 0 {
		blocked = append(blocked, "catalog")
	}
	if len(f.tags("r", store.Page{N: 10})) == 0 {
		blocked = append(blocked, "list tags")
	}
	if list, _, err := f.Manifests("r", store.Page{N: 10}); err != nil || len(list) == 0 {
		blocked = append(blocked, "list manifests")
	}
	_, err := f.Pull("r", "t")
	try("pull tag", err)
	_, err = f.Pull("r", d.String())
	try("pull digest", err)
	_, err = f.Blob("r", layer)
	try("pull blob", err)
	_, err = f.MountBlob("other", "r", layer)
	try("mount", err)
	other := store.Push{MediaType: "x/y", Content: []byte("other")}
	_, err = f.PutManifest("r", other)
	try("push", err)
	other.Tags = []string{"t"}
	if _, err = f.PutManifest("r", other); err == nil {
		err = f.PutTag("r", "t", d)
	}
	try("move tag", err)
	try("push blob", f.Writable("r"))
	try("delete blob", f.DeleteBlob("r", layer))
	if _, err = f.DeleteTag("r", "t"); err == nil {
		err = f.PutTag("r", "t", d)
	}
	try("delete tag", err)
	if err = f.DeleteManifest("r", d); err == nil {
		_, err = f.PutManifest("r", store.Push{MediaType: "x/y", Content: []byte("so that there is something")})
	}
	try("delete manifest", err)
	_, _, err = f.DeleteRepository("r")
	try("delete repository", err)
	return blocked
}
