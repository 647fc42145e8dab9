package adapters

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
	"github.com/acrkit/acrkit/testdata/bench/content"
)

// azSDK drives Microsoft's azcontainerregistry as its examples do. The library
// has no operation for a whole file, stream or image: the loops are ours, as
// they are every user's.
type azSDK struct {
	adapter.Unsupported
	client *azcontainerregistry.Client
	blobs  *azcontainerregistry.BlobClient
	chunk  int64
}

// entraCred is a credential that always has a token.
type entraCred string

func (c entraCred) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(c), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func newAzSDK(t adapter.Target) (adapter.Client, error) {
	cred := entraCred(t.EntraToken)
	c, err := azcontainerregistry.NewClient(t.Endpoint, cred, nil)
	if err != nil {
		return nil, err
	}
	b, err := azcontainerregistry.NewBlobClient(t.Endpoint, cred, nil)
	if err != nil {
		return nil, err
	}
	return &azSDK{client: c, blobs: b, chunk: t.Chunk}, nil
}

// upload sends a file in one request, or in chunks if a chunk size is set.
func (a *azSDK) upload(ctx context.Context, repo string, f *os.File, size int64) error {
	start, err := a.blobs.StartUpload(ctx, repo, nil)
	if err != nil {
		return err
	}
	calc := azcontainerregistry.NewBlobDigestCalculator()
	loc := *start.Location
	if a.chunk == 0 {
		up, err := a.blobs.UploadChunk(ctx, loc, f, calc, nil)
		if err != nil {
			return err
		}
		loc = *up.Location
	} else {
		for off := int64(0); off < size; off += a.chunk {
			end := min(off+a.chunk, size)
			up, err := a.blobs.UploadChunk(ctx, loc, io.NewSectionReader(f, off, end-off), calc,
				&azcontainerregistry.BlobClientUploadChunkOptions{RangeStart: new(int32(off)), RangeEnd: new(int32(end - 1))})
			if err != nil {
				return err
			}
			loc = *up.Location
		}
	}
	_, err = a.blobs.CompleteUpload(ctx, loc, calc, nil)
	return err
}

func (a *azSDK) UploadFile(ctx context.Context, repo, path string, d adapter.Descriptor) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return a.upload(ctx, repo, f, st.Size())
}

// UploadStream has to buffer chunks, because the library wants seekable ones; it
// has no default size, so the harness picks 4 MiB.
func (a *azSDK) UploadStream(ctx context.Context, repo string, r io.Reader) error {
	size := a.chunk
	if size == 0 {
		size = 4 << 20
	}
	start, err := a.blobs.StartUpload(ctx, repo, nil)
	if err != nil {
		return err
	}
	calc := azcontainerregistry.NewBlobDigestCalculator()
	loc := *start.Location
	buf := make([]byte, size)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			up, err := a.blobs.UploadChunk(ctx, loc, bytes.NewReader(buf[:n]), calc, nil)
			if err != nil {
				return err
			}
			loc = *up.Location
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	_, err = a.blobs.CompleteUpload(ctx, loc, calc, nil)
	return err
}

func (a *azSDK) DownloadFile(ctx context.Context, repo string, d adapter.Descriptor, path string) error {
	res, err := a.blobs.GetBlob(ctx, repo, d.Digest, nil)
	if err != nil {
		return err
	}
	defer res.BlobData.Close()
	r, err := azcontainerregistry.NewDigestValidationReader(d.Digest, res.BlobData)
	if err != nil {
		return err
	}
	return saveTo(path, r)
}

func (a *azSDK) ListTags(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	var o azcontainerregistry.ClientListTagsOptions
	if pageSize > 0 {
		o.MaxNum = new(int32(pageSize))
	}
	n := 0
	for p := a.client.NewListTagsPager(repo, &o); p.More(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return n, true, err
		}
		for _, t := range page.Tags {
			if t.Digest != nil && t.CreatedOn != nil {
				n++
			}
		}
	}
	return n, true, nil
}

func (a *azSDK) ListManifests(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	var o azcontainerregistry.ClientListManifestsOptions
	if pageSize > 0 {
		o.MaxNum = new(int32(pageSize))
	}
	n := 0
	for p := a.client.NewListManifestsPager(repo, &o); p.More(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return n, true, err
		}
		for _, m := range page.Manifests.Attributes {
			if m.Digest != nil && m.CreatedOn != nil {
				n++
			}
		}
	}
	return n, true, nil
}

func (a *azSDK) PushImage(ctx context.Context, repo, tag, dir string) error {
	raw, m, err := readLayout(dir)
	if err != nil {
		return err
	}
	for _, d := range append(m.Layers, m.Config) {
		f, err := os.Open(blobPath(dir, d.Digest))
		if err != nil {
			return err
		}
		err = a.upload(ctx, repo, f, d.Size)
		f.Close()
		if err != nil {
			return err
		}
	}
	_, err = a.client.UploadManifest(ctx, repo, tag, azcontainerregistry.ContentType(m.MediaType), streaming.NopCloser(bytes.NewReader(raw)), nil)
	return err
}

func (a *azSDK) PullImage(ctx context.Context, repo, tag, dir string) error {
	res, err := a.client.GetManifest(ctx, repo, tag, &azcontainerregistry.ClientGetManifestOptions{Accept: to.Ptr(content.ManifestType)})
	if err != nil {
		return err
	}
	r, err := azcontainerregistry.NewDigestValidationReader(*res.DockerContentDigest, res.ManifestData)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var m imageManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	for _, d := range append(m.Layers, m.Config) {
		if err := a.DownloadFile(ctx, repo, adapter.Descriptor{Digest: d.Digest, Size: d.Size}, blobPath(dir, d.Digest)); err != nil {
			return err
		}
	}
	return os.WriteFile(blobPath(dir, *res.DockerContentDigest), raw, 0o644)
}

// HeadManifest: the library has no HEAD; the tag's properties are the cheapest
// way to its digest.
func (a *azSDK) HeadManifest(ctx context.Context, repo, tag string) (string, error) {
	res, err := a.client.GetTagProperties(ctx, repo, tag, nil)
	if err != nil {
		return "", err
	}
	return *res.Tag.Digest, nil
}

func (a *azSDK) ManifestProperties(ctx context.Context, repo, digest string) error {
	_, err := a.client.GetManifestProperties(ctx, repo, digest, nil)
	return err
}

// The rest is shared by the adapters that have to take layouts apart themselves.

type imageManifest struct {
	MediaType string           `json:"mediaType"`
	Config    blobDescriptor   `json:"config"`
	Layers    []blobDescriptor `json:"layers"`
}

type blobDescriptor struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

func blobPath(dir, digest string) string {
	return filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

// readLayout reads the manifest of the only image of an OCI layout.
func readLayout(dir string) (raw []byte, m imageManifest, err error) {
	idx, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, m, err
	}
	var index struct {
		Manifests []blobDescriptor `json:"manifests"`
	}
	if err := json.Unmarshal(idx, &index); err != nil {
		return nil, m, err
	}
	raw, err = os.ReadFile(blobPath(dir, index.Manifests[0].Digest))
	if err != nil {
		return nil, m, err
	}
	err = json.Unmarshal(raw, &m)
	return raw, m, err
}

// saveTo copies r into a new file.
func saveTo(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
