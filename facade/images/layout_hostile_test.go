package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// A51: links, pipes and devices in a layout.
func TestLayoutLinks(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A51 links in a layout", testLayoutLinks)
}

func testLayoutLinks(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, []byte("secret"))
	inside := digest.FromString("layer")
	for name, spoil := range map[string]func(dir string) error{
		"blobs leads elsewhere": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "blobs")), os.Symlink(filepath.Dir(secret), filepath.Join(dir, "blobs")))
		},
		"blobs leads to a directory inside": func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "blobs"), filepath.Join(dir, "other")), os.Symlink("other", filepath.Join(dir, "blobs")))
		},
		"a blob leads elsewhere": func(dir string) error {
			blob := filepath.Join(dir, "blobs", "sha256", inside.Encoded())
			return errors.Join(os.Remove(blob), os.Symlink(secret, blob))
		},
		"a blob is a directory": func(dir string) error {
			blob := filepath.Join(dir, "blobs", "sha256", inside.Encoded())
			return errors.Join(os.Remove(blob), os.Mkdir(blob, 0o750))
		},
		"a blob is a pipe": func(dir string) error {
			blob := filepath.Join(dir, "blobs", "sha256", inside.Encoded())
			return errors.Join(os.Remove(blob), makePipe(blob))
		},
		"index.json leads elsewhere": func(dir string) error {
			index := filepath.Join(dir, "index.json")
			return errors.Join(os.Remove(index), os.Symlink(secret, index))
		},
		"oci-layout is a pipe": func(dir string) error {
			marker := filepath.Join(dir, "oci-layout")
			return errors.Join(os.Remove(marker), makePipe(marker))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStock(t)
			root := s.image("amd64", "layer")
			s.name(root, "v1")
			dir := s.dir()
			other := s.memory(root)
			_, client := newRegistry(t)
			pushLayout(t, dir, "v1", client.Repository("team/app"), "v1", nil)
			if err := spoil(dir); errors.Is(err, errors.ErrUnsupported) {
				t.Skip("this system has no pipes in the file system")
			} else if err != nil {
				t.Fatal(err)
			}
			l, err := images.OpenLayout(dir, nil)
			if err == nil {
				defer func() { _ = l.Close() }()
				_, err = readAll(l.Fetch(t.Context(), describe("layer")))
				for _, from := range []images.Source{other, images.Of(client.Repository("team/app"))} {
					_, copied := images.Copy(t.Context(), from, "v1", l, "v2", nil)
					if e, ok := errors.AsType[*images.CopyError](copied); !ok || e.Side != images.AtTarget || !errors.Is(copied, images.ErrNotLayout) {
						t.Errorf("copied into it: %v", copied)
					}
				}
				if pushed := l.Push(t.Context(), describe("new"), strings.NewReader("new")); strings.HasPrefix(name, "blobs leads") && !errors.Is(pushed, images.ErrNotLayout) {
					t.Errorf("pushed: %v", pushed)
				}
			}
			if !errors.Is(err, images.ErrNotLayout) {
				t.Errorf("%v, want ErrNotLayout", err)
			}
			if string(readFile(t, secret)) != "secret" {
				t.Error("a file outside the layout was changed")
			}
		})
	}
}

// A52: a blob file of the right size with other bytes.
func TestLayoutHashesBeforeReuse(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A52 blob with other content", testLayoutHashesBeforeReuse)
}

func testLayoutHashesBeforeReuse(t *testing.T) {
	s := newStock(t)
	dir := s.dir()
	blob := filepath.Join(dir, "blobs", "sha256", digest.FromString("layer").Encoded())
	writeFile(t, blob, []byte("LAYER"))
	l := openLayout(t, dir, nil)
	if there, err := l.Exists(t.Context(), describe("layer")); there || err != nil {
		t.Errorf("there: %v, %v", there, err)
	}
	if _, err := readAll(l.Fetch(t.Context(), describe("layer"))); !errors.Is(err, acr.ErrDigestMismatch) {
		t.Errorf("read: %v", err)
	}
	if there, err := openLayout(t, dir, &images.LayoutOptions{TrustBlobs: true}).Exists(t.Context(), describe("layer")); !there || err != nil {
		t.Errorf("with TrustBlobs: %v, %v", there, err)
	}
	if err := l.Push(t.Context(), describe("layer"), strings.NewReader("layer")); err != nil {
		t.Fatal(err)
	}
	if there, err := l.Exists(t.Context(), describe("layer")); !there || err != nil || string(readFile(t, blob)) != "layer" {
		t.Errorf("mended: %v, %v", there, err)
	}
	// Once more, behind the back of a Layout that has hashed it already.
	writeFile(t, blob, []byte("longer than before"))
	if there, err := l.Exists(t.Context(), describe("layer")); there || err != nil {
		t.Errorf("there: %v, %v", there, err)
	}
}

