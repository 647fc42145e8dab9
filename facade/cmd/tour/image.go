package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

const imageTag = "image"

// image makes an image for two platforms, pushes it, attaches an SBOM to it, copies both to another repository, and pulls one
// platform from there.
func (t *tour) image(ctx context.Context) error {
	layout, err := t.makeImage(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = layout.Close() }() // it was only read since
	line := t.imageLine("push")
	pushed, err := images.Copy(ctx, layout, imageTag, images.Of(t.repo), imageTag, &images.CopyOptions{Progress: line.tell})
	t.pushed = true
	if err != nil {
		return err
	}
	line.done(pushed)
	sbom := &images.Artifact{Type: "application/spdx+json", Files: []images.File{{Name: "sbom.spdx.json", Content: strings.NewReader(`{"spdxVersion":"SPDX-2.3"}`)}}}
	if _, err := images.Attach(ctx, t.repo, imageTag, sbom); err != nil {
		return err
	}
	line = t.imageLine("copy to another repository")
	opts := &images.CopyOptions{Referrers: true, Progress: line.tell}
	copied, err := images.Copy(ctx, images.Of(t.repo), imageTag, images.Of(t.copied), imageTag, opts)
	if err != nil {
		return err
	}
	line.done(copied)
	line = t.imageLine("pull for linux/arm64")
	fresh := filepath.Join(t.scratch, "image-pulled")
	pulled, err := images.Pull(ctx, t.copied, imageTag, fresh, &images.CopyOptions{
		Platforms: []ocispec.Platform{{OS: "linux", Architecture: "arm64"}}, Progress: line.tell,
	})
	if err != nil {
		return err
	}
	line.done(pulled)
	tree, err := images.Tree(ctx, images.Of(t.copied), imageTag)
	if err != nil {
		return err
	}
	t.say("   what %s holds now:", t.copied.Name())
	for text := range strings.SplitSeq(tree.String(), "\n") {
		t.say("     %s", text)
	}
	if _, err := t.copied.Delete(ctx); err != nil && !errors.Is(err, acr.ErrNotFound) {
		return err
	}
	return nil
}

// imageLine is the progress of a whole image.
type imageLine struct{ *progress }

func (t *tour) imageLine(title string) *imageLine {
	return &imageLine{newProgress(t.w, title, t.column, 0)}
}

func (l *imageLine) tell(p images.Progress) {
	l.total = p.Bytes.Total
	l.show(p.Bytes.Done())
}

// done replaces the line by what was moved.
func (l *imageLine) done(r *images.Report) {
	l.total = r.Bytes.Total
	remark := fmt.Sprintf("%s sent", size(r.Bytes.Sent))
	if r.Bytes.Mounted > 0 {
		remark += fmt.Sprintf(", %s mounted", size(r.Bytes.Mounted))
	}
	l.progress.done(remark)
}

// makeImage writes the image to a layout: a layer that both platforms share, and one for each.
func (t *tour) makeImage(ctx context.Context) (*images.Layout, error) {
	layout, err := images.OpenLayout(filepath.Join(t.scratch, "image"), &images.LayoutOptions{Create: true, NoSync: true})
	if err != nil {
		return nil, err
	}
	bySize := slices.Clone(t.files)
	slices.SortStableFunc(bySize, func(a, b file) int { return int(b.size - a.size) })
	bySize = bySize[:min(3, len(bySize))]
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i, architecture := range []string{"amd64", "arm64"} {
		layers := []file{bySize[len(bySize)-1], bySize[min(i, len(bySize)-1)]}
		d, err := addPlatform(ctx, layout, architecture, layers)
		if err != nil {
			return nil, errors.Join(err, layout.Close())
		}
		index.Manifests = append(index.Manifests, d)
	}
	d, err := addJSON(ctx, layout, index.MediaType, index)
	if err == nil {
		err = layout.Tag(ctx, d, imageTag)
	}
	if err != nil {
		return nil, errors.Join(err, layout.Close())
	}
	return layout, nil
}

// addPlatform adds the image for one platform; each file is a layer.
func addPlatform(ctx context.Context, layout *images.Layout, architecture string, layers []file) (ocispec.Descriptor, error) {
	platform := ocispec.Platform{OS: "linux", Architecture: architecture}
	config := ocispec.Image{Platform: platform, RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, f := range layers {
		content, err := tarOf(f)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		d, err := add(ctx, layout, ocispec.MediaTypeImageLayer, content)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, d.Digest)
		m.Layers = append(m.Layers, d)
	}
	var err error
	if m.Config, err = addJSON(ctx, layout, ocispec.MediaTypeImageConfig, config); err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := addJSON(ctx, layout, m.MediaType, m)
	d.Platform = &platform
	return d, err
}

// tarOf is a layer with one file.
func tarOf(f file) ([]byte, error) {
	content, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: int64(f.mode), Size: int64(len(content))})
	if err == nil {
		_, err = w.Write(content)
	}
	return b.Bytes(), errors.Join(err, w.Close())
}

func addJSON(ctx context.Context, layout *images.Layout, mediaType string, v any) (ocispec.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return add(ctx, layout, mediaType, raw)
}

func add(ctx context.Context, layout *images.Layout, mediaType string, content []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	there, err := layout.Exists(ctx, d)
	if err == nil && !there {
		err = layout.Push(ctx, d, bytes.NewReader(content))
	}
	return d, err
}
