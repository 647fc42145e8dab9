package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

const (
	mediaType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// fixture is a store with a clock of its own.
type fixture struct {
	*store.Store
	t   testing.TB
	now time.Time
}

func newFixture(t testing.TB, opts store.Options) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	opts.Now = func() time.Time { return f.now }
	st, err := store.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	f.Store = st
	return f
}

func (f *fixture) blob(name, content string) digest.Digest {
	f.t.Helper()
	b, err := f.PutBlob(name, strings.NewReader(content), "")
	if err != nil {
		f.t.Fatal(err)
	}
	return b.Digest
}

func (f *fixture) image(name string, number int, tags ...string) digest.Digest {
	f.t.Helper()
	b := f.blob(name, "layer")
	return f.manifest(name, mediaType, fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":5},`+
		`"layers":[{"digest":%[1]q,"size":5}],"annotations":{"n":"%[2]d"}}`, b, number), tags...)
}

func (f *fixture) manifest(name, mediaType, content string, tags ...string) digest.Digest {
	f.t.Helper()
	m, err := f.PutManifest(name, store.Push{MediaType: mediaType, Content: []byte(content), Tags: tags})
	if err != nil {
		f.t.Fatal(err)
	}
	return m.Digest
}

func (f *fixture) tags(name string, p store.Page) []string {
	f.t.Helper()
	tags, _, err := f.Tags(name, "", p)
	if err != nil {
		f.t.Fatal(err)
	}
	names := []string{}
	for _, t := range tags {
		names = append(names, t.Name)
	}
	return names
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) refused(err, want error) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Errorf("got %v, want %v", err, want)
	}
}

