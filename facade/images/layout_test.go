package images_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

func TestLayoutCreate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "layout")
	if _, err := images.OpenLayout(dir, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened a directory that does not exist: %v", err)
	}
	openLayout(t, dir, &images.LayoutOptions{Create: true})
	l := openLayout(t, dir, nil)
	if _, err := l.Resolve(t.Context(), "v1"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("an empty layout resolves a name: %v", err)
	}
	if n := len(slices.Collect(l.Entries())); n != 0 {
		t.Errorf("an empty layout has %d entries", n)
	}
	if l.Path() != dir {
		t.Error(l.Path())
	}

	strange := t.TempDir()
	writeFile(t, filepath.Join(strange, "letters.txt"), []byte("mine"))
	if _, err := images.OpenLayout(strange, &images.LayoutOptions{Create: true}); !errors.Is(err, images.ErrNotLayout) {
		t.Errorf("made a layout of a directory with files in it: %v", err)
	}
}

func TestLayoutPush(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	index, _ := s.multi()
	signature := s.referrer(index, "application/vnd.example.signature", "signed")
	dir := t.TempDir()
	l := openLayout(t, dir, &images.LayoutOptions{Create: true})
	for d, content := range s.blobs {
		if err := l.Push(t.Context(), s.describe(d), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Push(t.Context(), index, bytes.NewReader(s.blobs[index.Digest])); !errors.Is(err, errdef.ErrAlreadyExists) {
		t.Errorf("pushed twice: %v", err)
	}
	if err := l.Tag(t.Context(), index, "v1"); err != nil {
		t.Fatal(err)
	}
	s.holds(dir, index, signature)
	again := openLayout(t, dir, nil)
	for _, reference := range []string{"v1", string(index.Digest)} {
		if d, err := again.Resolve(t.Context(), reference); err != nil || d.Digest != index.Digest || d.MediaType != index.MediaType || d.Size != index.Size {
			t.Errorf("%s: %v, %v", reference, d, err)
		}
	}
	found, err := again.Predecessors(t.Context(), index)
	if err != nil || len(found) != 1 || found[0].Digest != signature.Digest || found[0].ArtifactType != "application/vnd.example.signature" {
		t.Errorf("predecessors: %v, %v", found, err)
	}
	for _, wrong := range []struct {
		d       ocispec.Descriptor
		content string
		want    error
	}{
		{ocispec.Descriptor{MediaType: "text/plain", Digest: "sha256:" + "00", Size: 1}, "x", nil},
		{describe("some text"), "other txt", acr.ErrDigestMismatch},
		{describe("some text"), "some text and more", acr.ErrSizeMismatch},
		{describe("some text"), "some", acr.ErrSizeMismatch},
	} {
		if err := l.Push(t.Context(), wrong.d, strings.NewReader(wrong.content)); err == nil || wrong.want != nil && !errors.Is(err, wrong.want) {
			t.Errorf("%q for %s: %v", wrong.content, wrong.d.Digest, err)
		}
	}
	noTemporaryFiles(t, dir)
}

// describe is the descriptor of what the stock has under a digest.
func (s *stock) describe(d digest.Digest) ocispec.Descriptor {
	s.t.Helper()
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(s.blobs[d]))}
	var m struct {
		MediaType string
	}
	if json.Unmarshal(s.blobs[d], &m) == nil && m.MediaType != "" {
		desc.MediaType = m.MediaType
	}
	return desc
}

func describe(text string) ocispec.Descriptor {
	return (&stock{blobs: map[digest.Digest][]byte{}}).blob("text/plain", []byte(text))
}

