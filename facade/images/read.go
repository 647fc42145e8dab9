package images

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// Errors of copies.
var (
	// ErrIncomplete is returned if the source lacks a manifest or blob that one of its manifests
	// names. If the source has only some platforms of an index, select those with
	// CopyOptions.Platforms and KeepIndex.
	ErrIncomplete = errors.New("incomplete image")
	// ErrNoPlatform is returned if no image of an index matches CopyOptions.Platforms.
	ErrNoPlatform = errors.New("no image for the platform")
	// ErrTooMany is returned for an image with more than 10,000 manifests, with manifests nested
	// more than 8 deep, or with manifests of more than 64 MiB in total.
	ErrTooMany = graph.ErrTooMany
)

// maxManifestBytes bounds what is held of an image while it is copied: all its manifests.
const maxManifestBytes = 64 << 20

// read reads the manifests of the source.
func (j *job) read(ctx context.Context) error {
	root, err := j.resolve(ctx)
	if err != nil {
		return j.faultName(FromSource, "reference", j.reference, err)
	}
	j.named = root.Digest
	selection, err := j.selectPlatforms(ctx, root)
	if err != nil {
		return err
	}
	w := &graph.Walker{Concurrency: j.Concurrency, Fetch: j.fetch}
	w.Select = func(n *graph.Node) []ocispec.Descriptor { return j.dropMissing(ctx, j.children(n, selection)) }
	if j.Referrers {
		w.Attached = func(ctx context.Context, n *graph.Node) ([]ocispec.Descriptor, error) {
			return j.attachedTo(ctx, n, selection)
		}
	}
	nodes, err := w.Walk(ctx, selection.root)
	if err != nil {
		return j.fault(FromSource, "manifest", selection.root, malformed(err))
	}
	for _, n := range nodes {
		j.addManifest(n)
	}
	j.root = j.byDigest[selection.root.Digest].Descriptor
	if err := selection.rewrite(j); err != nil {
		return j.fault(FromSource, "index", selection.root, err)
	}
	j.collectBlobs()
	return nil
}

// malformed lets package acr's error be found where package graph has one of its own.
func malformed(err error) error {
	switch {
	case errors.Is(err, graph.ErrMalformed) && !errors.Is(err, acr.ErrManifestMalformed):
		return fmt.Errorf("%w: %w", acr.ErrManifestMalformed, err)
	case errors.Is(err, graph.ErrTooLarge) && !errors.Is(err, acr.ErrTooLarge):
		return fmt.Errorf("%w: %w", acr.ErrTooLarge, err)
	}
	return err
}

// resolve returns the descriptor of the root, and keeps its content if the source gave it along.
func (j *job) resolve(ctx context.Context) (ocispec.Descriptor, error) {
	if j.source == nil {
		return j.resolveForeign(ctx)
	}
	m, err := j.source.GetManifest(ctx, j.reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return m.Descriptor, j.keep(m.Descriptor.Digest, m.Content)
}

// resolveForeign returns the descriptor of a root that does not come from package acr. What its media
// type is, the content says if the source does not.
func (j *job) resolveForeign(ctx context.Context) (ocispec.Descriptor, error) {
	d, err := j.from.Resolve(ctx, j.reference)
	d = plain(d)
	if err != nil || d.MediaType != "" {
		return d, err
	}
	content, err := j.fetch(ctx, d)
	if err != nil {
		return d, err
	}
	body, err := graph.Read("", content)
	if err != nil {
		return d, malformed(err)
	}
	d.MediaType = body.MediaType
	return d, nil
}

// keep keeps the content of a manifest for the walk.
func (j *job) keep(d digest.Digest, content []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.contents[d] != nil {
		return nil
	}
	if j.held += len(content); j.held > maxManifestBytes {
		return fmt.Errorf("%w: they have more than %d bytes", ErrTooMany, maxManifestBytes)
	}
	j.contents[d] = content
	return nil
}

func (j *job) kept(d digest.Digest) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.contents[d]
}

// fetch returns the verified content of a manifest of the source.
func (j *job) fetch(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	content := j.kept(d.Digest)
	if content == nil {
		var err error
		if content, err = fetchManifest(ctx, j.from, d); err != nil {
			if errors.Is(err, errdef.ErrNotFound) {
				err = fmt.Errorf("%w: %w", ErrIncomplete, err)
			}
			return nil, j.fault(FromSource, "manifest", d, err)
		}
		if err := j.keep(d.Digest, content); err != nil {
			return nil, j.fault(FromSource, "manifest", d, err)
		}
	}
	if int64(len(content)) != d.Size && d.Size != 0 {
		return nil, j.fault(FromSource, "manifest", d, fmt.Errorf("%w: it has %d bytes instead of %d", acr.ErrSizeMismatch, len(content), d.Size))
	}
	return content, nil
}

