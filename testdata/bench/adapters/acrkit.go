package adapters

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/retention"
	"github.com/acrkit/acrkit/testdata/bench/adapter"
)

// acrKit drives acrkit as its documentation does: its own transport, retries, sizes and concurrency.
type acrKit struct {
	client      *acr.Client
	chunk       int64
	concurrency int
}

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

func (a *acrKit) PushImage(ctx context.Context, repo, tag, dir string) error {
	_, err := images.Push(ctx, dir, tag, a.client.Repository(repo), tag, nil)
	return err
}

func (a *acrKit) PullImage(ctx context.Context, repo, tag, dir string) error {
	_, err := images.Pull(ctx, a.client.Repository(repo), tag, dir, nil)
	return err
}

func (a *acrKit) CopyImage(ctx context.Context, from, to, tag string) error {
	_, err := images.Copy(ctx, images.Of(a.client.Repository(from)), tag, images.Of(a.client.Repository(to)), tag, nil)
	return err
}

func (a *acrKit) MirrorTags(ctx context.Context, from, to string) (int, error) {
	n := 0
	rules := []images.MirrorRule{{From: from, To: to, Tags: []string{"**"}}}
	for t, err := range images.Mirror(ctx, images.OfClient(a.client), a.client, rules, nil) {
		if err != nil {
			return n, err
		}
		if t.Err != nil {
			return n, t.Err
		}
		n++
	}
	return n, nil
}

func (a *acrKit) PlanDeletions(ctx context.Context, repo string) (int, error) {
	plan, err := retention.Make(ctx, a.client, retention.KeepNewest(3, 7*retention.Day, "**"), &retention.PlanOptions{Repositories: []string{repo}})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, r := range plan.Repositories {
		if r.Refused != nil {
			return n, fmt.Errorf("refused: %+v", r.Refused)
		}
		n += r.Manifests.Total
	}
	return n, nil
}

func (a *acrKit) HeadManifest(ctx context.Context, repo, tag string) (string, error) {
	d, err := a.client.Repository(repo).HeadManifest(ctx, tag)
	return d.Digest.String(), err
}

func (a *acrKit) ManifestProperties(ctx context.Context, repo, dgst string) error {
	_, err := a.client.Repository(repo).Artifact(dgst).ManifestProperties(ctx)
	return err
}