func noTemporaryFiles(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if base := filepath.Base(name); strings.HasPrefix(base, ".") && base != ".index.json.lock" {
			t.Errorf("%s was left", base)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLayoutNames(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	one, two := s.image("amd64", "one"), s.image("amd64", "two")
	s.name(one, "registry.example.com/team/app:v1")
	s.name(two, "registry.example.com/team/other:v1")
	s.name(two, "latest")
	byContainerd := one
	byContainerd.Annotations = map[string]string{"io.containerd.image.name": "docker.io/library/app:v7", ocispec.AnnotationRefName: "v7"}
	s.entries = append(s.entries, byContainerd)
	l := openLayout(t, s.dir(), nil)
	for reference, want := range map[string]any{
		"registry.example.com/team/app:v1": one.Digest,
		"v1":                               images.ErrAmbiguous,
		"":                                 images.ErrAmbiguous,
		"latest":                           two.Digest,
		"v7":                               one.Digest,
		"docker.io/library/app:v7":         one.Digest,
		string(two.Digest):                 two.Digest,
		"v2":                               errdef.ErrNotFound,
		"team":                             errdef.ErrNotFound,
	} {
		d, err := l.Resolve(t.Context(), reference)
		if wrong, ok := want.(error); ok && !errors.Is(err, wrong) || !ok && (err != nil || d.Digest != want) {
			t.Errorf("%q: %s, %v, want %v", reference, d.Digest, err, want)
		}
	}
	var tags []string
	if err := l.Tags(t.Context(), "latest", func(names []string) error { tags = append(tags, names...); return nil }); err != nil ||
		!slices.Equal(tags, []string{"registry.example.com/team/app:v1", "registry.example.com/team/other:v1", "v7"}) {
		t.Errorf("%q, %v", tags, err)
	}

	single := newStock(t)
	only := single.image("amd64", "only")
	single.name(only, "")
	if d, err := openLayout(t, single.dir(), nil).Resolve(t.Context(), ""); err != nil || d.Digest != only.Digest {
		t.Errorf("the only image: %v, %v", d, err)
	}
}

// Entries of other programs, and members that this package does not know, stay as they are, byte for byte.
func TestLayoutKeepsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	one, two := s.image("amd64", "one"), s.image("amd64", "two")
	dir := s.dir()
	theirs := fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q,"annotations":{"org.opencontainers.image.ref.name":"theirs","x":"y"},"unknown":[1,2]}`,
		one.MediaType, one.Size, one.Digest)
	writeFile(t, filepath.Join(dir, "index.json"), []byte(`{"schemaVersion":2,"custom":{"a":1},"annotations":{"k":"v"},"manifests":[`+theirs+`]}`))
	l := openLayout(t, dir, nil)
	for _, name := range []string{"mine", "also-mine", "mine"} {
		if err := l.Tag(t.Context(), two, name); err != nil {
			t.Fatal(err)
		}
	}
	got := string(readFile(t, filepath.Join(dir, "index.json")))
	for _, want := range []string{theirs, `"custom":{"a":1}`, `"annotations":{"k":"v"}`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if strings.Count(got, string(two.Digest)) != 2 {
		t.Error(got)
	}
	if err := l.Tag(t.Context(), one, "mine"); err != nil { // the name moves
		t.Fatal(err)
	}
	if d, err := openLayout(t, dir, nil).Resolve(t.Context(), "mine"); err != nil || d.Digest != one.Digest {
		t.Errorf("%s, %v", d.Digest, err)
	}
	if err := l.Untag(t.Context(), "mine"); err != nil {
		t.Fatal(err)
	}
	if err := l.Untag(t.Context(), "mine"); !errors.Is(err, errdef.ErrNotFound) {
		t.Error(err)
	}
	if !strings.Contains(string(readFile(t, filepath.Join(dir, "index.json"))), theirs) {
		t.Error("their entry is gone")
	}
}

// Many writers of one layout lose none of each other's names.
func TestLayoutWriters(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	image := s.image("amd64", "layer")
	dir := s.dir()
	var wg sync.WaitGroup
	for w := range 4 {
		l := openLayout(t, dir, nil)
		wg.Go(func() {
			for i := range 8 {
				if err := l.Tag(t.Context(), image, fmt.Sprintf("t%d-%d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(slices.Collect(openLayout(t, dir, nil).Entries())); n != 32 {
		t.Errorf("%d names, want 32", n)
	}
}

func TestLayoutDeleteAndPrune(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	index, platforms := s.multi()
	old := s.image("amd64", "old layer")
	signature := s.referrer(platforms[0], "application/vnd.example.signature", "signed")
	s.name(old, "old")
	s.name(signature, "")
	dir := s.dir()
	writeFile(t, filepath.Join(dir, "blobs", "sha256", ".abc.123.partial"), []byte("half"))
	writeFile(t, filepath.Join(dir, "blobs", "sha256", "README"), []byte("not a blob"))
	l := openLayout(t, dir, nil)
	if freed, err := l.Prune(t.Context()); err != nil || freed != 4 {
		t.Errorf("freed %d, %v: nothing but the partial file is superfluous", freed, err)
	}
	if err := l.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := l.Delete(t.Context(), old); !errors.Is(err, errdef.ErrNotFound) {
		t.Error(err)
	}
	if freed, err := l.Prune(t.Context()); err != nil || freed < int64(len("old layer")) {
		t.Errorf("freed %d, %v", freed, err)
	}
	s.holds(dir, index, signature)
	if _, err := os.Stat(filepath.Join(dir, "blobs", "sha256", "README")); err != nil {
		t.Error(err)
	}
	// A manifest that cannot be read may need anything.
	damaged := filepath.Join(dir, "blobs", "sha256", platforms[1].Digest.Encoded())
	writeFile(t, damaged, bytes.Repeat([]byte("x"), int(platforms[1].Size)))
	if freed, err := l.Prune(t.Context()); !errors.Is(err, acr.ErrDigestMismatch) || freed != 0 {
		t.Errorf("pruned a damaged layout: %d, %v", freed, err)
	}
}

// A layout stays where it was opened when the process goes elsewhere.
func TestLayoutStaysWhereItIs(t *testing.T) {
	s := newStock(t)
	root := s.image("amd64", "layer")
	s.name(root, "v1")
	_, client := newRegistry(t)
	from := client.Repository("team/app")
	pushLayout(t, s.dir(), "v1", from, "v1", nil)
	work := t.TempDir()
	t.Chdir(work)
	l := openLayout(t, "layout", &images.LayoutOptions{Create: true})
	t.Chdir(t.TempDir())
	if _, err := images.Copy(t.Context(), images.Of(from), "v1", l, "v1", nil); err != nil {
		t.Fatal(err)
	}
	s.holds(filepath.Join(work, "layout"), root)
}