// fetchManifest returns the verified content of a manifest. A size of 0 is not known, where the
// source does without.
func fetchManifest(ctx context.Context, from Source, d ocispec.Descriptor) ([]byte, error) {
	if err := checkDigest(d.Digest); err != nil {
		return nil, fmt.Errorf("%w: %w", acr.ErrManifestMalformed, err)
	}
	switch s := from.(type) {
	case *Repository:
		m, err := s.acr.GetManifest(ctx, string(d.Digest))
		if err != nil {
			return nil, orasError(err)
		}
		return m.Content, nil
	case *Layout:
		content, err := s.manifest(d)
		return content, s.fail(err)
	}
	r, err := from.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it was only read
	content, err := readManifest(d, r)
	if err == nil && d.Digest.Algorithm().FromBytes(content) != d.Digest {
		err = fmt.Errorf("%w: the content is not that of %s", acr.ErrDigestMismatch, d.Digest)
	}
	return content, err
}

// children returns the manifests of an index that the walk goes on with. An index may name blobs,
// as BuildKit's caches do.
func (j *job) children(n *graph.Node, s *selection) []ocispec.Descriptor {
	var below []ocispec.Descriptor
	for _, c := range s.kept(n) {
		if isManifest(c.MediaType) {
			below = append(below, c)
		}
	}
	return below
}

// addManifest adds a manifest to the copy.
func (j *job) addManifest(n *graph.Node) *manifestNode {
	n.Descriptor.Size = int64(len(n.Content)) // an index may leave it out
	m := &manifestNode{Node: n, role: roleOf(n), action: Send}
	j.manifests = append(j.manifests, m)
	j.byDigest[n.Descriptor.Digest] = m
	return m
}

// roleOf names what a manifest is in a copy.
func roleOf(n *graph.Node) string {
	switch {
	case n.IsReferrer:
		return "referrer"
	case n.Body.Kind == graph.KindIndex:
		return "index"
	case n.Body.Kind == graph.KindImage:
		return "image"
	default:
		return "artifact"
	}
}

// collectBlobs lists the blobs that the manifests name, each once.
func (j *job) collectBlobs() {
	seen := map[digest.Digest]bool{}
	for _, m := range j.manifests {
		for role, d := range m.Body.Descriptors() {
			blob := role == graph.RoleConfig || role == graph.RoleLayer || role == graph.RoleChild && !isManifest(d.MediaType)
			if !blob || seen[d.Digest] {
				continue
			}
			name := "layer"
			if role == graph.RoleConfig {
				name = "config"
			}
			if graph.IsForeign(d.MediaType) && !j.Foreign {
				j.leave(d, m.Descriptor.Digest, name)
				continue
			}
			seen[d.Digest] = true
			j.blobs = append(j.blobs, &blobNode{descriptor: d, parent: m.Descriptor.Digest, role: name, action: Present})
		}
	}
}

// checkBlobs refuses blobs that cannot be copied before anything is sent, and leaves out layers that
// are not to be distributed and that the source does not have.
func (j *job) checkBlobs(ctx context.Context) error {
	var foreign []*blobNode
	for _, b := range j.blobs {
		if err := checkDigest(b.descriptor.Digest); err != nil {
			return j.fault(FromSource, b.role, b.descriptor, fmt.Errorf("%w: %w", acr.ErrManifestMalformed, err))
		}
		if err := checkEmpty(b.descriptor); err != nil {
			return j.fault(FromSource, b.role, b.descriptor, err)
		}
		if graph.IsForeign(b.descriptor.MediaType) {
			foreign = append(foreign, b)
		}
	}
	err := each(ctx, j.Concurrency, foreign, func(ctx context.Context, b *blobNode) error {
		there, err := j.sourceHas(ctx, b.descriptor)
		if err == nil && !there {
			j.leave(b.descriptor, b.parent, b.role)
		}
		return j.fault(FromSource, b.role, b.descriptor, err)
	})
	j.blobs = slices.DeleteFunc(j.blobs, func(b *blobNode) bool {
		_, left := j.left[b.descriptor.Digest]
		return left && graph.IsForeign(b.descriptor.MediaType)
	})
	return err
}

// sourceHas tells whether the source has a blob.
func (j *job) sourceHas(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	l, ok := j.from.(*Layout)
	if !ok {
		return j.from.Exists(ctx, d)
	}
	f, err := l.openBlob(d.Digest, d.Size) // Exists would hash it
	if errors.Is(err, errdef.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, l.fail(err)
	}
	return true, f.Close()
}
