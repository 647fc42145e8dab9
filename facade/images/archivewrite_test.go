package images_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

func TestWriteArchive(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, referrers, cosign := s.whole()
	large := s.image("amd64", string(bytes.Repeat([]byte("0123456789abcdef"), 3<<16)), "small")
	s.name(large, "large")
	_, client := newRegistry(t)
	ctx := t.Context()
	opts := &images.CopyOptions{Referrers: true}
	for _, tag := range []string{"v1", "large"} {
		pushLayout(t, s.dir(), tag, client.Repository("team/app"), tag, opts)
	}
	sources := map[string]images.Source{"registry": images.Of(client.Repository("team/app")), "layout": openLayout(t, s.dir(), nil)}
	var first []byte
	for name, from := range sources {
		var b bytes.Buffer
		if err := images.WriteArchive(ctx, &b, from, []string{"v1", "large"}, opts); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if first == nil {
			first = b.Bytes()
		}
		if !bytes.Equal(first, b.Bytes()) {
			t.Error("the same images make another archive")
		}
		file := filepath.Join(t.TempDir(), "images.tar")
		writeFile(t, file, b.Bytes())
		l, err := images.OpenArchive(file)
		if err != nil {
			t.Fatal(err)
		}
		for tag, want := range map[string]ocispec.Descriptor{"v1": root, "large": large, cosign: referrers[3]} {
			if d, err := l.Resolve(ctx, tag); err != nil || d.Digest != want.Digest {
				t.Errorf("%s: %s: %v, %v", name, tag, d, err)
			}
		}
		dir := t.TempDir()
		to := openLayout(t, dir, &images.LayoutOptions{Create: true})
		for _, tag := range []string{"v1", "large"} {
			if _, err := images.Copy(ctx, l, tag, to, tag, opts); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.holds(dir, append(referrers, root, large)...)
		_ = l.Close()
	}
	var b bytes.Buffer
	if err := images.WriteArchive(ctx, &b, sources["layout"], []string{"v1"}, &images.CopyOptions{Platforms: linux("arm64")}); err != nil {
		t.Error(err)
	}
	for _, o := range []*images.CopyOptions{{IfAbsent: true}, {Protect: &images.ProtectOptions{}}, {MountFrom: []string{"x"}}} {
		if err := images.WriteArchive(ctx, io.Discard, sources["layout"], []string{"v1"}, o); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := images.WriteArchive(ctx, io.Discard, sources["layout"], nil, nil); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Error(err)
	}
	full := errors.New("disk full")
	for n := range 20 {
		if err := images.WriteArchive(ctx, &fullAfter{n: n * 700, err: full}, sources["registry"], []string{"v1"}, nil); !errors.Is(err, full) {
			t.Errorf("%d: %v", n, err)
		}
	}
	for _, blob := range []string{"shared layer", "layer for arm64"} {
		damaged := newStock(t)
		damaged.whole()
		damaged.blobs[digest.FromString(blob)] = []byte("not " + blob)
		err := images.WriteArchive(ctx, io.Discard, openLayout(t, damaged.dir(), nil), []string{"v1"}, nil)
		if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.FromSource || !errors.Is(err, acr.ErrSizeMismatch) {
			t.Errorf("%v", err)
		}
	}
}

// fullAfter fails after n bytes.
type fullAfter struct {
	n   int
	err error
}

func (f *fullAfter) Write(p []byte) (int, error) {
	if len(p) > f.n {
		return f.n, f.err
	}
	f.n -= len(p)
	return len(p), nil
}
