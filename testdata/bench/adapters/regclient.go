package adapters

import (
	"context"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/scheme"
	"github.com/regclient/regclient/types/descriptor"
	"github.com/regclient/regclient/types/ref"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
)

// regClient drives regclient with its defaults: 3 requests at a time per host.
type regClient struct {
	adapter.Unsupported
	t  adapter.Target
	rc *regclient.RegClient
}

func newRegclient(t adapter.Target) (adapter.Client, error) {
	return &regClient{t: t, rc: regclient.New(regclient.WithConfigHost(config.Host{
		Name: t.Host, Hostname: t.Host, TLS: config.TLSEnabled, Token: t.RefreshToken, BlobChunk: t.Chunk,
	}))}, nil
}

func (c *regClient) ref(name string) (ref.Ref, error) { return ref.New(c.t.Host + "/" + name) }

func regDesc(d adapter.Descriptor) descriptor.Descriptor {
	return descriptor.Descriptor{MediaType: "application/octet-stream", Digest: digest.Digest(d.Digest), Size: d.Size}
}

// UploadFile: with a digest it is one PUT, without one a chunked upload.
func (c *regClient) UploadFile(ctx context.Context, repo, path string, d adapter.Descriptor) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := c.ref(repo)
	if err != nil {
		return err
	}
	desc := descriptor.Descriptor{}
	if d.Digest != "" {
		desc = regDesc(d)
	}
	_, err = c.rc.BlobPut(ctx, r, desc, f)
	return err
}

func (c *regClient) UploadStream(ctx context.Context, repo string, src io.Reader) error {
	r, err := c.ref(repo)
	if err != nil {
		return err
	}
	_, err = c.rc.BlobPut(ctx, r, descriptor.Descriptor{}, src)
	return err
}

func (c *regClient) DownloadFile(ctx context.Context, repo string, d adapter.Descriptor, path string) error {
	r, err := c.ref(repo)
	if err != nil {
		return err
	}
	br, err := c.rc.BlobGet(ctx, r, regDesc(d))
	if err != nil {
		return err
	}
	defer br.Close()
	return saveTo(path, br)
}

// ListTags: without a limit the library follows the links; with one it stops
// there, so that pages of a chosen size have to be asked for one by one.
func (c *regClient) ListTags(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	r, err := c.ref(repo)
	if err != nil {
		return 0, false, err
	}
	if pageSize == 0 {
		tl, err := c.rc.TagList(ctx, r)
		if err != nil {
			return 0, false, err
		}
		return len(tl.Tags), false, nil
	}
	n, last := 0, ""
	for {
		tl, err := c.rc.TagList(ctx, r, scheme.WithTagLimit(pageSize), scheme.WithTagLast(last))
		if err != nil {
			return n, false, err
		}
		n += len(tl.Tags)
		if len(tl.Tags) < pageSize {
			return n, false, nil
		}
		last = tl.Tags[len(tl.Tags)-1]
	}
}

func (c *regClient) copy(ctx context.Context, from, to string) error {
	src, err := ref.New(from)
	if err != nil {
		return err
	}
	dst, err := ref.New(to)
	if err != nil {
		return err
	}
	if err := c.rc.ImageCopy(ctx, src, dst); err != nil {
		return err
	}
	return c.rc.Close(ctx, dst)
}

func (c *regClient) PushImage(ctx context.Context, repo, tag, dir string) error {
	return c.copy(ctx, "ocidir://"+dir+":"+tag, c.t.Host+"/"+repo+":"+tag)
}

func (c *regClient) PullImage(ctx context.Context, repo, tag, dir string) error {
	return c.copy(ctx, c.t.Host+"/"+repo+":"+tag, "ocidir://"+dir+":"+tag)
}

func (c *regClient) CopyImage(ctx context.Context, from, to, tag string) error {
	return c.copy(ctx, c.t.Host+"/"+from+":"+tag, c.t.Host+"/"+to+":"+tag)
}

func (c *regClient) MirrorTags(ctx context.Context, from, to string) (int, error) {
	r, err := c.ref(from)
	if err != nil {
		return 0, err
	}
	list, err := c.rc.TagList(ctx, r)
	if err != nil {
		return 0, err
	}
	return len(list.Tags), each(list.Tags, func(tag string) error {
		src, err := c.ref(from + ":" + tag)
		if err != nil {
			return err
		}
		dst, err := c.ref(to + ":" + tag)
		if err != nil {
			return err
		}
		return c.rc.ImageCopy(ctx, src, dst, regclient.ImageWithFastCheck())
	})
}

func (c *regClient) head(ctx context.Context, name string) (string, error) {
	r, err := c.ref(name)
	if err != nil {
		return "", err
	}
	m, err := c.rc.ManifestHead(ctx, r)
	if err != nil {
		return "", err
	}
	return m.GetDescriptor().Digest.String(), nil
}

func (c *regClient) HeadManifest(ctx context.Context, repo, tag string) (string, error) {
	return c.head(ctx, repo+":"+tag)
}

func (c *regClient) ManifestProperties(ctx context.Context, repo, digest string) error {
	_, err := c.head(ctx, repo+"@"+digest)
	return err
}
