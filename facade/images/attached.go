package images

import (
	"context"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

// cosignSuffixes end the tags under which cosign stores what belongs to a digest.
var cosignSuffixes = []string{".sig", ".att", ".sbom"}

// attachedTo returns what belongs to a manifest though its content does not name it. Each has been
// read: what a list names but the source lacks is left out, and so is what does not refer to the
// manifest after all.
func (j *job) attachedTo(ctx context.Context, n *graph.Node, s *selection) ([]ocispec.Descriptor, error) {
	listed, err := referrersOf(ctx, j.from, n.Descriptor)
	if err != nil {
		return nil, j.fault(FromSource, "referrers of", n.Descriptor, err)
	}
	var found []ocispec.Descriptor
	for _, d := range listed {
		read, err := j.readReferrer(ctx, d, n.Descriptor)
		switch {
		case errors.Is(err, errdef.ErrNotFound): // a list may name what was deleted
			j.leave(plain(d), n.Descriptor.Digest, "referrer")
		case err != nil:
			return nil, j.fault(FromSource, "referrer", d, malformed(err))
		case read == nil:
		case s.replaces(n.Descriptor.Digest):
			j.leave(*read, n.Descriptor.Digest, "referrer")
		default:
			found = append(found, *read)
		}
	}
	if n.IsReferrer && j.isAttachedTag(n.Descriptor) {
		return found, nil // cosign signs no signatures
	}
	for _, suffix := range cosignSuffixes {
		tag := graph.TagKey(n.Descriptor.Digest) + suffix
		d, err := j.readTag(ctx, tag)
		switch {
		case errors.Is(err, errdef.ErrNotFound):
		case err != nil:
			return nil, j.faultName(FromSource, "tag", tag, err)
		case s.replaces(n.Descriptor.Digest):
			j.leave(d, n.Descriptor.Digest, "referrer")
		default:
			j.mu.Lock()
			j.attached[tag] = d.Digest
			j.mu.Unlock()
			found = append(found, d)
		}
	}
	return found, nil
}

// isAttachedTag tells whether a manifest was found by a tag of cosign's.
func (j *job) isAttachedTag(d ocispec.Descriptor) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, attached := range j.attached {
		if attached == d.Digest {
			return true
		}
	}
	return false
}

// readReferrer reads a manifest that is listed as a referrer. It returns nil for one that does not
// refer to the subject: a list may be wrong, and sources of oras-go list the indexes of an image as
// well.
func (j *job) readReferrer(ctx context.Context, d, subject ocispec.Descriptor) (*ocispec.Descriptor, error) {
	content := j.kept(d.Digest)
	if content == nil {
		var err error
		if content, err = fetchManifest(ctx, j.from, d); err != nil {
			return nil, err
		}
	}
	body, err := graph.Read(d.MediaType, content)
	if err != nil {
		return nil, err
	}
	if body.Subject == nil || body.Subject.Digest != subject.Digest {
		return nil, nil //nolint:nilnil // it is none
	}
	j.keep(d.Digest, content)
	return &ocispec.Descriptor{MediaType: body.MediaType, Digest: d.Digest, Size: int64(len(content)), ArtifactType: body.ArtifactType}, nil
}

// readTag reads the manifest behind a tag, if there is one.
func (j *job) readTag(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	if j.source != nil {
		m, err := j.source.GetManifest(ctx, tag)
		if err != nil {
			return ocispec.Descriptor{}, orasError(err)
		}
		j.keep(m.Descriptor.Digest, m.Content)
		return m.Descriptor, nil
	}
	d, err := j.from.Resolve(ctx, tag)
	return plain(d), err
}

// referrersOf lists the referrers of a manifest, as far as the source knows them.
func referrersOf(ctx context.Context, from Source, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	add := func(referrers []ocispec.Descriptor) error {
		found = append(found, referrers...)
		return nil
	}
	switch s := from.(type) {
	case *Layout:
		return s.referrers(ctx, d)
	case registry.ReferrerLister:
		err := s.Referrers(ctx, d, "", add)
		return found, err
	case content.PredecessorFinder:
		return s.Predecessors(ctx, d) // what is no referrer is left out when it is read
	}
	return nil, nil
}

// referrers lists the manifests of a layout that refer to another one: those that index.json
// reaches, and those in the index under the referrers tag, which regclient and others write.
func (l *Layout) referrers(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	g, err := l.readGraph(ctx)
	if err != nil {
		return nil, l.fail(err)
	}
	var found []ocispec.Descriptor
	for _, p := range g.parents[d.Digest] {
		if g.refers[p.Digest] == d.Digest {
			found = append(found, p)
		}
	}
	return found, nil
}
