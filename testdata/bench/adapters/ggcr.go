package adapters

import (
	"compress/gzip"
	"context"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
)

// ggcr drives go-containerregistry through one Puller and one Pusher, which keep
// their tokens, unlike its package-level functions.
type ggcr struct {
	adapter.Unsupported
	t      adapter.Target
	reg    name.Registry
	opts   []remote.Option
	puller *remote.Puller
	pusher *remote.Pusher
}

func newGGCR(t adapter.Target) (adapter.Client, error) {
	reg, err := name.NewRegistry(t.Host)
	if err != nil {
		return nil, err
	}
	opts := []remote.Option{remote.WithAuth(authn.FromConfig(authn.AuthConfig{IdentityToken: t.RefreshToken}))}
	pull, err := remote.NewPuller(opts...)
	if err != nil {
		return nil, err
	}
	push, err := remote.NewPusher(opts...)
	if err != nil {
		return nil, err
	}
	return &ggcr{t: t, reg: reg, opts: opts, puller: pull, pusher: push}, nil
}

// fileLayer is a file as a layer with a known digest.
type fileLayer struct {
	path string
	hash v1.Hash
	size int64
}

func (l fileLayer) Digest() (v1.Hash, error)            { return l.hash, nil }
func (l fileLayer) Compressed() (io.ReadCloser, error)  { return os.Open(l.path) }
func (l fileLayer) Size() (int64, error)                { return l.size, nil }
func (l fileLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// UploadFile: the library wants the digest first (it asks whether the blob is
// there), so without one the file is read twice.
func (g *ggcr) UploadFile(ctx context.Context, repo, path string, d adapter.Descriptor) error {
	if g.t.Chunk != 0 {
		return adapter.ErrUnsupported
	}
	l := fileLayer{path: path, size: d.Size}
	var err error
	if d.Digest != "" {
		l.hash, err = v1.NewHash(d.Digest)
	} else {
		var f *os.File
		if f, err = os.Open(path); err != nil {
			return err
		}
		l.hash, l.size, err = v1.SHA256(f)
		f.Close()
	}
	if err != nil {
		return err
	}
	layer, err := partial.CompressedToLayer(l)
	if err != nil {
		return err
	}
	return g.pusher.Upload(ctx, g.reg.Repo(repo), layer)
}

// UploadStream: streams always become gzip; without compression is the cheapest.
func (g *ggcr) UploadStream(ctx context.Context, repo string, r io.Reader) error {
	if g.t.Chunk != 0 {
		return adapter.ErrUnsupported
	}
	l := stream.NewLayer(io.NopCloser(r), stream.WithCompressionLevel(gzip.NoCompression))
	return g.pusher.Upload(ctx, g.reg.Repo(repo), l)
}

func (g *ggcr) DownloadFile(ctx context.Context, repo string, d adapter.Descriptor, path string) error {
	l, err := g.puller.Layer(ctx, g.reg.Repo(repo).Digest(d.Digest))
	if err != nil {
		return err
	}
	rc, err := l.Compressed()
	if err != nil {
		return err
	}
	defer rc.Close()
	return saveTo(path, rc)
}

func (g *ggcr) ListTags(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	p := g.puller
	if pageSize > 0 {
		var err error
		if p, err = remote.NewPuller(append(g.opts, remote.WithPageSize(pageSize))...); err != nil {
			return 0, false, err
		}
	}
	tags, err := p.List(ctx, g.reg.Repo(repo))
	return len(tags), false, err
}

func (g *ggcr) PushImage(ctx context.Context, repo, tag, dir string) error {
	idx, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	m, err := idx.IndexManifest()
	if err != nil {
		return err
	}
	img, err := idx.Image(m.Manifests[0].Digest)
	if err != nil {
		return err
	}
	return g.pusher.Push(ctx, g.reg.Repo(repo).Tag(tag), img)
}

func (g *ggcr) PullImage(ctx context.Context, repo, tag, dir string) error {
	d, err := g.puller.Get(ctx, g.reg.Repo(repo).Tag(tag))
	if err != nil {
		return err
	}
	img, err := d.Image()
	if err != nil {
		return err
	}
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return p.AppendImage(img)
}

// CopyImage: blobs are mounted where source and target are in one registry.
func (g *ggcr) CopyImage(ctx context.Context, from, to, tag string) error {
	d, err := g.puller.Get(ctx, g.reg.Repo(from).Tag(tag))
	if err != nil {
		return err
	}
	return g.pusher.Push(ctx, g.reg.Repo(to).Tag(tag), d)
}

func (g *ggcr) MirrorTags(ctx context.Context, from, to string) (int, error) {
	tags, err := g.puller.List(ctx, g.reg.Repo(from))
	if err != nil {
		return 0, err
	}
	return len(tags), crane.CopyRepository(g.reg.Repo(from).Name(), g.reg.Repo(to).Name(), crane.WithContext(ctx),
		crane.WithAuth(authn.FromConfig(authn.AuthConfig{IdentityToken: g.t.RefreshToken})))
}

func (g *ggcr) HeadManifest(ctx context.Context, repo, tag string) (string, error) {
	d, err := g.puller.Head(ctx, g.reg.Repo(repo).Tag(tag))
	if err != nil {
		return "", err
	}
	return d.Digest.String(), nil
}

func (g *ggcr) ManifestProperties(ctx context.Context, repo, digest string) error {
	_, err := g.puller.Head(ctx, g.reg.Repo(repo).Digest(digest))
	return err
}