// A52: a manifest's file that holds another manifest of the same size.
func TestLayoutManifestOfOther(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	one, two := s.image("amd64", "one"), s.image("amd64", "two")
	s.name(s.index(one), "v1")
	dir := s.dir()
	writeFile(t, filepath.Join(dir, "blobs", "sha256", one.Digest.Encoded()), s.blobs[two.Digest])
	l, to := openLayout(t, dir, nil), newMemory()
	_, err := images.Copy(t.Context(), l, "v1", to, "v1", nil)
	if e, ok := errors.AsType[*images.CopyError](err); !errors.Is(err, acr.ErrDigestMismatch) || !ok || e.Side != images.FromSource || e.Descriptor.Digest != one.Digest {
		t.Errorf("copied: %v", err)
	}
	if len(to.tags) != 0 || len(to.blobs) != 0 {
		t.Errorf("%d tags and %d blobs were copied", len(to.tags), len(to.blobs))
	}
	if _, err := images.Tree(t.Context(), l, "v1"); !errors.Is(err, acr.ErrDigestMismatch) {
		t.Errorf("shown: %v", err)
	}
	if _, err := l.Resolve(t.Context(), string(one.Digest)); !errors.Is(err, acr.ErrDigestMismatch) {
		t.Errorf("resolved: %v", err)
	}
}

