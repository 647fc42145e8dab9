package adapters

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
)

// acrKit drives acrkit as its documentation does: its own transport, retries, sizes and concurrency.
// A whole image is its blobs, sixteen at a time, and then its manifest.
type acrKit struct {
	client      *acr.Client
	chunk       int64
	concurrency int
}

const acrKitJobs = 16 // blobs of an image in flight

func newACRKit(t adapter.Target) (adapter.Client, error) {
	c, err := acr.NewClient(t.Endpoint, entraCred(t.EntraToken), &acr.ClientOptions{AllowedHosts: []string{t.Host}})
	if err != nil {
		return nil, err
	}
	return &acrKit{client: c, chunk: t.Chunk, concurrency: t.Concurrency}, nil
}

func (a *acrKit) UploadFile(ctx context.Context, repo, path string, d adapter.Descriptor) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	o := &acr.UploadOptions{ChunkSize: a.chunk}
	if d.Digest != "" {
		o.Digest, o.Size, o.TrustDigest = digest.Digest(d.Digest), d.Size, true
	}
	_, err = a.client.Repository(repo).UploadBlob(ctx, f, o)
	return err
}

func (a *acrKit) UploadStream(ctx context.Context, repo string, r io.Reader) error {
	_, err := a.client.Repository(repo).UploadBlob(ctx, r, &acr.UploadOptions{ChunkSize: a.chunk})
	return err
}

func (a *acrKit) DownloadFile(ctx context.Context, repo string, d adapter.Descriptor, path string) error {
	_, err := a.client.Repository(repo).DownloadBlobFile(ctx, digest.Digest(d.Digest), path, &acr.DownloadFileOptions{Size: d.Size, NoSync: true})
	return err
}

func (a *acrKit) ListTags(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	n := 0
	for t, err := range a.client.Repository(repo).Tags(ctx, &acr.ListTagsOptions{PageSize: pageSize, Concurrency: a.concurrency}) {
		if err != nil {
			return n, true, err
		}
		if t.Digest != "" && !t.CreatedTime.IsZero() {
			n++
		}
	}
	return n, true, nil
}

func (a *acrKit) ListManifests(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	n := 0
	for m, err := range a.client.Repository(repo).Manifests(ctx, &acr.ListManifestsOptions{PageSize: pageSize, Concurrency: a.concurrency}) {
		if err != nil {
			return n, true, err
		}
		if m.Digest != "" && !m.CreatedTime.IsZero() {
			n++
		}
	}
	return n, true, nil
}

// acrKitEach runs do for every blob, several at a time.
func acrKitEach(blobs []blobDescriptor, do func(blobDescriptor) error) error {
	work := make(chan blobDescriptor)
	errs := make(chan error, acrKitJobs)
	var wg sync.WaitGroup
	for range acrKitJobs {
		wg.Go(func() {
			var first error
			for d := range work {
				if first == nil {
					first = do(d)
				}
			}
			errs <- first
		})
	}
	for _, d := range blobs {
		work <- d
	}
	close(work)
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (a *acrKit) PushImage(ctx context.Context, repo, tag, dir string) error {
	raw, m, err := readLayout(dir)
	if err != nil {
		return err
	}
	r := a.client.Repository(repo)
	if err := acrKitEach(append(m.Layers, m.Config), func(d blobDescriptor) error {
		f, err := os.Open(blobPath(dir, d.Digest))
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = r.UploadBlob(ctx, f, &acr.UploadOptions{Digest: digest.Digest(d.Digest), Size: d.Size})
		return err
	}); err != nil {
		return err
	}
	_, err = r.PutManifest(ctx, tag, raw, nil)
	return err
}

func (a *acrKit) PullImage(ctx context.Context, repo, tag, dir string) error {
	r := a.client.Repository(repo)
	m, err := r.GetManifest(ctx, tag)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	mf, err := m.Image()
	if err != nil {
		return err
	}
	var blobs []blobDescriptor
	for _, d := range append(mf.Layers, mf.Config) {
		blobs = append(blobs, blobDescriptor{Digest: d.Digest.String(), Size: d.Size})
	}
	if err := acrKitEach(blobs, func(d blobDescriptor) error {
		return a.DownloadFile(ctx, repo, adapter.Descriptor{Digest: d.Digest, Size: d.Size}, blobPath(dir, d.Digest))
	}); err != nil {
		return err
	}
	return os.WriteFile(blobPath(dir, m.Descriptor.Digest.String()), m.Content, 0o644)
}

func (a *acrKit) HeadManifest(ctx context.Context, repo, tag string) (string, error) {
	d, err := a.client.Repository(repo).HeadManifest(ctx, tag)
	return d.Digest.String(), err
}

func (a *acrKit) ManifestProperties(ctx context.Context, repo, dgst string) error {
	_, err := a.client.Repository(repo).Artifact(dgst).ManifestProperties(ctx)
	return err
}
