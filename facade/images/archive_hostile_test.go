package images_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
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
		_, err = io.CopyN(zip, zeros{}, 300<<20)
	}
	if err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bomb.tar.gz")
	writeFile(t, file, packed.Bytes())
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
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "image.tar")
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
