package images

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

// cosignSuffixes end the tags under which cosign stores what belongs to a digest.
var cosignSuffixes = []string{".sig", ".att", ".sbom"}

// Limits on what a source is asked about what belongs to an image.
const (
	attachedAtOnce = 8                     // requests for one manifest
	maxListed      = graph.DefaultMaxNodes // entries in the lists for all of an image's manifests
)

// attachment is a manifest that may belong to another one.
type attachment struct {
	listed ocispec.Descriptor // among the referrers
	tag    string             // or where cosign would put it
	found  *ocispec.Descriptor
}

// attachedTo returns what belongs to a manifest though its content does not name it. Each has been
// read: what a list names but the source lacks is left out, and so is what does not refer to the
// manifest after all.
func (j *job) attachedTo(ctx context.Context, n *graph.Node, s *selection) ([]ocispec.Descriptor, error) {
	asked, err := j.attachments(ctx, n)
	if err != nil {
		return nil, j.fault(FromSource, "referrers of", n.Descriptor, err)
	}
	err = each(ctx, attachedAtOnce, asked, func(ctx context.Context, a *attachment) error {
		return j.readAttachment(ctx, a, n.Descriptor)
	})
	if err != nil {
		return nil, err
	}
	var found []ocispec.Descriptor
	for _, a := range asked {
		switch {
		case a.found == nil:
			continue
		case s.replaces(n.Descriptor.Digest):
			j.leave(*a.found, n.Descriptor.Digest, "referrer")
			continue
		case a.tag != "":
			j.mu.Lock()
			j.attached[a.tag] = a.found.Digest
			j.mu.Unlock()
		}
		found = append(found, *a.found)
	}
	return found, nil
}

// attachments lists what may belong to a manifest.
func (j *job) attachments(ctx context.Context, n *graph.Node) ([]*attachment, error) {
	listed, err := referrersOf(ctx, j.from, n.Descriptor)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.listed += len(listed)
	tooMany := j.listed > maxListed
	j.mu.Unlock()
	if tooMany {
		return nil, errListed
	}
	var asked []*attachment
	for _, d := range listed {
		asked = append(asked, &attachment{listed: d})
	}
	if n.IsReferrer && j.isAttachedTag(n.Descriptor) {
		return asked, nil // cosign signs no signatures
	}
	for _, suffix := range cosignSuffixes {
		asked = append(asked, &attachment{tag: graph.TagKey(n.Descriptor.Digest) + suffix})
	}
	return asked, nil
}

var errListed = fmt.Errorf("%w: more than %d are listed as referrers", ErrTooMany, maxListed)

// readAttachment reads what may belong to a manifest. If it is not there, or does not, nothing is
// found.
func (j *job) readAttachment(ctx context.Context, a *attachment, subject ocispec.Descriptor) error {
	if a.tag != "" {
		d, err := j.readTag(ctx, a.tag)
		if errors.Is(err, errdef.ErrNotFound) {
			return nil
		}
		a.found = &d
		return j.faultName(FromSource, "tag", a.tag, err)
	}
	d, err := j.readReferrer(ctx, a.listed, subject)
	if errors.Is(err, errdef.ErrNotFound) { // a list may name what was deleted
		j.leave(plain(a.listed), subject.Digest, "referrer")
		return nil
	}
	a.found = d
	return j.fault(FromSource, "referrer", a.listed, malformed(err))
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
	read := ocispec.Descriptor{MediaType: body.MediaType, Digest: d.Digest, Size: int64(len(content)), ArtifactType: body.ArtifactType}
	return &read, j.keep(d.Digest, content)
}

// readTag reads the manifest behind a tag, if there is one.
func (j *job) readTag(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	if j.source != nil {
		m, err := j.source.GetManifest(ctx, tag)
		if err != nil {
			return ocispec.Descriptor{}, orasError(err)
		}
		return m.Descriptor, j.keep(m.Descriptor.Digest, m.Content)
	}
	d, err := j.from.Resolve(ctx, tag)
	return plain(d), err
}

// referrersOf lists the referrers of a manifest, as far as the source knows them.
func referrersOf(ctx context.Context, from Source, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	add := func(referrers []ocispec.Descriptor) error {
		if found = append(found, referrers...); len(found) > maxListed {
			return errListed
		}
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
