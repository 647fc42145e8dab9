package adapters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
	"github.com/acrkit/acrkit/testdata/bench/content"
)

// each runs f over the parts of an image, or whatever else there is, several at a time.
func each[T any](ds []T, f func(T) error) error {
	work := make(chan T)
	errs := make(chan error, idealImageJobs)
	for range idealImageJobs {
		go func() {
			var first error
			for d := range work {
				if first == nil {
					first = f(d)
				}
			}
			errs <- first
		}()
	}
	for _, d := range ds {
		work <- d
	}
	close(work)
	var first error
	for range idealImageJobs {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// PushImage sends every small blob as one POST with its digest, if the registry
// takes that, and as a POST and a PUT otherwise.
func (c *ideal) PushImage(ctx context.Context, repo, tag, dir string) error {
	raw, m, err := readLayout(dir)
	if err != nil {
		return err
	}
	scope := pushScope(repo)
	err = each(append(m.Layers, m.Config), func(d blobDescriptor) error {
		if d.Size > idealSmall {
			return c.UploadFile(ctx, repo, blobPath(dir, d.Digest), adapter.Descriptor{})
		}
		b, err := os.ReadFile(blobPath(dir, d.Digest))
		if err != nil {
			return err
		}
		post := call{method: "POST", path: "/v2/" + repo + "/blobs/uploads/", scope: scope, want: []int{201, 202}}
		if !c.twoSteps.Load() {
			post.path += "?digest=" + url.QueryEscape(d.Digest)
			post.body, post.header = b, map[string]string{"Content-Type": "application/octet-stream"}
		}
		resp, err := c.do(ctx, post)
		if err != nil {
			return err
		}
		drain(resp)
		if resp.StatusCode == http.StatusCreated {
			return nil
		}
		// The POST only opened an upload.
		c.twoSteps.Store(true)
		resp, err = c.do(ctx, call{method: "PUT", path: resp.Header.Get("Location") + "&digest=" + url.QueryEscape(d.Digest), scope: scope,
			body: b, header: map[string]string{"Content-Type": "application/octet-stream"}, want: []int{201}})
		if err == nil {
			drain(resp)
		}
		return err
	})
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, call{method: "PUT", path: "/v2/" + repo + "/manifests/" + tag, scope: scope, body: raw,
		header: map[string]string{"Content-Type": m.MediaType}, want: []int{201}})
	if err == nil {
		drain(resp)
	}
	return err
}

func (c *ideal) PullImage(ctx context.Context, repo, tag, dir string) error {
	resp, err := c.do(ctx, call{method: "GET", path: "/v2/" + repo + "/manifests/" + tag, scope: pullScope(repo),
		header: map[string]string{"Accept": content.ManifestType}, want: []int{200}})
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if digest != resp.Header.Get("Docker-Content-Digest") {
		return errors.New("manifest digest")
	}
	var m imageManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(blobPath(dir, digest), raw, 0o644); err != nil {
		return err
	}
	return each(append(m.Layers, m.Config), func(d blobDescriptor) error {
		return c.DownloadFile(ctx, repo, adapter.Descriptor{Digest: d.Digest, Size: d.Size}, blobPath(dir, d.Digest))
	})
}