func TestLayoutMalformed(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"nothing":            {},
		"no index.json":      {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`},
		"another version":    {"oci-layout": `{"imageLayoutVersion":"2.0.0"}`, "index.json": `{"schemaVersion":2}`},
		"no version":         {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{}`},
		"not JSON":           {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,]`},
		"cut short":          {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,`},
		"a list":             {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `[]`},
		"an odd digest":      {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,"manifests":[{"digest":"sha256:../../etc","size":1}]}`},
		"an odd algorithm":   {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,"manifests":[{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":1}]}`},
		"an upper-case one":  {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,"manifests":[{"digest":"sha256:` + strings.Repeat("A", 64) + `","size":1}]}`},
		"an archive of yore": {"manifest.json": `[]`},
		"a large marker":     {"oci-layout": `{"imageLayoutVersion":"1.0.0"` + strings.Repeat(" ", 5000) + `}`},
	} {
		dir := t.TempDir()
		for file, text := range files {
			writeFile(t, filepath.Join(dir, file), []byte(text))
		}
		_, err := images.OpenLayout(dir, nil)
		if !errors.Is(err, images.ErrNotLayout) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "an archive of yore" && !strings.Contains(err.Error(), "docker") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An index.json of very many entries is read, and one of them found.
func TestLayoutManyEntries(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	image := s.image("amd64", "layer")
	entries := acrsuite.UnderRace(5_000, 100_000)
	for i := range entries {
		s.name(image, fmt.Sprintf("t%06d", i))
	}
	l := openLayout(t, s.dir(), nil)
	if d, err := l.Resolve(t.Context(), fmt.Sprintf("t%06d", entries-1)); err != nil || d.Digest != image.Digest {
		t.Errorf("%v, %v", d, err)
	}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	index, _ := s.multi()
	blob := s.blobOf(digest.SHA512, "text/plain", []byte("a longer digest"))
	plain := s.archive(nil)
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(readFile(t, plain)); err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	zipped := filepath.Join(t.TempDir(), "image.tar.gz")
	writeFile(t, zipped, packed.Bytes())
	dotted := s.archive(func(h *tar.Header) *tar.Header { h.Name = "./" + h.Name; return h })
	gnu := s.archive(func(h *tar.Header) *tar.Header { h.Format = tar.FormatGNU; return h })
	pax := s.archive(func(h *tar.Header) *tar.Header {
		h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"ACRKIT.note": strings.Repeat("x", 600)}
		return h
	})
	for name, file := range map[string]string{"plain": plain, "gzip": zipped, "dotted": dotted, "gnu": gnu, "pax": pax} {
		l, err := images.OpenArchive(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d, err := l.Resolve(t.Context(), "v1"); err != nil || d.Digest != index.Digest {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		for d, want := range s.blobs {
			got, err := readAll(l.Fetch(t.Context(), s.describe(d)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %s: %v", name, d, err)
			}
			if there, err := l.Exists(t.Context(), s.describe(d)); !there || err != nil {
				t.Errorf("%s: %s: there %v, %v", name, d, there, err)
			}
		}
		if err := l.Push(t.Context(), describe("new"), strings.NewReader("new")); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: pushed: %v", name, err)
		}
		if err := l.Tag(t.Context(), blob, "v2"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: tagged: %v", name, err)
		}
		if err := l.Delete(t.Context(), blob); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: deleted: %v", name, err)
		}
		if _, err := l.Prune(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: pruned: %v", name, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A layer of more than 8 GiB, whose size stands in an extended header: the file is sparse, only its headers are real.
func TestArchiveLargeEntry(t *testing.T) {
	t.Parallel()
	const size = 8<<30 + 4<<10
	file := filepath.Join(t.TempDir(), "large.tar")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	large := digest.FromString("stands for a large blob")
	if err := w.WriteHeader(&tar.Header{Name: "blobs/sha256/" + large.Encoded(), Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	head := b.Len()
	if _, err := f.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("end of it"), int64(head)+size-9); err != nil {
		t.Fatal(err)
	}
	s := newStock(t)
	image := s.image("amd64", "small")
	s.name(image, "v1")
	rest := readFile(t, s.archive(nil))
	if _, err := f.WriteAt(rest, int64(head)+size); err != nil {
		t.Fatal(err)
	}
	l, err := images.OpenArchive(file)
	if err != nil {
		t.Skipf("this file system takes no sparse file of 8 GiB: %v", err)
	}
	defer func() { _ = l.Close() }()
	r, err := l.Fetch(t.Context(), ocispec.Descriptor{Digest: large, Size: size})
	if err != nil {
		t.Fatal(err) // the size that is in the archive is the one that is compared
	}
	_ = r.Close()
	if got, err := readAll(l.Fetch(t.Context(), describe("small"))); err != nil || string(got) != "small" {
		t.Errorf("the entry behind it: %q, %v", got, err)
	}
}

func TestArchiveHostile(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.name(s.image("amd64", "layer"), "v1")
	layer := "blobs/sha256/" + digest.FromString("layer").Encoded()
	for name, edit := range map[string]func(*tar.Header) *tar.Header{
		"a symbolic link in the place of the index": func(h *tar.Header) *tar.Header {
			if h.Name == "index.json" {
				return &tar.Header{Name: h.Name, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}
			}
			return h
		},
		"a hard link in the place of a layer": func(h *tar.Header) *tar.Header {
			if h.Name == layer {
				return &tar.Header{Name: h.Name, Typeflag: tar.TypeLink, Linkname: "index.json"}
			}
			return h
		},
		"a device in the place of a layer": func(h *tar.Header) *tar.Header {
			if h.Name == layer {
				return &tar.Header{Name: h.Name, Typeflag: tar.TypeChar}
			}
			return h
		},
	} {
		l, err := images.OpenArchive(s.archive(edit))
		if err == nil {
			_, err = readAll(l.Fetch(t.Context(), describe("layer")))
			_ = l.Close()
		}
		if !errors.Is(err, images.ErrNotLayout) {
			t.Errorf("%s: %v", name, err)
		}
	}

	twice := s.archive(nil)
	b := readFile(t, twice)
	end := bytes.TrimRight(b, "\x00")
	aligned := (len(end) + 511) / 512 * 512
	writeFile(t, twice, append(append([]byte{}, b[:aligned]...), b...)) // every entry is there twice
	if _, err := images.OpenArchive(twice); !errors.Is(err, images.ErrNotLayout) {
		t.Errorf("two index.json: %v", err)
	}
	cut := s.archive(nil)
	b = readFile(t, cut)
	for _, n := range []int{0, 1, 511, 512, 600, 1000} {
		writeFile(t, cut, b[:n])
		l, err := images.OpenArchive(cut)
		if err == nil {
			_ = l.Close()
			t.Errorf("opened the first %d bytes of an archive", n)
		} else if !errors.Is(err, images.ErrNotLayout) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	outside := s.archive(func(h *tar.Header) *tar.Header { h.Name = "../" + h.Name; return h })
	if _, err := images.OpenArchive(outside); !errors.Is(err, images.ErrNotLayout) {
		t.Errorf("names that lead out of the archive: %v", err)
	}
	if _, err := images.OpenArchive(filepath.Join(t.TempDir(), "none.tar")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// What a layout says of itself never reaches a terminal as it is.
func TestLayoutErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	l := openLayout(t, s.dir(), nil)
	_, err := l.Resolve(t.Context(), "a\x1b[31m\nname"+strings.Repeat("x", 1000))
	if !errors.Is(err, errdef.ErrNotFound) || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 1024 {
		t.Errorf("%q", err)
	}
	raw, _ := json.Marshal(map[string]string{"imageLayoutVersion": "1\n2\x1b"})
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "oci-layout"), raw)
	if _, err := images.OpenLayout(dir, nil); err == nil || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("%q", err)
	}
}
