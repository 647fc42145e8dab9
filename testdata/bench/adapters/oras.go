package adapters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
)

// orasClient drives oras-go with its retrying client and a token cache, as its
// documentation advises.
type orasClient struct {
	adapter.Unsupported
	t  adapter.Target
	ac *auth.Client
}

func newOras(t adapter.Target) (adapter.Client, error) {
	return &orasClient{t: t, ac: &auth.Client{
		Client:     retry.DefaultClient,
		Cache:      auth.NewCache(),
		Credential: auth.StaticCredential(t.Host, auth.Credential{RefreshToken: t.RefreshToken}),
	}}, nil
}

func (o *orasClient) repo(name string) (*remote.Repository, error) {
	r, err := remote.NewRepository(o.t.Host + "/" + name)
	if err != nil {
		return nil, err
	}
	r.Client = o.ac
	return r, nil
}

func orasDesc(d adapter.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.Digest(d.Digest), Size: d.Size}
}

// UploadFile: a push needs the descriptor, so without a digest the file store
// reads the file once to make it and the push reads it again.
func (o *orasClient) UploadFile(ctx context.Context, repo, path string, d adapter.Descriptor) error {
	if o.t.Chunk != 0 {
		return adapter.ErrUnsupported
	}
	r, err := o.repo(repo)
	if err != nil {
		return err
	}
	if d.Digest != "" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return r.Blobs().Push(ctx, orasDesc(d), f)
	}
	fs, err := file.New(o.t.TempDir)
	if err != nil {
		return err
	}
	defer fs.Close()
	desc, err := fs.Add(ctx, filepath.Base(path), "application/octet-stream", path)
	if err != nil {
		return err
	}
	rc, err := fs.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	return r.Blobs().Push(ctx, desc, rc)
}

// UploadStream: the library cannot push what it has no descriptor of, so the
// stream is spooled to a file first.
func (o *orasClient) UploadStream(ctx context.Context, repo string, src io.Reader) error {
	if o.t.Chunk != 0 {
		return adapter.ErrUnsupported
	}
	f, err := os.CreateTemp(o.t.TempDir, "spool")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), src)
	if err != nil {
		return err
	}
	return o.UploadFile(ctx, repo, f.Name(), adapter.Descriptor{Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Size: n})
}

func (o *orasClient) DownloadFile(ctx context.Context, repo string, d adapter.Descriptor, path string) error {
	r, err := o.repo(repo)
	if err != nil {
		return err
	}
	desc := orasDesc(d)
	rc, err := r.Blobs().Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	vr := content.NewVerifyReader(rc, desc)
	if err := saveTo(path, vr); err != nil {
		return err
	}
	return vr.Verify()
}

func (o *orasClient) ListTags(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	r, err := o.repo(repo)
	if err != nil {
		return 0, false, err
	}
	r.TagListPageSize = pageSize
	n := 0
	err = r.Tags(ctx, "", func(tags []string) error { n += len(tags); return nil })
	return n, false, err
}

func (o *orasClient) PushImage(ctx context.Context, repo, tag, dir string) error {
	r, err := o.repo(repo)
	if err != nil {
		return err
	}
	src, err := oci.New(dir)
	if err != nil {
		return err
	}
	_, err = oras.Copy(ctx, src, tag, r, tag, oras.DefaultCopyOptions)
	return err
}

func (o *orasClient) PullImage(ctx context.Context, repo, tag, dir string) error {
	r, err := o.repo(repo)
	if err != nil {
		return err
	}
	dst, err := oci.New(dir)
	if err != nil {
		return err
	}
	_, err = oras.Copy(ctx, r, tag, dst, tag, oras.DefaultCopyOptions)
	return err
}

// CopyImage: the library mounts blobs only from where its option says.
func (o *orasClient) CopyImage(ctx context.Context, from, to, tag string) error {
	src, err := o.repo(from)
	if err != nil {
		return err
	}
	dst, err := o.repo(to)
	if err != nil {
		return err
	}
	opts := oras.DefaultCopyOptions
	opts.MountFrom = func(context.Context, ocispec.Descriptor) ([]string, error) { return []string{from}, nil }
	_, err = oras.Copy(ctx, src, tag, dst, tag, opts)
	return err
}

// MirrorTags: the library copies one tag at a time, and writes a tag that is there again, so that both sides
// are asked first.
func (o *orasClient) MirrorTags(ctx context.Context, from, to string) (int, error) {
	src, err := o.repo(from)
	if err != nil {
		return 0, err
	}
	dst, err := o.repo(to)
	if err != nil {
		return 0, err
	}
	tags, err := registry.Tags(ctx, src)
	if err != nil {
		return 0, err
	}
	return len(tags), each(tags, func(tag string) error {
		want, err := src.Resolve(ctx, tag)
		if err != nil {
			return err
		}
		if have, err := dst.Resolve(ctx, tag); err == nil && have.Digest == want.Digest {
			return nil
		}
		_, err = oras.Copy(ctx, src, tag, dst, tag, oras.DefaultCopyOptions)
		return err
	})
}

func (o *orasClient) HeadManifest(ctx context.Context, repo, tag string) (string, error) {
	r, err := o.repo(repo)
	if err != nil {
		return "", err
	}
	d, err := r.Resolve(ctx, tag)
	return d.Digest.String(), err
}

func (o *orasClient) ManifestProperties(ctx context.Context, repo, digest string) error {
	_, err := o.HeadManifest(ctx, repo, digest)
	return err
}
