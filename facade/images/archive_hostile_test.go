package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/images"
)

// A small file that unpacks to a very large one must not fill the disk, and unpacking ends with the context.
func TestArchiveBomb(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err == nil {
		_, err = io.CopyN(zip, zeros{}, 10<<20)
	}
	if err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bomb.tar.gz")
	writeFile(t, file, bytes.Repeat(packed.Bytes(), 30)) // what gzip files say one after another is one content
	if _, err := images.OpenArchive(file); !errors.Is(err, images.ErrNotLayout) || !strings.Contains(err.Error(), "times its size") {
		t.Errorf("%v", err)
	}
	_, client := newRegistry(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := images.Push(ctx, file, "v1", client.Repository("team/app"), "v1", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Whatever an archive holds, opening and reading it ends, and what is read without an error is what its digest says.
func FuzzArchive(f *testing.F) {
	s := newStock(f)
	s.multi()
	plain := readFile(f, s.archive(nil))
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(plain); err != nil || zip.Close() != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(packed.Bytes())
	f.Add([]byte("\x1f\x8b"))
	file := filepath.Join(f.TempDir(), "image.tar")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := images.OpenArchive(file)
		if err != nil {
			oneLine(t, err)
			return
		}
		defer func() { _ = l.Close() }()
		readLayout(t, l)
	})
}

// Whatever index.json holds, it is read or refused, and a change keeps what others have written.
func FuzzLayoutIndex(f *testing.F) {
	s := newStock(f)
	s.multi()
	f.Add(s.files()["index.json"])
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:` + strings.Repeat("0", 64) + `","annotations":{"org.opencontainers.image.ref.name":"a"}}],"x":[1]}`))
	dir := s.dir()
	image := s.image("riscv64", "another")
	for d, content := range s.blobs {
		writeFile(f, filepath.Join(dir, "blobs", "sha256", d.Encoded()), content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, "index.json"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := images.OpenLayout(dir, &images.LayoutOptions{NoSync: true})
		if err != nil {
			oneLine(t, err)
			return
		}
		defer func() { _ = l.Close() }()
		readLayout(t, l)
		before := map[digest.Digest]bool{}
		for e := range l.Entries() {
			if e.Name != "new" {
				before[e.Descriptor.Digest] = true
			}
		}
		if err := l.Tag(t.Context(), image, "new"); err != nil {
			t.Fatal(err)
		}
		again, err := images.OpenLayout(dir, nil)
		if err != nil {
			t.Fatalf("it wrote what it cannot read: %v", err)
		}
		defer func() { _ = again.Close() }()
		if d, err := again.Resolve(t.Context(), "new"); err != nil || d.Digest != image.Digest {
			t.Errorf("%v, %v", d, err)
		}
		for e := range again.Entries() {
			delete(before, e.Descriptor.Digest)
		}
		if len(before) > 0 {
			t.Errorf("lost: %v", before)
		}
	})
}

// readLayout reads what index.json names.
func readLayout(t *testing.T, l *images.Layout) {
	t.Helper()
	n := 0
	for e := range l.Entries() {
		if n++; n > 20 {
			return
		}
		_, err := l.Resolve(t.Context(), e.Name)
		oneLine(t, err)
		_, err = images.Tree(t.Context(), l, string(e.Descriptor.Digest))
		oneLine(t, err)
		_, err = l.Predecessors(t.Context(), e.Descriptor)
		oneLine(t, err)
		got, err := readAll(l.Fetch(t.Context(), e.Descriptor))
		oneLine(t, err)
		if err == nil && e.Descriptor.Digest.Algorithm().FromBytes(got) != e.Descriptor.Digest {
			t.Errorf("%s has other content", e.Descriptor.Digest)
		}
	}
}

// oneLine demands that an error is one line that a terminal does not act upon.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.ContainsAny(err.Error(), "\x1b\n\r\x00\u2028\u202e") {
		t.Errorf("%q", err)
	}
}

// Archives that other tools write in their ways are read; those that can be read in two ways are not.
func TestArchiveOdd(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.name(s.image("amd64", "layer"), "v1")
	layer := "blobs/sha256/" + digest.FromString("layer").Encoded()
	plain := readFile(t, s.archive(nil))
	zipped := func(parts ...[]byte) []byte {
		var b bytes.Buffer
		for _, p := range parts {
			zip := gzip.NewWriter(&b)
			if _, err := zip.Write(p); err != nil || zip.Close() != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	edited := func(edit func(h *tar.Header)) []byte {
		return readFile(t, s.archive(func(h *tar.Header) *tar.Header { edit(h); return h }))
	}
	global := func() []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": layer, "size": "3"}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		return append(b.Bytes(), plain...)
	}
	half := len(plain) / 2
	for name, c := range map[string]struct {
		content []byte
		refused bool
	}{
		"gzip in two parts":           {content: zipped(plain[:half], plain[half:])},
		"gzip with an empty part":     {content: zipped(nil, plain, nil)},
		"gzip and something behind":   {content: append(zipped(plain), "something"...), refused: true},
		"gzip in gzip":                {content: zipped(zipped(plain)), refused: true},
		"gzip that ends early":        {content: zipped(plain)[:len(zipped(plain))-9], refused: true},
		"gzip with a wrong checksum":  {content: flipped(zipped(plain), -8), refused: true},
		"a global header that lies":   {content: global()},
		"names that go round":         {content: edited(func(h *tar.Header) { h.Name = "./x/../" + h.Name })},
		"absolute names":              {content: edited(func(h *tar.Header) { h.Name = "/" + h.Name }), refused: true},
		"a blob in upper case":        {content: edited(func(h *tar.Header) { h.Name = strings.Replace(h.Name, layer, strings.ToUpper(layer), 1) }), refused: true},
		"no end":                      {content: bytes.TrimRight(plain, "\x00")},
		"something behind the end":    {content: append(bytes.Clone(plain), "something"...)},
		"a header with a wrong sum":   {content: flipped(plain, 0), refused: true},
		"a layer with another letter": {content: bytes.Replace(plain, []byte("layer\x00"), []byte("lAyer\x00"), 1), refused: true},
		"an old sparse file":          {content: sparse(plain, layer), refused: true},
	} {
		file := filepath.Join(t.TempDir(), "image.tar")
		writeFile(t, file, c.content)
		l, err := images.OpenArchive(file)
		if err == nil {
			var got []byte
			if got, err = readAll(l.Fetch(t.Context(), describe("layer"))); err == nil && string(got) != "layer" {
				t.Errorf("%s: %q", name, got)
			}
			_ = l.Close()
		}
		if (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		oneLine(t, err)
	}
}

// flipped changes a byte; a negative offset counts from the end.
func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	return b
}

// sparse makes the entry of an archive one of GNU's old sparse files.
func sparse(archive []byte, name string) []byte {
	b := bytes.Clone(archive)
	header := b[bytes.Index(b, []byte(name)):][:512]
	header[156] = 'S'
	copy(header[257:], "ustar  \x00")
	copy(header[483:], "00000000005\x00") // the size that it has in all
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}