// TestManifestProperties wants what is read from a manifest and its configuration.
func TestManifestProperties(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{})
	config := f.blob("r", `{"architecture":"arm64","os":"linux"}`)
	layer := f.blob("r", "layer")
	image := f.manifest("r", store.DockerManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":37},`+
		`"layers":[{"digest":%q,"size":5},{"digest":"sha256:%064d","size":7,"urls":["https://example.com/"]}]}`, store.DockerManifest, store.DockerConfig, config, layer, 0), "b", "a")
	m, err := f.Manifest("r", image)
	f.ok(err)
	got := fmt.Sprint(m.MediaType, m.ConfigMediaType, m.Architecture, m.OS, m.ImageSize, m.Tags)
	if want := fmt.Sprint(store.DockerManifest, store.DockerConfig, "arm64", "linux", 12, []string{"a", "b"}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	index := f.manifest("r", indexType, fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"digest":%q,"size":9,"platform":{"architecture":"arm64","os":"linux"}}]}`, image))
	m, err = f.Manifest("r", index)
	f.ok(err)
	want := []store.Reference{{Digest: image, Architecture: "arm64", OS: "linux"}}
	if diff := cmp.Diff(want, m.References); diff != "" || m.Architecture != "" || m.ImageSize != 9 || m.Tags != nil {
		t.Errorf("index: %+v\n%s", m, diff)
	}
	if _, err := f.PutManifest("r", store.Push{MediaType: "text/plain", Content: []byte("not JSON")}); err != nil {
		t.Errorf("a manifest of a type of its own: %v", err)
	}
}

// TestRefusedManifests is the table of pushes that leave nothing behind.
func TestRefusedManifests(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{})
	for name, c := range map[string]struct {
		push store.Push
		want error
	}{
		"other type":       {store.Push{MediaType: mediaType, Content: []byte(`{"mediaType":"` + indexType + `"}`)}, store.ErrManifestInvalid},
		"Docker untyped":   {store.Push{MediaType: store.DockerManifest, Content: []byte(`{}`)}, store.ErrManifestInvalid},
		"not JSON":         {store.Push{MediaType: mediaType, Content: []byte(`{`)}, store.ErrManifestInvalid},
		"too large":        {store.Push{MediaType: "x/y", Content: make([]byte, store.MaxManifest+1)}, store.ErrManifestInvalid},
		"other digest":     {store.Push{MediaType: mediaType, Content: []byte(`{}`), Digest: digest.FromString("x")}, store.ErrDigestMismatch},
		"unknown digest":   {store.Push{MediaType: mediaType, Content: []byte(`{}`), Digest: "md5:" + digest.Digest(strings.Repeat("0", 32))}, store.ErrDigestMismatch},
		"config no digest": {store.Push{MediaType: mediaType, Content: []byte(`{"config":{"digest":"x"}}`)}, store.ErrManifestInvalid},
		"bad subject":      {store.Push{MediaType: mediaType, Content: []byte(`{"subject":{"digest":"x"}}`)}, store.ErrManifestInvalid},
		"bad entry":        {store.Push{MediaType: indexType, Content: []byte(`{"manifests":[{"digest":"../x"}]}`)}, store.ErrManifestInvalid},
	} {
		if _, err := f.PutManifest("r", c.push); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var missing *store.MissingError
	_, err := f.PutManifest("r", store.Push{MediaType: mediaType, Content: fmt.Appendf(nil, `{"config":{"digest":%q}}`, digest.FromString("config"))})
	if !errors.As(err, &missing) || !slices.Equal(missing.Digests, []digest.Digest{digest.FromString("config")}) {
		t.Errorf("a missing blob: %v", err)
	}
	if names, _ := f.Repositories(store.Page{N: 10}); names != nil {
		t.Errorf("left behind: %v", names)
	}
}

// TestReferrersGoWithTheirSubject deletes a subject with a tree of referrers.
func TestReferrersGoWithTheirSubject(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{})
	subject := f.image("r", 1, "t")
	config := digest.FromString("layer")
	refer := func(to digest.Digest, kind string) digest.Digest {
		return f.manifest("r", mediaType, fmt.Sprintf(`{"artifactType":%q,"config":{"mediaType":"c/c","digest":%q,"size":5},"subject":{"digest":%q}}`, kind, config, to))
	}
	first, second := refer(subject, "a/a"), refer(subject, "")
	third := refer(second, "a/b")
	list := func(to digest.Digest, kind string) (got []digest.Digest) {
		page, _ := f.Referrers("r", to, kind, store.Page{N: 10})
		for _, m := range page {
			got = append(got, m.Digest)
		}
		return got
	}
	want := []digest.Digest{first, second}
	slices.Sort(want)
	if got := list(subject, ""); !slices.Equal(got, want) {
		t.Errorf("referrers %v, want %v", got, want)
	}
	if got := list(subject, "c/c"); !slices.Equal(got, []digest.Digest{second}) {
		t.Errorf("referrers typed by their config: %v", got)
	}
	_, err := f.UpdateManifest("r", third, store.Change{Delete: new(false)})
	f.ok(err)
	f.refused(f.DeleteManifest("r", subject), store.ErrDisallowed)
	_, err = f.UpdateManifest("r", third, store.Change{Delete: new(true)})
	f.ok(err)
	f.ok(f.DeleteManifest("r", subject))
	if _, err := f.Repository("r"); !errors.Is(err, store.ErrRepositoryUnknown) {
		t.Errorf("something stayed: %v", err)
	}
	if got := list(subject, ""); got != nil {
		t.Errorf("referrers of what is gone: %v", got)
	}
}

// TestListsByTime wants the order of the last update, also under a clock that stands still.
func TestListsByTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{})
	for i, tag := range []string{"c", "a", "b"} {
		f.image("r", i, tag)
	}
	f.image("r", 0, "c") // pushed again
	if got := f.tags("r", store.Page{N: 9, Order: store.ByTimeAscending}); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("oldest first: %v", got)
	}
	if got := f.tags("r", store.Page{N: 9, Order: store.ByTimeDescending, After: "c"}); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("newest first, after c: %v", got)
	}
	tag, err := f.Tag("r", "c")
	f.ok(err)
	if !tag.Created.Before(tag.Updated) {
		t.Errorf("created %v, updated %v", tag.Created, tag.Updated)
	}
	of, more, err := f.Tags("r", tag.Digest, store.Page{N: 1, Order: store.ByTimeDescending})
	if err != nil || len(of) != 1 || of[0].Name != "c" || more {
		t.Errorf("tags of one manifest: %v, %t, %v", of, more, err)
	}
}

// TestSoftDelete deletes, lists, restores, and lets the time pass.
func TestSoftDelete(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{SoftDelete: 7 * 24 * time.Hour})
	d := f.image("r", 1, "t", "u")
	f.ok(f.DeleteManifest("r", d))
	names, _ := f.DeletedRepositories(store.Page{N: 10})
	manifests, _, err := f.DeletedManifests("r", store.Page{N: 10})
	f.ok(err)
	tags, _, err := f.DeletedTags("r", store.Page{N: 10})
	f.ok(err)
	if !slices.Equal(names, []string{"r"}) || len(manifests) != 1 || !slices.Equal(manifests[0].Tags, []string{"t", "u"}) || len(tags) != 2 || tags[0].Name != "t" {
		t.Errorf("deleted: %v, %v, %v", names, manifests, tags)
	}
	_, err = f.PutManifest("r", store.Push{MediaType: mediaType, Content: manifests[0].Content})
	f.refused(err, store.ErrDisallowed)
	if c, err := f.Collect(0); err != nil || c != (store.Collected{}) {
		t.Errorf("collected %+v, %v while it can be restored", c, err)
	}
	other := f.image("r", 2, "t")
	f.refused(f.Restore("r", d, "t", false), store.ErrConflict)
	f.ok(f.Restore("r", d, "t", true))
	m, err := f.Manifest("r", d)
	f.ok(err)
	if !slices.Equal(m.Tags, []string{"t"}) {
		t.Errorf("restored with %v", m.Tags)
	}
	f.refused(f.Restore("r", d, "", false), store.ErrManifestUnknown)
	f.ok(f.Restore("r", d, "u", false))

	f.ok(f.DeleteManifest("r", d))
	f.ok(f.DeleteManifest("r", other))
	f.now = f.now.Add(8 * 24 * time.Hour)
	if names, _ := f.DeletedRepositories(store.Page{N: 10}); names != nil {
		t.Errorf("still kept: %v", names)
	}
	f.refused(f.Restore("r", d, "", false), store.ErrManifestUnknown)
	if c, err := f.Collect(0); err != nil || c.Blobs != 1 {
		t.Errorf("collected %+v, %v", c, err)
	}
	f.image("r", 1, "t") // the digest is free again
}

// TestReplicaLag wants reads to see each write, and each deletion, so much later.
func TestReplicaLag(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{ReplicaLag: time.Minute})
	d := f.image("r", 1, "t")
	layer := digest.FromString("layer")
	_, err := f.Tag("r", "t")
	f.refused(err, store.ErrTagUnknown)
	_, err = f.Blob("r", layer)
	f.refused(err, store.ErrBlobUnknown)
	f.now = f.now.Add(2 * time.Minute)
	_, err = f.Pull("r", "t")
	f.ok(err)
	_, err = f.Blob("r", layer)
	f.ok(err)
	f.ok(f.DeleteManifest("r", d))
	f.ok(f.DeleteBlob("r", layer))
	b, err := f.Blob("r", layer)
	f.ok(err)
	if _, err := b.Open(); err != nil {
		t.Errorf("the bytes went before the replica let go of them: %v", err)
	}
	f.now = f.now.Add(2 * time.Minute)
	_, err = f.Repository("r")
	f.refused(err, store.ErrRepositoryUnknown)
	_, err = f.Content(layer)
	if err == nil {
		_, err = f.Blob("r", layer)
	}
	f.refused(err, store.ErrBlobUnknown)
}

// TestQuarantine hides a manifest that waits for its scan from those who ask by tag.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{})
	d := f.image("r", 1, "t")
	_, err := f.UpdateManifest("r", d, store.Change{QuarantineState: new("Quarantined"), QuarantineDetails: new("{}")})
	f.ok(err)
	_, err = f.Pull("r", "t")
	f.refused(err, store.ErrManifestUnknown)
	_, err = f.Pull("r", d.String())
	f.refused(err, store.ErrDisallowed)
	_, err = f.UpdateManifest("r", d, store.Change{QuarantineState: new("Passed")})
	f.ok(err)
	_, err = f.Pull("r", "t")
	f.ok(err)
}
